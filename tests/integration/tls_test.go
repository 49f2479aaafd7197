package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	rkclient "github.com/redkeep/redkeep/client"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// runVerb runs a client verb and returns what it printed on either stream.
func runVerb(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(node.Binary(t), args...).CombinedOutput()
	return string(out), err
}

// TestTLSEverywhere: three nodes that speak only TLS serve every kind of client, lose a node by kill -9 and
// take it back.
func TestTLSEverywhere(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, TLS: true})
	must(t, client(t, c.Nodes[0]).Set(bg, "by", "go-redis", 0).Err())
	useRealClients(t, c)
	load := writers(t, c, 2)
	down := c.Leader()
	down.Kill9()
	awaitWrites(t, load, 100)
	down.Start()
	awaitWrites(t, load, 100)
	load.end()
	sameState(t, c)
	if total, gone := load.missing(t, down); gone > 0 || total < 200 {
		t.Errorf("%d of %d acknowledged writes are missing on the node that was killed", gone, total)
	}
}

func awaitWrites(t *testing.T, l *ledger, more int64) {
	t.Helper()
	want := l.count.Load() + more
	node.Eventually(t, 60*time.Second, "writes are acknowledged", func() error {
		if l.count.Load() < want {
			return errors.New("too few")
		}
		return nil
	})
}

const withRedisPy = `
import redis, sys
host, port, ca, cert, key = sys.argv[1:]
r = redis.Redis(host=host, port=int(port), ssl=True, ssl_ca_certs=ca, ssl_certfile=cert, ssl_keyfile=key)
assert r.set("py", "redis-py"), "SET"
assert r.get("by") == b"go-redis", r.get("by")
p = r.pipeline()
p.incr("n"); p.incr("n")
assert p.execute() == [1, 2]
s = r.pubsub(); s.subscribe("watch:py"); s.get_message(timeout=5)
r.set("py", "again")
m = s.get_message(timeout=5)
assert m and b'"value":"again"' in m["data"], m
def refused(error, ask):
    try:
        return ask() and False
    except error:
        return True
plain = dict(host=host, port=int(port), ssl=True, ssl_ca_certs=ca)
def user(**login):
    return redis.Redis(**plain, ssl_certfile=cert, ssl_keyfile=key, **login)
wrong = (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError)
r.execute_command("ACL", "SETUSER", "py", "on", ">pw", "~py*", "+@all")
assert user(username="py", password="pw").get("py") == b"again", "GET of a user with a password"
assert refused(redis.exceptions.NoPermissionError, lambda: user(username="py", password="pw").get("by"))
assert refused(wrong, user(username="py", password="other").ping), "a wrong password"
assert r.config_set("requirepass", "sesam"), "CONFIG SET requirepass"
assert refused(wrong, user().ping), "no password"
assert user(password="sesam").ping(), "requirepass"
assert b"sesam" not in repr(r.config_get("*")).encode(), "CONFIG GET"
r.config_set("requirepass", "")
assert refused(redis.exceptions.ConnectionError, redis.Redis(**plain).ping), "no certificate"
print("ok")
`

