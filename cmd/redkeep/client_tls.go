package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/pflag"
)

// clientTLS is how the client verbs protect their connections: etcdctl's flags, and --tls for a node whose
// certificate comes from an authority that this machine trusts anyway.
type clientTLS struct {
	on            bool
	ca, cert, key string // files
	name          string
	trustAnyone   bool
	config        *tls.Config // nil: plain connections
}

func (t *clientTLS) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&t.on, "tls", false, "connect with TLS; implied by the flags below")
	f.StringVar(&t.ca, "cacert", "",
		"authorities that the nodes' certificates come from, PEM (default: this machine's)")
	f.StringVar(&t.cert, "cert", "", "certificate to show to nodes, PEM")
	f.StringVar(&t.key, "key", "", "its private key, PEM")
	f.StringVar(&t.name, "tls-server-name", "",
		"name that the nodes' certificates must carry (default: the endpoint's host)")
	f.BoolVar(&t.trustAnyone, "insecure-skip-tls-verify", false,
		"take any certificate for a node's: whoever is in between reads and writes everything")
}

// alsoKnownAs lets a flag be written in another way.
func alsoKnownAs(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "insecure-skip-verify" {
		name = "insecure-skip-tls-verify"
	}
	return pflag.NormalizedName(name)
}

// prepare reads the files. A mistake in them is one of the command line.
func (t *clientTLS) prepare() error {
	if !t.on && t.ca+t.cert+t.key+t.name == "" && !t.trustAnyone {
		return nil
	}
	if (t.cert == "") != (t.key == "") {
		return badArgsf("--cert and --key need each other")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.name, InsecureSkipVerify: t.trustAnyone}
	if t.ca != "" {
		raw, err := os.ReadFile(t.ca)
		if err != nil {
			return badArgsf("--cacert %s: %w", t.ca, plainReason(err))
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(raw) {
			return badArgsf("--cacert %s: no certificate in PEM form", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return badArgs{fmt.Errorf("--cert %s, --key %s: %w", t.cert, t.key, err)}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	t.config = cfg
	return nil
}

// dial connects and, with TLS, shakes hands.
func (t *clientTLS) dial(ctx context.Context, d *net.Dialer, addr string) (net.Conn, error) {
	if t.config == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: t.config}).DialContext(ctx, "tcp", addr)
}

// isDistrust reports whether we refused a node's certificate: nothing was sent to it.
func isDistrust(err error) bool {
	var refused *tls.CertificateVerificationError
	return errors.As(err, &refused)
}
