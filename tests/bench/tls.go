package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
)

// What TLS costs: the same cluster twice, once with TLS 1.3 and certificates on both sides of every
// connection, those of clients and those between members. The clients' own encryption is paid for on the
// same machine.

const tlsScenario = "SET over TLS 1.3, 64 clients"

// tlsKeeps is the least share of the plain rate.
const tlsKeeps = 0.7

// secureAddr is where a node of this measurement speaks TLS: the port of its plain address on another
// loopback address.
func secureAddr(plain string) string {
	_, port, _ := net.SplitHostPort(plain)
	return net.JoinHostPort("127.0.0.2", port)
}

// makeCerts lets the product make certificates, one set for all nodes, and returns flags and the clients'
// side.
func makeCerts(c config) ([]string, *tls.Config, error) {
	dir := filepath.Join(c.dir, "certs")
	out, err := exec.Command(c.binary, "cert", "create", "--dir", dir, "--nodes", "n=127.0.0.1+127.0.0.2").
		CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("cert create: %w: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, nil, err
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "clients", "admin.pem"),
		filepath.Join(dir, "clients", "admin-key.pem"))
	if err != nil {
		return nil, nil, err
	}
	client := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool(),
		Certificates: []tls.Certificate{own}}
	client.RootCAs.AppendCertsFromPEM(raw)
	node := filepath.Join(dir, "n")
	return []string{"--tls-addr", "{tls}", "--tls-min-version", "1.3",
		"--tls-cert-file", node + "/server.pem", "--tls-key-file", node + "/server-key.pem",
		"--tls-ca-file", node + "/ca.pem", "--peer-tls-cert-file", node + "/peer.pem",
		"--peer-tls-key-file", node + "/peer-key.pem", "--peer-tls-ca-file", node + "/peer-ca.pem"}, client, nil
}

// measureTLS runs SETs against both clusters, one round after the other.
func measureTLS(c config, ps *processes, t *table) error {
	flags, secure, err := makeCerts(c)
	if err != nil {
		return err
	}
	plain, err := startRedkeep(c, ps, "plain", 3)
	if err != nil {
		return err
	}
	crypted, err := startRedkeep(c, ps, "crypted", 3, flags...)
	if err != nil {
		return err
	}
	plain.name, crypted.name = "plain", "TLS"
	crypted.dial = func(addr string) (conn, error) {
		r := redis.NewClient(&redis.Options{Addr: secureAddr(addr), PoolSize: 1, MaxRetries: -1,
			ReadTimeout: 30 * time.Second, TLSConfig: secure})
		return redisConn{r}, r.Ping(context.Background()).Err()
	}
	of := func(s *system) func(uint64) (float64, error) {
		return func(seed uint64) (float64, error) {
			if err := s.settle(); err != nil {
				return 0, err
			}
			return round(s, scenario{clients: 64, op: setOne}, c.round, c.spread, seed)
		}
	}
	rates, err := inTurn(c.rounds, of(plain), of(crypted))
	if err != nil {
		return fmt.Errorf("%s: %w", tlsScenario, err)
	}
	t.overTLS = rates[1] / rates[0]
	fmt.Printf("SET/s with 64 clients: %.0f in the clear, %.0f over TLS (%.0f %%)\n", rates[0], rates[1],
		100*t.overTLS)
	ps.killAll()
	return nil
}
