package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"
)

// Files says where a set is. Cert and Key are required and may be one file; CA and CRL may be empty.
type Files struct {
	Cert string // the certificate and the intermediates above it, PEM
	Key  string // its private key, PEM
	CA   string // authorities that the other side's certificate must come from, PEM
	CRL  string // their revocation lists, PEM or one DER; needs CA
}

// names lists the files of the set.
func (f Files) names() []string {
	var out []string
	for _, name := range []string{f.Cert, f.Key, f.CA, f.CRL} {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// material is a set that was read and found good. It never changes.
type material struct {
	cert     tls.Certificate // with Leaf
	pool     *x509.CertPool  // nil without Files.CA
	lists    []revocations
	sum      [sha256.Size]byte // of the content of all files
	warnings []string
}

// load reads a set. The error names the file.
func load(f Files, now time.Time) (*material, error) {
	m := &material{}
	content := map[string][]byte{}
	all := sha256.New()
	for _, name := range f.names() {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		content[name] = raw
		fmt.Fprintf(all, "%d\n", len(raw))
		all.Write(raw)
	}
	all.Sum(m.sum[:0])
	if err := m.readCert(f, content, now); err != nil {
		return nil, err
	}
	if f.CA == "" {
		return m, nil
	}
	issuers, err := parseCertificates(content[f.CA])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.CA, err)
	}
	m.pool = x509.NewCertPool()
	for _, c := range issuers {
		m.pool.AddCert(c)
	}
	if f.CRL == "" {
		return m, nil
	}
	if m.lists, err = parseLists(content[f.CRL], issuers); err != nil {
		return nil, fmt.Errorf("%s: %w", f.CRL, err)
	}
	return m, nil
}

// readCert reads the own certificate and refuses one that nobody would accept.
func (m *material) readCert(f Files, content map[string][]byte, now time.Time) (err error) {
	if _, err := parseCertificates(content[f.Cert]); err != nil {
		return fmt.Errorf("%s: %w", f.Cert, err)
	}
	if m.cert, err = tls.X509KeyPair(content[f.Cert], content[f.Key]); err != nil {
		return fmt.Errorf("%s: %w (%w)", f.Key, ErrWrongKey, err)
	}
	leaf := m.cert.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%s: %w on %s", f.Cert, ErrExpired, day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%s: %w, but from %s on", f.Cert, ErrNotYet, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if info, err := os.Stat(f.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		m.warnings = append(m.warnings,
			f.Key+": the private key can be read by everybody on this machine; chmod 600 it")
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// parseCertificates reads every certificate of a PEM file, of which there must be one.
func parseCertificates(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, ErrNoCertificate
	}
	if rest := bytes.TrimSpace(raw); bytes.Contains(rest, []byte("-----BEGIN CERTIFICATE")) {
		return nil, fmt.Errorf("%w after certificate %d", ErrNoCertificate, len(out))
	}
	return out, nil
}
