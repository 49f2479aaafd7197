package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Auto is a set that a node makes for itself: in Dir, node.pem (key and certificate in one file, so that both
// are replaced in one step) and ca.pem, for those who are to trust it.
//
// Without a secret the authority is the node's own, and its key is kept beside it: that proves to a client
// who was given ca.pem that it talks to the same node as ever, and nothing to another node. With a secret the
// authority is derived from it, is the same on every node that knows it, and is kept nowhere: that is what
// lets nodes recognise each other.
//
// Rejected, for peers: a certificate that each node signs itself, which encrypts but lets everybody in; and
// remembering the first key that was seen at an address, which leaves the first contact open to whoever is
// quicker, and a node that lost its disk locked out.
//
// The certificate is made anew when two thirds of its life are over, or when what it should say has changed.
type Auto struct {
	Dir     string
	Request Request // Life 0: AutoLife
	Secret  []byte  // nil: an authority of this node's own
	Purpose string  // keeps authorities that are derived from one secret apart
}

// AutoLife is how long a certificate made by Auto is valid; AutoAuthorityLife the same of a node's own
// authority.
const (
	AutoLife          = 90 * 24 * time.Hour
	AutoAuthorityLife = 10 * 365 * 24 * time.Hour
)

const (
	nodeFile  = "node.pem"
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
)

// Files says where the set is.
func (a Auto) Files() Files {
	node := filepath.Join(a.Dir, nodeFile)
	return Files{Cert: node, Key: node, CA: filepath.Join(a.Dir, caFile)}
}

// NewRenewal prepares the function for Config.Renew. Deriving the authority is done here, once.
func (a Auto) NewRenewal() (func(now time.Time) error, error) {
	if a.Request.Life == 0 {
		a.Request.Life = AutoLife
	}
	var derived *Authority
	if a.Secret != nil {
		var err error
		if derived, err = DerivedAuthority(a.Secret, a.Purpose); err != nil {
			return nil, err
		}
	}
	return func(now time.Time) error {
		if err := a.renew(derived, now); err != nil {
			return fmt.Errorf("make certificates in %s: %w", a.Dir, err)
		}
		return nil
	}, nil
}

func (a Auto) renew(authority *Authority, now time.Time) (err error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return err
	}
	if authority == nil {
		if authority, err = a.ownAuthority(now); err != nil {
			return err
		}
	} else if err := a.publish(authority); err != nil {
		return err
	}
	if a.fresh(authority, now) {
		return nil
	}
	cert, key, err := authority.Issue(a.Request, now)
	if err != nil {
		return err
	}
	return ReplaceFile(filepath.Join(a.Dir, nodeFile), append(key, cert...), 0o600)
}

// publish writes the certificate of a derived authority, unless one with the same key is there.
func (a Auto) publish(authority *Authority) error {
	path := filepath.Join(a.Dir, caFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		list, err := parseCertificates(raw)
		if err == nil && slices.ContainsFunc(list, func(c *x509.Certificate) bool {
			return authority.key.PublicKey.Equal(c.PublicKey) && c.Subject.String() == authority.Cert.Subject.String()
		}) {
			return nil
		}
	}
	return ReplaceFile(path, authority.CertPEM(), 0o644)
}

// ownAuthority reads this node's authority, or makes one, if there is none yet or its end is near: it must
// outlive what it signs. One that is there and cannot be read is not replaced: every client that was given
// ca.pem would be shut out, for a disk's or an operator's mistake.
func (a Auto) ownAuthority(now time.Time) (*Authority, error) {
	cert, err1 := os.ReadFile(filepath.Join(a.Dir, caFile))
	key, err2 := os.ReadFile(filepath.Join(a.Dir, caKeyFile))
	if errors.Is(err1, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist) {
		return a.newAuthority(now)
	}
	err := errors.Join(err1, err2)
	var old *Authority
	if err == nil {
		old, err = ParseAuthority(cert, key)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w; bring %s and %s back, or remove both: then another authority is made, and "+
			"all clients need its %[3]s", ErrAuthority, err, caFile, caKeyFile)
	case old.Cert.NotAfter.Sub(now) > a.Request.Life:
		return old, nil
	}
	return a.newAuthority(now)
}

func (a Auto) newAuthority(now time.Time) (*Authority, error) {
	made, err := NewAuthority("redkeep "+a.Purpose+" authority of "+a.Request.CommonName, now, AutoAuthorityLife)
	if err != nil {
		return nil, err
	}
	key, err := made.KeyPEM()
	if err != nil {
		return nil, err
	}
	return made, errors.Join(ReplaceFile(filepath.Join(a.Dir, caKeyFile), key, 0o600),
		ReplaceFile(filepath.Join(a.Dir, caFile), made.CertPEM(), 0o644))
}

// fresh reports whether the certificate that is there will do for a while.
func (a Auto) fresh(authority *Authority, now time.Time) bool {
	raw, err := os.ReadFile(filepath.Join(a.Dir, nodeFile))
	if err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return false
	}
	leaf := pair.Leaf
	names, ips := splitHosts(a.Request.Hosts)
	same := leaf.Subject.CommonName == a.Request.CommonName && slices.Equal(leaf.DNSNames, names) &&
		slices.EqualFunc(leaf.IPAddresses, ips, net.IP.Equal)
	left := leaf.NotAfter.Sub(now)
	return same && left > leaf.NotAfter.Sub(leaf.NotBefore)/3 && !now.Before(leaf.NotBefore) &&
		leaf.CheckSignatureFrom(authority.Cert) == nil
}

// ReplaceFile replaces path in one step; mode 0600 for secrets.
func ReplaceFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// CreateFile writes a file that must not be there; mode 0600 for secrets.
func CreateFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", path, ErrExists)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// NewSecret returns a secret for Auto: 256 random bits as text.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// ReadSecret reads a secret from a file, without the white space around it.
func ReadSecret(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret := []byte(strings.TrimSpace(string(raw)))
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%s: %w", path, ErrWeakSecret)
	}
	return secret, nil
}
