package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/certs"
)

// workshop is the folder that the cert verbs work on.
type workshop struct {
	dir  string
	days int
}

func (w *workshop) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.dir, "dir", "redkeep.certs", "folder of the authorities and certificates")
	cmd.Flags().IntVar(&w.days, "days", int(certLife/(24*time.Hour)), "days the certificates are to be valid")
}

func (w *workshop) life() (time.Duration, error) {
	if w.days < 1 || w.days > 3650 {
		return 0, badArgsf("--days %d: must be 1 to 3650", w.days)
	}
	return time.Duration(w.days) * 24 * time.Hour, nil
}

func (w *workshop) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// Prefixes of an authority's files.
const (
	clientSide = ""
	peerSide   = "peer-"
)

// create makes everything, or says what is there already before it has made anything.
func (w *workshop) create(out io.Writer, nodes []certNode) error {
	life, err := w.life()
	if err != nil {
		return err
	}
	for _, name := range []string{"ca.pem", "ca-key.pem", "peer-ca.pem", "peer-ca-key.pem"} {
		if _, err := os.Stat(w.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w; cert client and cert renew work on what is there", w.path(name),
				certs.ErrExists)
		}
	}
	front, err := w.newAuthority(clientSide, "redkeep clients")
	if err != nil {
		return err
	}
	back, err := w.newAuthority(peerSide, "redkeep members")
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := w.node(n, front, back, life); err != nil {
			return err
		}
	}
	admin := certs.Request{CommonName: "admin", Client: true, Life: life}
	if err := errors.Join(w.issue(front, admin, "clients", "admin"), w.writeList(clientSide, front, nil),
		w.writeList(peerSide, back, nil)); err != nil {
		return err
	}
	w.explain(out, nodes)
	return nil
}

func (w *workshop) newAuthority(side, name string) (*certs.Authority, error) {
	a, err := certs.NewAuthority(name, time.Now(), certs.AutoAuthorityLife)
	if err != nil {
		return nil, err
	}
	key, err := a.KeyPEM()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, err
	}
	return a, errors.Join(certs.CreateFile(w.path(side+"ca-key.pem"), key, 0o600),
		certs.CreateFile(w.path(side+"ca.pem"), a.CertPEM(), 0o644))
}

// nodes adds folders to those that create has made.
func (w *workshop) nodes(out io.Writer, list []certNode) error {
	life, err := w.life()
	if err != nil {
		return err
	}
	for _, n := range list {
		sides := map[string]*certs.Authority{}
		for _, side := range []string{clientSide, peerSide} {
			if sides[side], err = w.authority(side); err != nil {
				return err
			}
		}
		if err := w.node(n, sides[clientSide], sides[peerSide], life); err != nil {
			return err
		}
		for _, side := range []string{clientSide, peerSide} {
			if err := w.copyList(side, n.name); err != nil {
				return err
			}
		}
		fmt.Fprintln(out, w.path(n.name))
	}
	return nil
}

func (w *workshop) copyList(side, folder string) error {
	raw, err := os.ReadFile(w.path(side + "crl.pem"))
	if err != nil {
		return err
	}
	return certs.ReplaceFile(w.path(folder, side+"crl.pem"), raw, 0o644)
}

// node fills the folder of one node.
func (w *workshop) node(n certNode, front, back *certs.Authority, life time.Duration) error {
	server := certs.Request{CommonName: n.name, Server: true, Life: life,
		Hosts: distinct(append(slices.Clone(n.hosts), n.name, "localhost", "127.0.0.1", "::1"))}
	peer := certs.Request{CommonName: n.name, Server: true, Client: true, Life: life,
		Hosts: distinct(append(slices.Clone(n.hosts), n.name))}
	return errors.Join(
		w.issue(front, server, n.name, "server"), w.issue(back, peer, n.name, "peer"),
		certs.CreateFile(w.path(n.name, "ca.pem"), front.CertPEM(), 0o644),
		certs.CreateFile(w.path(n.name, "peer-ca.pem"), back.CertPEM(), 0o644))
}

