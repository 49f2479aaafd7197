package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ClientAuth says what a port wants of those who connect.
type ClientAuth uint8

// What a port may want.
const (
	AuthNone     ClientAuth = iota // no certificate is asked for
	AuthOptional                   // one that is given must be good
	AuthRequire                    // without one nobody is let in
)

// Rules are what a port or a dial demands beyond the set of files.
type Rules struct {
	MinVersion   uint16   // tls.VersionTLS12, also if 0, or tls.VersionTLS13
	CipherSuites []uint16 // of TLS 1.2; nil for the library's choice
	ClientAuth   ClientAuth
	// Allow decides about a certificate that is valid and not revoked; host is the one that was dialled, "" when
	// the other side dialled us. nil: who connects need only be valid, who is dialled must be named host.
	Allow func(leaf *x509.Certificate, host string) error
	// NextProtos is what the other side may choose among; nil for nothing.
	NextProtos []string
}

// Server returns the configuration of a port. Each handshake uses the set that is in use when it begins, and
// connections that are open keep theirs.
//
// Tickets for resuming sessions are off. A resumed session skips the verification of its certificate, so who
// was revoked or signed by an authority that was removed would come in until the ticket ends; a whole
// handshake costs a fraction of a millisecond.
func (s *Store) Server(r Rules) *tls.Config {
	c := r.base(s)
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.current().server(s, r), nil
	}
	return c
}

func (r Rules) base(s *Store) *tls.Config {
	return &tls.Config{
		MinVersion: max(r.MinVersion, tls.VersionTLS12), CipherSuites: r.CipherSuites, NextProtos: r.NextProtos,
		SessionTicketsDisabled: true, Time: s.cfg.Clock,
	}
}

func (m *material) server(s *Store, r Rules) *tls.Config {
	c := r.base(s)
	c.Certificates = []tls.Certificate{m.cert}
	if r.ClientAuth == AuthNone {
		return c
	}
	c.ClientCAs = m.pool
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if r.ClientAuth == AuthOptional {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil // none given, which ClientAuth has allowed
		}
		return m.admit(cs.VerifiedChains, r, "")
	}
	return c
}

// admit is the one gate behind every handshake, of every port and every dial.
func (m *material) admit(chains [][]*x509.Certificate, r Rules, host string) error {
	if len(chains) == 0 || len(chains[0]) == 0 {
		return errors.New("certs: a certificate was not verified") // cannot be: ClientAuth demands it
	}
	if err := m.unrevoked(chains); err != nil {
		return err
	}
	if r.Allow == nil {
		return nil
	}
	return r.Allow(chains[0][0], host)
}

// Dial returns the configuration for one connection to host, with the set that is in use now. The own
// certificate is shown to who asks for one.
func (s *Store) Dial(r Rules, host string) *tls.Config {
	m := s.current()
	c := r.base(s)
	c.Certificates = []tls.Certificate{m.cert}
	c.ServerName = host
	// The library's verification insists on ServerName; ours, which follows at once and is complete, lets
	// Rules.Allow decide about names.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		chains, err := m.verify(cs.PeerCertificates, s.cfg.Clock())
		if err != nil {
			return err
		}
		if r.Allow == nil {
			err = chains[0][0].VerifyHostname(host)
		}
		return errors.Join(err, m.admit(chains, r, host))
	}
	return c
}

// verify finds the chains of a server's certificates to our authorities.
func (m *material) verify(given []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	if len(given) == 0 {
		return nil, ErrNoCertificate
	}
	between := x509.NewCertPool()
	for _, c := range given[1:] {
		between.AddCert(c)
	}
	roots := m.pool
	if roots == nil {
		roots = x509.NewCertPool() // nil would mean the machine's own
	}
	return given[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Named allows certificates that carry one of these names: an IP address or DNS name among the subject
// alternative names, *.domain for any one label before that domain, or the common name.
func Named(allowed []string) func(*x509.Certificate, string) error {
	return func(leaf *x509.Certificate, _ string) error {
		for _, name := range allowed {
			if carries(leaf, name) || strings.EqualFold(leaf.Subject.CommonName, name) {
				return nil
			}
		}
		return refusal(leaf)
	}
}

// Hosted allows certificates whose subject alternative names fit the host that was dialled or, when the other
// side dialled, one of hosts. The common name does not count: anybody's certificate has one.
func Hosted(hosts func() []string) func(*x509.Certificate, string) error {
	return func(leaf *x509.Certificate, dialled string) error {
		if dialled != "" {
			if leaf.VerifyHostname(dialled) != nil {
				return fmt.Errorf("%w: %s was dialled", refusal(leaf), dialled)
			}
			return nil
		}
		for _, h := range hosts() {
			if leaf.VerifyHostname(h) == nil {
				return nil
			}
		}
		return refusal(leaf)
	}
}

func refusal(leaf *x509.Certificate) error {
	return fmt.Errorf("%w: it says %s", ErrNameRefused, strings.Join(NamesOf(leaf), ", "))
}

func carries(leaf *x509.Certificate, name string) bool {
	suffix, any := strings.CutPrefix(name, "*")
	if !any {
		return leaf.VerifyHostname(name) == nil
	}
	for _, d := range leaf.DNSNames {
		label, ok := strings.CutSuffix(strings.ToLower(d), strings.ToLower(suffix))
		if ok && label != "" && !strings.Contains(label, ".") {
			return true
		}
	}
	return false
}

// NamesOf lists what a certificate calls its owner: the common name first, then the alternative names.
func NamesOf(c *x509.Certificate) []string {
	out := []string{"CN=" + c.Subject.CommonName}
	out = append(out, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return append(out, c.EmailAddresses...)
}

// ParseVersion reads 1.2 or 1.3.
func ParseVersion(text string) (uint16, error) {
	switch text {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, errors.New("must be 1.2 or 1.3")
}

// ParseCipherSuites reads names of suites of TLS 1.2, as crypto/tls and IANA write them. Suites with known
// weaknesses are refused, and those of TLS 1.3, of which the library lets nobody choose.
func ParseCipherSuites(names []string) ([]uint16, error) {
	known := map[string]uint16{}
	for _, c := range tls.CipherSuites() {
		if c.SupportedVersions[0] <= tls.VersionTLS12 {
			known[c.Name] = c.ID
		}
	}
	var out []uint16
	for _, name := range names {
		id, ok := known[strings.TrimSpace(name)]
		if !ok {
			return nil, fmt.Errorf("%q is no safe suite of TLS 1.2; TLS 1.3 chooses for itself", name)
		}
		out = append(out, id)
	}
	return out, nil
}