// useRealClients: redis-cli, redis-py and redkeep itself, each with and without a certificate.
func useRealClients(t *testing.T, c *node.Cluster) {
	t.Helper()
	ca, cert, key := c.Certs+"/ca.pem", c.Certs+"/clients/admin.pem", c.Certs+"/clients/admin-key.pem"
	files := []string{"--cacert", ca, "--cert", cert, "--key", key}
	host, port, err := net.SplitHostPort(c.Nodes[1].ClientAddr)
	must(t, err)
	cli := []string{"-h", host, "-p", port, "--tls"}
	out, err := exec.Command("redis-cli", append(append(cli, files...), "GET", "by")...).CombinedOutput()
	if err != nil || string(out) != "go-redis\n" {
		t.Errorf("redis-cli --tls: %q, %v", out, err)
	}
	out, _ = exec.Command("redis-cli", append(cli, "--cacert", ca, "GET", "by")...).CombinedOutput()
	if strings.Contains(string(out), "go-redis") {
		t.Errorf("redis-cli without a certificate is served: %q", out)
	}
	py := exec.Command("/usr/bin/python3", "-c", withRedisPy, host, port, ca, cert, key)
	if out, err := py.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("redis-py (Debian package python3-redis): %v\n%s", err, out)
	}
	useClientPackage(t, c, ca, cert, key)
	all := "--endpoints=" + strings.Join(c.Addrs(), ",")
	if out, err := runVerb(t, append(files, all, "get", "by")...); err != nil || out != "by\ngo-redis\n" {
		t.Errorf("redkeep get: %q, %v", out, err)
	}
	out2, err := runVerb(t, all, "--cacert", ca, "get", "by")
	if err == nil || !strings.Contains(out2, "certificate") {
		t.Errorf("redkeep get without a certificate: %q, %v", out2, err)
	}
	out2, err = runVerb(t, all, "--tls", "get", "by")
	if err == nil || !strings.Contains(out2, "unknown authority") {
		t.Errorf("redkeep get without the authority: %q, %v", out2, err)
	}
	out2, err = runVerb(t, all, "--insecure-skip-verify", "--cert", cert, "--key", key, "get", "by")
	if err != nil {
		t.Errorf("redkeep get --insecure-skip-verify: %q, %v", out2, err)
	}
}

// useClientPackage watches a key over TLS, as a program in Go does.
func useClientPackage(t *testing.T, c *node.Cluster, ca, cert, key string) {
	t.Helper()
	secure, err := rkclient.TLS(ca, cert, key)
	must(t, err)
	w, err := rkclient.New(rkclient.Config{Endpoints: c.Addrs(), TLS: secure})
	must(t, err)
	defer w.Close()
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	events := w.Watch(ctx, "watched")
	node.Eventually(t, 20*time.Second, "an event over TLS", func() error {
		if err := client(t, c.Nodes[2]).Set(bg, "watched", "x", 0).Err(); err != nil {
			return err
		}
		select {
		case r := <-events:
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			return nil
		case <-time.After(100 * time.Millisecond):
			return errors.New("nothing yet")
		}
	})
}

// TestWhoMayBeAMember: a node without TLS, with a certificate of another authority, with another name, and
// one that is revoked are kept out, whatever their address; the others go on.
func TestWhoMayBeAMember(t *testing.T) {
	c := node.New(t, node.Options{Nodes: 3, TLS: true})
	bad := c.Nodes[2]
	good := bad.Flags
	elsewhere := filepath.Join(t.TempDir(), "other")
	for _, args := range [][]string{
		{"create", "--dir", elsewhere, "--nodes", bad.Name + "=" + node.Host()},
		{"node", "--dir", c.Certs, "elsewhere=10.9.9.9"},
	} {
		if out, err := runVerb(t, append([]string{"cert"}, args...)...); err != nil {
			t.Fatal(out)
		}
	}
	renamed := append(node.SecureFlags(filepath.Join(c.Certs, "elsewhere"), bad.ClientAddr),
		"--peer-tls-allowed-name", "elsewhere,"+node.Host()) // what it allows itself is its own affair
	c.Nodes[0].Launch()
	c.Nodes[1].Launch()
	c.Nodes[0].WaitReady()
	must(t, client(t, c.Nodes[0]).Set(bg, "k", "v", 0).Err())
	for _, tc := range []struct {
		name  string
		flags []string
		why   string // in the log of one who refused
	}{
		{"plain", []string{"--client-addr", "", "--tls-addr", bad.ClientAddr, "--auto-tls"},
			"not look like a TLS handshake"},
		{"another authority", node.SecureFlags(filepath.Join(elsewhere, bad.Name), bad.ClientAddr),
			"unknown authority"},
		{"another name", renamed, `allowed: it says CN=elsewhere, elsewhere, 10.9.9.9"`}, // where it has dialled
		{"another secret", []string{"--peer-auto-tls", "--peer-secret-file", secretFile(t)}, "unknown authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad.Flags = tc.flags
			before := [2]int{len(c.Nodes[0].Proc.Output()), len(c.Nodes[1].Proc.Output())}
			bad.Launch()
			node.Eventually(t, 30*time.Second, "it is refused", func() error {
				log := c.Nodes[0].Proc.Output()[before[0]:] + c.Nodes[1].Proc.Output()[before[1]:]
				if !strings.Contains(log, tc.why) {
					return errors.New("nobody says " + tc.why)
				}
				return nil
			})
			if strings.Contains(bad.Proc.Output(), node.ReadyLine) {
				t.Error("it is served by the others")
			}
			bad.Kill9()
		})
	}
	must(t, client(t, c.Nodes[1]).Set(bg, "k", "w", 0).Err())
	bad.Flags = good
	bad.Start()
	sameState(t, c)
}