func distinct(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// issue makes <dir>/<folder>/<name>.pem and its key, which must not be there.
func (w *workshop) issue(a *certs.Authority, r certs.Request, folder, name string) error {
	cert, key, err := a.Issue(r, time.Now())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(w.path(folder), 0o700); err != nil {
		return err
	}
	if err := certs.CreateFile(w.path(folder, name+"-key.pem"), key, 0o600); err != nil {
		return err
	}
	return certs.CreateFile(w.path(folder, name+".pem"), cert, 0o644)
}

func (w *workshop) explain(out io.Writer, nodes []certNode) {
	dir := w.path(nodes[0].name)
	fmt.Fprintf(out, "Made %s for %d nodes. Copy each node's folder to its machine. Flags of %s:\n\n", w.dir,
		len(nodes), nodes[0].name)
	for _, line := range []string{
		"--tls-addr " + net.JoinHostPort(nodes[0].hosts[0], "6380"),
		"--tls-cert-file " + filepath.Join(dir, "server.pem"),
		"--tls-key-file " + filepath.Join(dir, "server-key.pem"),
		"--tls-ca-file " + filepath.Join(dir, "ca.pem"),
		"--tls-crl-file " + filepath.Join(dir, "crl.pem"),
		"--peer-tls-cert-file " + filepath.Join(dir, "peer.pem"),
		"--peer-tls-key-file " + filepath.Join(dir, "peer-key.pem"),
		"--peer-tls-ca-file " + filepath.Join(dir, "peer-ca.pem"),
		"--peer-tls-crl-file " + filepath.Join(dir, "peer-crl.pem"),
	} {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintf(out, "\nAn administrator:\n\n  redkeep --endpoints %s --cacert %s --cert %s --key %s "+
		"endpoint status\n", net.JoinHostPort(nodes[0].hosts[0], "6380"), w.path("ca.pem"),
		w.path("clients", "admin.pem"), w.path("clients", "admin-key.pem"))
	fmt.Fprintf(out, "\nKeep %s and %s away from the nodes: who has them can make any certificate.\n",
		w.path("ca-key.pem"), w.path("peer-ca-key.pem"))
}

// authority reads one of the two.
func (w *workshop) authority(side string) (*certs.Authority, error) {
	cert, err := os.ReadFile(w.path(side + "ca.pem"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(w.path(side + "ca-key.pem"))
	if err != nil {
		return nil, err
	}
	a, err := certs.ParseAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.path(side+"ca-key.pem"), err)
	}
	return a, nil
}

func (w *workshop) clients(out io.Writer, names []string) error {
	life, err := w.life()
	if err != nil {
		return err
	}
	a, err := w.authority(clientSide)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isFileName(name) {
			return badArgsf("%q is no name for a client's certificate", name)
		}
		r := certs.Request{CommonName: name, Client: true, Life: life}
		if err := w.issue(a, r, "clients", name); err != nil {
			return err
		}
		fmt.Fprintln(out, w.path("clients", name+".pem"))
	}
	return nil
}

// renew makes every certificate anew that the authorities of the folder have signed and not revoked.
func (w *workshop) renew(out io.Writer) error {
	life, err := w.life()
	if err != nil {
		return err
	}
	for _, side := range []string{clientSide, peerSide} {
		a, err := w.authority(side)
		if err != nil {
			return err
		}
		list, err := os.ReadFile(w.path(side + "crl.pem"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := w.writeList(side, a, list); err != nil {
			return err
		}
		if err := w.renewAll(out, a, list, life); err != nil {
			return err
		}
	}
	return nil
}

func (w *workshop) renewAll(out io.Writer, a *certs.Authority, list []byte, life time.Duration) error {
	files, err := filepath.Glob(w.path("*", "*.pem"))
	if err != nil {
		return err
	}
	for _, file := range files {
		old := firstCert(file)
		if old == nil || old.IsCA || !a.Signed(old) {
			continue
		}
		revoked, err := a.Revoked(list, old)
		if err != nil {
			return err
		}
		if revoked {
			fmt.Fprintf(out, "%s is revoked, and not renewed\n", file)
			continue
		}
		if err := replaceCert(a, file, old, life); err != nil {
			return err
		}
		fmt.Fprintln(out, file)
	}
	return nil
}

func firstCert(file string) *x509.Certificate {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	list, err := certs.ParsePEM(raw)
	if err != nil {
		return nil
	}
	return list[0]
}

func replaceCert(a *certs.Authority, file string, old *x509.Certificate, life time.Duration) error {
	r := certs.Request{
		CommonName: old.Subject.CommonName, Hosts: slices.Clone(old.DNSNames), Life: life,
		Server: slices.Contains(old.ExtKeyUsage, x509.ExtKeyUsageServerAuth),
		Client: slices.Contains(old.ExtKeyUsage, x509.ExtKeyUsageClientAuth),
	}
	for _, ip := range old.IPAddresses {
		r.Hosts = append(r.Hosts, ip.String())
	}
	cert, key, err := a.Issue(r, time.Now())
	if err != nil {
		return err
	}
	if err := certs.ReplaceFile(strings.TrimSuffix(file, ".pem")+"-key.pem", key, 0o600); err != nil {
		return err
	}
	return certs.ReplaceFile(file, cert, 0o644)
}

func (w *workshop) revoke(out io.Writer, files []string) error {
	for _, file := range files {
		c := firstCert(file)
		if c == nil {
			return fmt.Errorf("%s: %w", file, certs.ErrNoCertificate)
		}
		side, a, err := w.signer(c)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		list, err := os.ReadFile(w.path(side + "crl.pem"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := w.writeList(side, a, list, c); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: now on %s\n", file, w.path(side+"crl.pem"))
	}
	return nil
}

// signer finds which authority of the folder has signed c.
func (w *workshop) signer(c *x509.Certificate) (string, *certs.Authority, error) {
	for _, side := range []string{clientSide, peerSide} {
		a, err := w.authority(side)
		if err != nil {
			return "", nil, err
		}
		if a.Signed(c) {
			return side, a, nil
		}
	}
	return "", nil, certs.ErrForeign
}

// writeList signs a list again, with more on it, for the folder and each node's.
func (w *workshop) writeList(side string, a *certs.Authority, list []byte, more ...*x509.Certificate) error {
	life, err := w.life()
	if err != nil {
		return err
	}
	if list, err = a.Revoke(list, time.Now(), life, more...); err != nil {
		return err
	}
	nodes, err := filepath.Glob(w.path("*", side+"ca.pem"))
	if err != nil {
		return err
	}
	for _, ca := range nodes {
		if err := certs.ReplaceFile(filepath.Join(filepath.Dir(ca), side+"crl.pem"), list, 0o644); err != nil {
			return err
		}
	}
	return certs.ReplaceFile(w.path(side+"crl.pem"), list, 0o644)
}

func isIPv6(h string) bool { return strings.Contains(h, ":") && net.ParseIP(h) != nil }
