package node

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// secure makes the nodes of a cluster speak nothing but TLS, to clients and to each other, with certificates
// from the product's own `cert create`; both sides demand one of the other. The folder is Cluster.Certs.
func (c *Cluster) secure(binary string) {
	c.t.Helper()
	c.Certs = filepath.Join(c.t.TempDir(), "certs")
	var list []string
	for _, n := range c.Nodes {
		list = append(list, n.Name+"="+HostOf(n.PeerAddr))
	}
	cmd := exec.Command(binary, "cert", "create", "--dir", c.Certs, "--nodes", strings.Join(list, ","))
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	cfg := ClientTLS(c.t, c.Certs, "admin")
	for _, n := range c.Nodes {
		n.Flags = append(n.Flags, SecureFlags(filepath.Join(c.Certs, n.Name), n.ClientAddr)...)
		c.t.Cleanup(wire.UseTLS(n.ClientAddr, cfg))
	}
}

// demandPassword gives the default user a password, at every node, and has the test log in with it.
func (c *Cluster) demandPassword() {
	c.t.Helper()
	const password = "between us"
	file := filepath.Join(c.t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for _, n := range c.Nodes {
		n.Flags = append(n.Flags, "--default-password-file", file)
		c.t.Cleanup(wire.UsePassword(n.ClientAddr, password))
	}
}

// SecureFlags are those of a node whose folder is dir, as `cert create` fills it, and whose only client
// address is addr.
func SecureFlags(dir, addr string) []string {
	return []string{"--client-addr", "", "--tls-addr", addr,
		"--tls-cert-file", dir + "/server.pem", "--tls-key-file", dir + "/server-key.pem",
		"--tls-ca-file", dir + "/ca.pem", "--tls-crl-file", dir + "/crl.pem",
		"--peer-tls-cert-file", dir + "/peer.pem",
		"--peer-tls-key-file", dir + "/peer-key.pem", "--peer-tls-ca-file", dir + "/peer-ca.pem",
		"--peer-tls-crl-file", dir + "/peer-crl.pem"}
}

// ClientTLS reads the certificate of a client from a folder of `cert create`; "" for none.
func ClientTLS(t testing.TB, dir, name string) *tls.Config {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AppendCertsFromPEM(raw)
	if name == "" {
		return cfg
	}
	base := filepath.Join(dir, "clients", name)
	pair, err := tls.LoadX509KeyPair(base+".pem", base+"-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg
}

// HostOf is the host of an address.
func HostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