func secretFile(t *testing.T) string {
	t.Helper()
	out, err := runVerb(t, "cert", "secret")
	must(t, err)
	path := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(out), 0o600))
	return path
}

// TestAutoTLS: one secret is all that three nodes need, and one authority all that clients need.
func TestAutoTLS(t *testing.T) {
	secret := secretFile(t)
	c := node.New(t, node.Options{Nodes: 3})
	for _, n := range c.Nodes {
		n.Flags = []string{"--client-addr", "", "--tls-addr", n.ClientAddr, "--auto-tls", "--peer-auto-tls",
			"--peer-secret-file", secret, "--http-tls"}
		t.Cleanup(wire.UseTLS(n.ClientAddr, &tls.Config{InsecureSkipVerify: true}))
	}
	c.StartAll()
	ca := c.Nodes[0].Dir + "/tls/client/ca.pem"
	for _, n := range c.Nodes { // the authority of one node is that of all
		out, err := runVerb(t, "--endpoints", n.ClientAddr, "--cacert", ca, "put", n.Name, "x")
		if err != nil || out != "OK\n" {
			t.Errorf("%s: %q, %v", n.Name, out, err)
		}
		info, err := os.Stat(n.Dir + "/tls/client/node.pem")
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	before, err := os.ReadFile(ca)
	must(t, err)
	c.Nodes[0].Restart()
	after, err := os.ReadFile(ca)
	if err != nil || string(before) != string(after) {
		t.Errorf("a restart changes the authority: %v", err)
	}
	sameState(t, c)
}

// TestPlainAndTLSBesideEachOther: one node, both client ports, and an HTTP port that asks for a certificate.
func TestPlainAndTLSBesideEachOther(t *testing.T) {
	c := node.New(t, node.Options{TLS: true})
	n, addr := c.Nodes[0], node.FreeAddr(t)
	secure := n.ClientAddr
	n.ClientAddr = addr
	n.Flags = append(n.Flags, "--client-addr", addr, "--http-tls")
	n.Start()
	plain, err := wire.Dial(addr)
	must(t, err)
	defer plain.Close()
	crypted, err := wire.Dial(secure)
	must(t, err)
	defer crypted.Close()
	expect(t, plain, "+OK\r\n", "SET", "k", "v")
	expect(t, crypted, "$1\r\nv\r\n", "GET", "k")
	for _, who := range []string{"admin", ""} {
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: node.ClientTLS(t, c.Certs, who)}}
		body, err := fetch(web, "https://"+n.HTTPAddr+"/metrics")
		web.CloseIdleConnections()
		if (err == nil) != (who == "admin") {
			t.Errorf("/metrics as %q: %v", who, err)
		}
		for _, secret := range []string{"PRIVATE KEY", "CERTIFICATE", c.Certs} {
			if strings.Contains(body, secret) {
				t.Errorf("/metrics shows %q", secret)
			}
		}
	}
}

