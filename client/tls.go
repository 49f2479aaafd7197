package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// ErrNoAuthority means that a file of authorities holds no certificate.
var ErrNoAuthority = errors.New("client: no certificate in PEM form")

// TLS reads what Config.TLS needs from PEM files: the authorities that the nodes' certificates come from (""
// for those of this machine), and the certificate that this program shows to nodes, with its key ("" for
// none).
//
// The files are read once. A program that outlives its certificate sets GetClientCertificate instead.
func TLS(ca, cert, key string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		raw, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("%w: %s", ErrNoAuthority, ca)
		}
	}
	if cert == "" && key == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}
