package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// backdate allows for clocks that are behind ours.
const backdate = time.Hour

// Authority signs certificates and revocation lists.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a random key.
func NewAuthority(name string, now time.Time, life time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return selfSigned(name, key, now.Add(-backdate), now.Add(life))
}

// minSecret is the least length of a secret, in characters.
const minSecret = 32

// secretRounds makes guessing dear for who has seen a certificate; it costs a node a fraction of a second,
// once.
const secretRounds = 200_000

// DerivedAuthority makes the authority that everybody makes who knows the secret, one for each purpose. What
// it signs says: the holder of this key knew the secret. The key is never written down.
//
// The scalar is reduced from 128 bits more than it needs, as FIPS 186-5 A.2.1 does, so that no value is
// likelier than another.
func DerivedAuthority(secret []byte, purpose string) (*Authority, error) {
	if len(secret) < minSecret {
		return nil, ErrWeakSecret
	}
	salt := []byte("redkeep authority v1: " + purpose)
	seed, err := pbkdf2.Key(sha256.New, string(secret), salt, secretRounds, 48)
	if err != nil {
		return nil, err
	}
	order := elliptic.P256().Params().N
	scalar := new(big.Int).SetBytes(seed)
	scalar.Mod(scalar, new(big.Int).Sub(order, big.NewInt(1))).Add(scalar, big.NewInt(1))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, err
	}
	from := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	return selfSigned("redkeep "+purpose+" authority", key, from, from.AddDate(100, 0, 0))
}

func selfSigned(name string, key *ecdsa.PrivateKey, from, until time.Time) (*Authority, error) {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	return &Authority{Cert: c, key: key}, err
}

// ParseAuthority reads an authority from its two PEM files' content.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	list, err := parseCertificates(certPEM)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%w: no key in PEM form", ErrWrongKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(list[0].PublicKey) {
		return nil, ErrWrongKey
	}
	return &Authority{Cert: list[0], key: key}, nil
}

// CertPEM is the authority's certificate, KeyPEM its private key.
func (a *Authority) CertPEM() []byte         { return certPEM(a.Cert.Raw) }
func (a *Authority) KeyPEM() ([]byte, error) { return keyPEM(a.key) }

// Request says what a certificate is to be good for.
type Request struct {
	CommonName     string
	Hosts          []string // DNS names and IP addresses
	Server, Client bool
	Life           time.Duration
}

// Issue makes a key and a certificate for it, both as PEM.
func (a *Authority) Issue(r Request, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: r.CommonName},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(r.Life), KeyUsage: x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(a.Cert.NotAfter) {
		t.NotAfter = a.Cert.NotAfter
	}
	if r.Server {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if r.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	t.DNSNames, t.IPAddresses = splitHosts(r.Hosts)
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return certPEM(der), key, err
}

func splitHosts(hosts []string) (names []string, ips []net.IP) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			ips = append(ips, ip)
		} else if h != "" {
			names = append(names, h)
		}
	}
	return names, ips
}

// Revoke returns a list, as PEM, of what the authority revokes: what an earlier list (nil for none) says, and
// more. It counts as up to date for life.
func (a *Authority) Revoke(earlier []byte, now time.Time, life time.Duration,
	more ...*x509.Certificate) ([]byte, error) {
	t := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-backdate), NextUpdate: now.Add(life)}
	if earlier != nil {
		old, err := a.ownList(earlier)
		if err != nil {
			return nil, err
		}
		t.RevokedCertificateEntries = old.RevokedCertificateEntries
		t.Number.Add(old.Number, t.Number)
	}
	for _, c := range more {
		if !a.Signed(c) {
			return nil, fmt.Errorf("%s: %w", c.Subject, ErrForeign)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.Cert, a.key)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), err
}

// ownList reads a list that the authority has made.
func (a *Authority) ownList(raw []byte) (*x509.RevocationList, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%w: not in PEM form", ErrBadList)
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err == nil {
		err = list.CheckSignatureFrom(a.Cert)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadList, err)
	}
	return list, nil
}

// Revoked reports whether c is on a list of the authority's, as PEM; nil is an empty one.
func (a *Authority) Revoked(list []byte, c *x509.Certificate) (bool, error) {
	if list == nil {
		return false, nil
	}
	l, err := a.ownList(list)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(l.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(c.SerialNumber) == 0
	}), nil
}

// Signed reports whether c is one of the authority's certificates.
func (a *Authority) Signed(c *x509.Certificate) bool { return c.CheckSignatureFrom(a.Cert) == nil }

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// ParsePEM reads every certificate of a PEM file, of which there must be one.
func ParsePEM(raw []byte) ([]*x509.Certificate, error) { return parseCertificates(raw) }