func fetch(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

// TestRotation: all certificates of a cluster are renewed under it while clients write; no connection ends.
// Then a broken file: the old ones stay, and the node says so everywhere.
func TestRotation(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, TLS: true})
	conns := make([]*wire.Conn, 3)
	for i, n := range c.Nodes {
		conns[i] = raw(t, n)
		expect(t, conns[i], "+OK\r\n", "SET", n.Name, "before")
	}
	if out, err := runVerb(t, "cert", "renew", "--dir", c.Certs); err != nil {
		t.Fatal(out)
	}
	for _, n := range c.Nodes {
		n.Proc.Signal(syscall.SIGHUP)
		node.Eventually(t, 30*time.Second, n.Name+" takes the new files", func() error {
			for _, file := range []string{"server.pem", "peer.pem"} {
				serial := "serial=" + serialOf(t, filepath.Join(c.Certs, n.Name, file))
				if !strings.Contains(n.Proc.Output(), serial) {
					return errors.New("not yet " + file)
				}
			}
			return nil
		})
	}
	for i, n := range c.Nodes {
		expect(t, conns[i], "+OK\r\n", "SET", n.Name, "after")
		must(t, client(t, n).Set(bg, n.Name, "new connection", 0).Err())
	}
	n := c.Nodes[0]
	must(t, os.WriteFile(c.Certs+"/"+n.Name+"/server.pem", []byte("broken"), 0o600))
	node.Eventually(t, 30*time.Second, "the node tells", func() error { // by itself, without a signal
		if r := n.Do("CLUSTER.STATUS"); !strings.Contains(r.Raw, "cannot be used") {
			return errors.New("no trouble in CLUSTER.STATUS")
		}
		return nil
	})
	must(t, client(t, n).Set(bg, "k", "old certificate", 0).Err())
	if out := n.Proc.Output(); !strings.Contains(out, "level=ERROR") {
		t.Error("no error in the log")
	}
	body, err := fetch(http.DefaultClient, "http://"+n.HTTPAddr+"/metrics")
	if err != nil || !strings.Contains(body, `redkeep_tls_reload_failing{use="client"} 1`) {
		t.Errorf("the metric: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	expect(t, conns[0], "+PONG\r\n", "PING")
}

func serialOf(t *testing.T, path string) string {
	t.Helper()
	block, _ := pem.Decode(mustRead(t, path))
	c, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return fmt.Sprintf("%x", c.SerialNumber)
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// TestHalfHandshakesEnd: on every port, of those who begin one and say no more.
func TestHalfHandshakesEnd(t *testing.T) {
	n := node.Start(t, node.Options{TLS: true, Flags: []string{"--http-tls"}}).Nodes[0]
	var conns []net.Conn
	for _, addr := range []string{n.ClientAddr, n.PeerAddr, n.HTTPAddr} {
		for _, say := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
			c, err := net.Dial("tcp", addr)
			must(t, err)
			defer c.Close()
			_, err = io.WriteString(c, say)
			must(t, err)
			conns = append(conns, c)
		}
	}
	expect(t, raw(t, n), "+PONG\r\n", "PING")
	for _, c := range conns {
		must(t, c.SetReadDeadline(time.Now().Add(60*time.Second)))
		if b, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s still waits for the rest of a handshake, and has said %q", c.RemoteAddr(), b)
		}
	}
}

