package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/commands"
	"github.com/redkeep/redkeep/resp"
)

// What keeps strangers out, as far as it is settled when a node starts: protected mode, passwords from files,
// the audit log, the user that a certificate names. A password is never on the command line, where ps shows
// it: a flag names a file.

// readSecret returns the first line of a file that others cannot read.
func readSecret(flag, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("--%s %s: %w", flag, path, plainReason(err))
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("--%s %s: everybody can read the file; make it readable for its owner alone "+
			"(chmod 600)", flag, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--%s %s: %w", flag, path, plainReason(err))
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("--%s %s: the first line, which is the password, is empty", flag, path)
	}
	return line, nil
}

// secrets are the passwords that a node was started with, sealed.
type secrets struct{ first, reset string }

func (s *settings) readSecrets() (out secrets, err error) {
	for _, one := range []struct {
		flag, path string
		sealed     *string
	}{
		{"default-password-file", s.defaultPasswordFile, &out.first},
		{"reset-admin-file", s.resetAdminFile, &out.reset},
	} {
		if one.path == "" {
			continue
		}
		password, err := readSecret(one.flag, one.path)
		if err != nil {
			return out, err
		}
		*one.sealed = commands.SealPassword(password)
	}
	return out, nil
}

// admit refuses whoever is not on this machine while no password is set.
func (n *node) admit(from net.Addr, overTLS bool) (refusal string) {
	certified := overTLS && n.settings.tls.client.auth == authRequire
	if certified || !n.settings.protected || !n.dispatcher.Protected() {
		return ""
	}
	if tcp, ok := from.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return commands.ProtectedRefusal
	}
	return ""
}

// makeUsers gives the cluster the users that this node was started with, as soon as there is a leader.
func (n *node) makeUsers(s secrets) {
	for _, one := range []struct {
		name, sealed string
		rules        []string
		fresh        bool
	}{
		{"default", s.first, []string{"resetpass"}, true},
		{"admin", s.reset, []string{"reset", "on", "~*", "&*", "+@all"}, false},
	} {
		if one.sealed == "" {
			continue
		}
		n.serving.Go(func() {
			select {
			case <-n.engine.Ready():
			case <-n.leaving:
				return
			}
			rules := append(one.rules, "#"+one.sealed)
			if err := n.dispatcher.EnsureUser(one.name, rules, one.fresh, n.leaving); err != nil {
				n.log.Error("a user could not be made", "user", one.name, "error", err)
			}
		})
	}
}

// openAudit returns where the audit log goes: a file of its own, or among the other lines.
func (s *settings) openAudit(log *slog.Logger) (*slog.Logger, *os.File, error) {
	if s.auditFile == "" {
		return log, nil, nil
	}
	f, err := os.OpenFile(s.auditFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fs.FileMode(0o600))
	if err != nil {
		return nil, nil, fmt.Errorf("--audit-file %s: %w", s.auditFile, plainReason(err))
	}
	return slog.New(slog.NewJSONHandler(f, nil)), f, nil
}

// certified is a connection that knows its client's verified certificate.
type certified interface{ PeerCertificate() *x509.Certificate }

// certificateName is the user that a certificate names, by --tls-auth-clients-user.
func (s *settings) certificateName() func(*resp.Conn) string {
	if s.certificateUser == "off" {
		return nil
	}
	return func(conn *resp.Conn) string {
		c, ok := any(conn).(certified)
		if !ok || c.PeerCertificate() == nil {
			return ""
		}
		if cert := c.PeerCertificate(); s.certificateUser == "CN" {
			return cert.Subject.CommonName
		} else if len(cert.DNSNames) > 0 {
			return cert.DNSNames[0]
		} else if len(cert.EmailAddresses) > 0 {
			return cert.EmailAddresses[0]
		}
		return ""
	}
}

// setOutputLimits reads Redis's form: pubsub, hard limit, soft limit, seconds.
func setOutputLimits(s *settings, v string) error {
	wrong := errors.New("must be pubsub <hard limit> <soft limit> <seconds>, as pubsub 32MiB 8MiB 60")
	words := strings.Fields(v)
	if len(words) != 4 || words[0] != "pubsub" {
		return wrong
	}
	hard, err := parseSize(words[1])
	soft, err2 := parseSize(words[2])
	seconds, err3 := strconv.Atoi(words[3])
	if errors.Join(err, err2, err3) != nil || hard < soft || soft < 1<<10 || seconds < 0 {
		return wrong
	}
	s.pushLimits = resp.OutputLimits{Hard: int(hard), Soft: int(soft), For: time.Duration(seconds) * time.Second}
	return nil
}

func setYesNo(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, v string) error {
		switch v {
		case "yes", "true": // YAML's word for it
			*field(s) = true
		case "no", "false":
			*field(s) = false
		default:
			return errors.New("must be yes or no")
		}
		return nil
	}
}

func setAnyText(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		return nil
	}
}
