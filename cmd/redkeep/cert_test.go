package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/certs"
)

// TestCertVerbs: what `cert create` makes fits together, is private, and is never overwritten.
func TestCertVerbs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	run := func(want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := do(nil, "", append([]string{"cert"}, args...)...)
		if code != want {
			t.Fatalf("cert %v: exit %d, %s%s", args, code, stdout, stderr)
		}
		return stdout + stderr
	}
	run(exitOK, "create", "--dir", dir, "--nodes", "n1=10.0.0.1+db1.example,n2=::2")
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		info, _ := d.Info()
		if secret := strings.HasSuffix(path, "-key.pem"); err == nil && secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for side, name := range map[string]string{"n1/server": "", "n2/peer": "peer-", "clients/admin": ""} {
		leaf, ca := firstCert(filepath.Join(dir, side+".pem")), firstCert(filepath.Join(dir, name+"ca.pem"))
		if leaf == nil || leaf.CheckSignatureFrom(ca) != nil {
			t.Errorf("%s does not come from %sca.pem", side, name)
		}
	}
	server := firstCert(filepath.Join(dir, "n1/server.pem"))
	for _, host := range []string{"10.0.0.1", "db1.example", "localhost"} {
		if err := server.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	before := read("ca-key.pem")
	out := run(exitFailure, "create", "--dir", dir, "--nodes", "n3=h")
	if !strings.Contains(out, "not overwritten") {
		t.Error(out)
	}
	if !slices.Equal(before, read("ca-key.pem")) {
		t.Fatal("the authority was overwritten")
	}
	run(exitOK, "client", "alice", "--dir", dir)
	run(exitFailure, "client", "alice", "--dir", dir)
	run(exitBadArgs, "client", "../alice", "--dir", dir)
	run(exitOK, "node", "n3=h3", "--dir", dir)
	run(exitFailure, "node", "n3=h3", "--dir", dir)
	if !slices.Equal(read("n3/peer-ca.pem"), read("peer-ca.pem")) {
		t.Error("the new node trusts others")
	}
	out = run(exitOK, "show", filepath.Join(dir, "clients/alice.pem"))
	if !strings.Contains(out, "CN=alice") || !strings.Contains(out, "(valid)") {
		t.Error(out)
	}
	run(exitOK, "revoke", filepath.Join(dir, "clients/alice.pem"), "--dir", dir)
	revoked, old := read("clients/alice.pem"), read("n1/peer.pem")
	if out = run(exitOK, "renew", "--dir", dir); !strings.Contains(out, "alice.pem is revoked") {
		t.Error(out)
	}
	if slices.Equal(old, read("n1/peer.pem")) || !slices.Equal(revoked, read("clients/alice.pem")) {
		t.Error("renew took the wrong ones")
	}
	if !slices.Equal(read("crl.pem"), read("n3/crl.pem")) {
		t.Error("the nodes' lists are old")
	}
	for _, args := range [][]string{{"create"}, {"create", "--nodes", "n1"}, {"create", "--nodes", "../x=h"},
		{"create", "--nodes", "a=h:1"}, {"create", "--nodes", "a=h,a=i"}, {"create", "--nodes", "clients=h"}} {
		run(exitBadArgs, append(args, "--dir", filepath.Join(dir, "none"))...)
	}
	if secret := strings.TrimSpace(run(exitOK, "secret")); len(secret) < 32 || secret == certs.NewSecret() {
		t.Errorf("secret %q", secret)
	}
}

// TestTLSSettingsRefused: half a protection is an error that says what is missing.
func TestTLSSettingsRefused(t *testing.T) {
	pair := []string{"--tls-cert-file=c", "--tls-key-file=k"}
	peers := []string{"--peer-tls-cert-file=c", "--peer-tls-key-file=k"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-addr=h:1"}, "--tls-addr needs --tls-cert-file and --tls-key-file, or --auto-tls"},
		{[]string{"--http-tls=true"}, "--http-tls needs"},
		{pair, "of no use without --tls-addr or --http-tls"},
		{[]string{"--tls-addr=h:1", "--tls-cert-file=c"}, "--tls-cert-file and --tls-key-file need each other"},
		{append(pair, "--tls-addr=h:1", "--auto-tls=true"), "--auto-tls and --tls-cert-file exclude each other"},
		{append(pair, "--tls-addr=h:1", "--tls-client-auth=require"),
			"--tls-client-auth require needs --tls-ca-file"},
		{append(pair, "--tls-addr=h:1", "--tls-client-auth=maybe"), "must be one of none, optional, require"},
		{append(pair, "--tls-addr=h:1", "--tls-crl-file=r"), "--tls-crl-file needs --tls-ca-file"},
		{[]string{"--tls-ca-file=a"}, "need --tls-cert-file or --auto-tls"},
		{[]string{"--tls-min-version=1.1"}, "must be 1.2 or 1.3"},
		{[]string{"--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA"}, "is no safe suite of TLS 1.2"},
		{[]string{"--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "--tls-min-version=1.3"},
			"which --tls-min-version excludes"},
		{[]string{"--auto-tls=perhaps"}, "must be one of true, false"},
		{peers, "--peer-tls-cert-file needs --peer-tls-ca-file"},
		{[]string{"--peer-tls-allowed-name=n1"}, "--peer-tls-allowed-name needs"},
		{[]string{"--peer-auto-tls=true", "--peer-tls-allowed-name=n1"}, "who knows the secret is a member"},
		{[]string{"--peer-tls-allowed-name=a*.b"}, `"a*.b" must be a name, an IP address or *.domain`},
		{[]string{"--peer-auto-tls=true", "--peer-tls-ca-file=a"}, "exclude it"},
		{[]string{"--peer-secret-file=s"}, "--peer-secret-file needs --peer-auto-tls"},
		{[]string{"--peer-auto-tls=true", "--name=a", "--initial-cluster=a=h:1,b=h:2"},
			"--peer-auto-tls needs --peer-secret-file"},
	} {
		_, err := readSettings(t, "", nil, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q on one line", c.args, err, c.want)
		}
	}
	s, err := readSettings(t, "", nil, append(pair, "--client-addr=", "--tls-addr=h:1", "--tls-ca-file=a")...)
	if err != nil || s.tls.client.auth != authRequire || s.peerAddr != "h:10001" {
		t.Errorf("an authority alone: client certificates %q, peers at %s, %v", s.tls.client.auth, s.peerAddr, err)
	}
}
