package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// Revocation lists. A list counts when one of the authorities of the same set has signed it; anything else in
// the file is an error, so that a list which protects nobody is not mistaken for protection. Each certificate
// of a chain is looked up in the lists of its issuer. A certificate whose issuer has no list is not revoked.
//
// A list that is out of date (NextUpdate has passed) stays in force and is reported as a trouble. Rejected:
// refusing every connection then, as RFC 5280 reads strictly. It would let a forgotten renewal of one file
// stop the whole cluster, members included; who was revoked stays revoked either way, and only a certificate
// that was revoked since is missed.

// revocations is one list, found to be signed by issuer.
type revocations struct {
	issuer  *x509.Certificate
	serials map[string]time.Time
	next    time.Time // when the list should have been replaced; zero if it does not say
}

// parseLists reads PEM blocks "X509 CRL", or one list in DER.
func parseLists(raw []byte, issuers []*x509.Certificate) ([]revocations, error) {
	var ders [][]byte
	if block, rest := pem.Decode(raw); block == nil {
		ders = [][]byte{raw}
	} else {
		for ; block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "X509 CRL" {
				return nil, fmt.Errorf("%w: there is a %s in the file", ErrBadList, block.Type)
			}
			ders = append(ders, block.Bytes)
		}
	}
	var out []revocations
	for _, der := range ders {
		r, err := parseList(der, issuers)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func parseList(der []byte, issuers []*x509.Certificate) (revocations, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return revocations{}, fmt.Errorf("%w: %w", ErrBadList, err)
	}
	// Partial lists say so in an extension that is critical; taken for whole they would let others in.
	for _, e := range list.Extensions {
		if e.Critical {
			return revocations{}, fmt.Errorf("%w of %s: it is partial or of a kind not known here (extension %v)",
				ErrBadList, list.Issuer, asn1.ObjectIdentifier(e.Id))
		}
	}
	i := slices.IndexFunc(issuers, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(c) == nil
	})
	if i < 0 {
		return revocations{}, fmt.Errorf("%w of %s: no authority in the CA file has signed it", ErrBadList,
			list.Issuer)
	}
	r := revocations{issuer: issuers[i], serials: map[string]time.Time{}, next: list.NextUpdate}
	for _, e := range list.RevokedCertificateEntries {
		r.serials[e.SerialNumber.String()] = e.RevocationTime
	}
	return r, nil
}

// revoked returns ErrRevoked iff c is on the list of its issuer.
func (m *material) revoked(c *x509.Certificate) error {
	for _, r := range m.lists {
		if !bytes.Equal(c.RawIssuer, r.issuer.RawSubject) {
			continue
		}
		at, listed := r.serials[c.SerialNumber.String()]
		if listed && c.CheckSignatureFrom(r.issuer) == nil {
			return fmt.Errorf("%w: %s, serial %x, on %s", ErrRevoked, c.Subject, c.SerialNumber, day(at))
		}
	}
	return nil
}

// unrevoked accepts a peer of whom one chain to an authority is free of revoked certificates.
func (m *material) unrevoked(chains [][]*x509.Certificate) (err error) {
	for _, chain := range chains {
		if err = m.revokedIn(chain); err == nil {
			return nil
		}
	}
	return err
}

func (m *material) revokedIn(chain []*x509.Certificate) error {
	for _, c := range chain {
		if err := m.revoked(c); err != nil {
			return err
		}
	}
	return nil
}