// TestRevocation: who is revoked is cut off and kept out on every port, a client and a member; nobody else
// notices.
func TestRevocation(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, TLS: true, Flags: []string{"--http-tls"}})
	if out, err := runVerb(t, "cert", "client", "eve", "--dir", c.Certs); err != nil {
		t.Fatal(out)
	}
	n, gone := c.Nodes[0], c.Nodes[2]
	eve := client(t, n, func(o *redis.Options) { o.TLSConfig = node.ClientTLS(t, c.Certs, "eve") })
	conn := raw(t, n)
	must(t, eve.Set(bg, "k", "v", 0).Err())
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: node.ClientTLS(t, c.Certs, "eve")}}
	defer web.CloseIdleConnections()
	if body, err := fetch(web, "https://"+n.HTTPAddr+"/livez"); err != nil || body != "ok\n" {
		t.Fatalf("/livez: %q, %v", body, err)
	}
	revoke(t, c, "clients/eve.pem")
	node.Eventually(t, 30*time.Second, "her connection is cut and she is kept out", func() error {
		if eve.Ping(bg).Err() == nil {
			return errors.New("she is served")
		}
		return nil
	})
	for _, what := range []string{"the open connection", "a new one"} {
		if body, err := fetch(web, "https://"+n.HTTPAddr+"/livez"); err == nil && body == "ok\n" {
			t.Errorf("/livez is answered on %s", what)
		}
		web.CloseIdleConnections()
	}
	expect(t, conn, "+PONG\r\n", "PING")
	if out := n.Proc.Output(); !strings.Contains(out, "client cut") {
		t.Error("the log does not say that a client was cut")
	}
	revoke(t, c, gone.Name+"/peer.pem")
	node.Eventually(t, 60*time.Second, "the member is on its own", func() error {
		st, err := gone.Status()
		if err == nil && st["leader"] != "" {
			err = errors.New("it knows a leader")
		}
		return err
	})
	node.Eventually(t, 60*time.Second, "the others go on", func() error {
		return client(t, n).Incr(bg, "n").Err()
	})
	if out := n.Proc.Output() + c.Nodes[1].Proc.Output(); !strings.Contains(out, "has been revoked") {
		t.Error("no log says that a member was refused")
	}
}

func revoke(t *testing.T, c *node.Cluster, file string) {
	t.Helper()
	if out, err := runVerb(t, "cert", "revoke", filepath.Join(c.Certs, file), "--dir", c.Certs); err != nil {
		t.Fatal(out)
	}
}

// TestBadCertificatesDoNotStart: what the others would refuse, the node refuses itself, in one clear line.
func TestBadCertificatesDoNotStart(t *testing.T) {
	c := node.New(t, node.Options{TLS: true})
	n, dir := c.Nodes[0], c.Certs
	good := n.Flags
	if out, err := runVerb(t, "cert", "node", "--dir", dir, "elsewhere=10.9.9.9"); err != nil {
		t.Fatal(out)
	}
	weak := filepath.Join(t.TempDir(), "weak")
	must(t, os.WriteFile(weak, []byte("swordfish\n"), 0o600))
	own := filepath.Join(dir, n.Name)
	for _, tc := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"no file", []string{"--tls-cert-file", "/nowhere.pem"}, []string{"client certificates", "/nowhere.pem"}},
		{"another key", []string{"--tls-key-file", own + "/peer-key.pem"}, []string{"peer-key.pem", "private key"}},
		{"clients' authority for members", []string{"--peer-tls-ca-file", own + "/ca.pem"},
			[]string{"peer certificates", "peer-crl.pem"}},
		{"of another host", []string{"--peer-tls-cert-file", dir + "/elsewhere/peer.pem", "--peer-tls-key-file",
			dir + "/elsewhere/peer-key.pem"}, []string{"no name in the certificate is allowed", "10.9.9.9"}},
		{"not the allowed name", []string{"--peer-tls-allowed-name", "*.db.example"},
			[]string{"no name in the certificate is allowed"}},
		{"weak secret", []string{"--peer-tls-cert-file", "", "--peer-tls-key-file", "", "--peer-tls-ca-file", "",
			"--peer-tls-crl-file", "", "--peer-auto-tls", "--peer-secret-file", weak},
			[]string{weak, "32 characters"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n.Flags = append(append([]string{}, good...), tc.flags...)
			refused(t, n, tc.want...)
		})
	}
}
