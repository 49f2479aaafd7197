package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day1 = 24 * time.Hour

// stage is a folder with an authority, and a clock that the test moves.
type stage struct {
	t   *testing.T
	dir string
	ca  *Authority
	mu  struct {
		sync.Mutex
		now time.Time
		log strings.Builder
	}
}

func newStage(t *testing.T) *stage {
	st := &stage{t: t, dir: t.TempDir()}
	st.mu.now = time.Now()
	st.ca = st.authority("ca")
	return st
}

func (st *stage) now() time.Time {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.mu.now
}

func (st *stage) move(d time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mu.now = st.mu.now.Add(d)
}

// Write takes the log.
func (st *stage) Write(b []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.mu.log.Write(b)
}

func (st *stage) logged() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.mu.log.String()
}

func (st *stage) path(name string) string { return filepath.Join(st.dir, name) }

func (st *stage) write(name string, content []byte) {
	st.t.Helper()
	if err := ReplaceFile(st.path(name), content, 0o600); err != nil {
		st.t.Fatal(err)
	}
}

// authority makes one and writes its certificate to name.pem.
func (st *stage) authority(name string) *Authority {
	st.t.Helper()
	a, err := NewAuthority(name, st.now(), 1000*day1)
	if err != nil {
		st.t.Fatal(err)
	}
	st.write(name+".pem", a.CertPEM())
	return a
}

// issue writes a certificate good for both sides to name.pem and its key to name-key.pem.
func (st *stage) issue(a *Authority, name string, hosts ...string) *x509.Certificate {
	st.t.Helper()
	cert, key, err := a.Issue(Request{CommonName: name, Hosts: hosts, Server: true, Client: true,
		Life: 100 * day1}, st.now())
	if err != nil {
		st.t.Fatal(err)
	}
	st.write(name+"-key.pem", key)
	st.write(name+".pem", cert)
	return st.leaf(name)
}

func (st *stage) leaf(name string) *x509.Certificate {
	st.t.Helper()
	raw, err := os.ReadFile(st.path(name + ".pem"))
	if err != nil {
		st.t.Fatal(err)
	}
	list, err := ParsePEM(raw)
	if err != nil {
		st.t.Fatal(err)
	}
	return list[0]
}

func (st *stage) files(name string) Files {
	return Files{Cert: st.path(name + ".pem"), Key: st.path(name + "-key.pem"), CA: st.path("ca.pem")}
}

// open is Open with the clock of the stage and files looked at only when the test says so.
func (st *stage) open(cfg Config) *Store {
	st.t.Helper()
	s, err := st.tryOpen(cfg)
	if err != nil {
		st.t.Fatal(err)
	}
	return s
}

func (st *stage) tryOpen(cfg Config) (*Store, error) {
	cfg.Use, cfg.Clock, cfg.Every = "test", st.now, time.Hour
	cfg.Logger = slog.New(slog.NewTextHandler(st, nil))
	s, err := Open(cfg)
	if err == nil {
		st.t.Cleanup(s.Close)
	}
	return s, err
}

func (st *stage) config(name string) *Store { return st.open(Config{Files: st.files(name)}) }

// shake connects client and server in memory; both errors are returned.
func shake(t *testing.T, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		s := tls.Server(c, server)
		if err = s.Handshake(); err == nil {
			_, err = s.Write([]byte("."))
		}
		ended <- err
	}()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	c := tls.Client(raw, client)
	if atClient = c.Handshake(); atClient == nil {
		_, atClient = c.Read(make([]byte, 1))
	}
	return <-ended, atClient
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain until " + what)
		}
	}
}

// TestWhoIsLetIn plays every bad certificate against a port and against a dial.
func TestWhoIsLetIn(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "10.0.0.1", "node.peers")
	other := st.authority("other")
	st.issue(st.ca, "good", "10.0.0.2")
	st.issue(st.ca, "renamed", "10.9.9.9")
	st.issue(other, "stranger", "10.0.0.2")
	gone := st.issue(st.ca, "gone", "10.0.0.2")
	st.selfSigned("self", "10.0.0.2")
	st.expired("expired", "10.0.0.2")
	list, err := st.ca.Revoke(nil, st.now(), day1, gone)
	if err != nil {
		t.Fatal(err)
	}
	st.write("crl.pem", list)
	files := st.files("node")
	files.CRL = st.path("crl.pem")
	s := st.open(Config{Files: files})
	rules := Rules{ClientAuth: AuthRequire, Allow: hosted("10.0.0.1", "10.0.0.2")}
	for _, c := range []struct{ who, why string }{
		{"good", ""},
		{"renamed", ErrNameRefused.Error()},
		{"stranger", "unknown authority"},
		{"gone", ErrRevoked.Error()},
		{"self", "unknown authority"},
		{"expired", "has expired"},
	} {
		pair, err := tls.LoadX509KeyPair(st.path(c.who+".pem"), st.path(c.who+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		asClient := &tls.Config{InsecureSkipVerify: true}
		asClient.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &pair, nil // whatever authorities the server names
		}
		atServer, atClient := shake(t, s.Server(rules), asClient)
		if expect(t, c.who+" dials", c.why, atServer); c.why != "" && atClient == nil {
			t.Errorf("%s dials, and is served", c.who)
		}
		asServer := &tls.Config{Certificates: []tls.Certificate{pair}}
		_, refused := shake(t, asServer, s.Dial(rules, "10.0.0.2"))
		expect(t, c.who+" is dialled", c.why, refused)
	}
	_, atClient := shake(t, s.Server(rules), &tls.Config{InsecureSkipVerify: true})
	expect(t, "without a certificate", "certificate required", atClient)
}

func expect(t *testing.T, what, why string, err error) {
	t.Helper()
	switch {
	case why == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case why != "" && (err == nil || !strings.Contains(err.Error(), why)):
		t.Errorf("%s: error %v, want %q", what, err, why)
	}
}

func (st *stage) selfSigned(name string, hosts ...string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		st.t.Fatal(err)
	}
	names, ips := splitHosts(hosts)
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ca"}, DNSNames: names,
		IPAddresses: ips, NotBefore: st.now().Add(-day1), NotAfter: st.now().Add(day1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		st.t.Fatal(err)
	}
	raw, err := keyPEM(key)
	if err != nil {
		st.t.Fatal(err)
	}
	st.write(name+"-key.pem", raw)
	st.write(name+".pem", certPEM(der))
}

// expired writes a certificate that ended an hour ago.
func (st *stage) expired(name string, hosts ...string) {
	st.t.Helper()
	cert, key, err := st.ca.Issue(Request{CommonName: name, Hosts: hosts, Server: true, Client: true,
		Life: 99 * day1}, st.now().Add(-100*day1))
	if err != nil {
		st.t.Fatal(err)
	}
	st.write(name+"-key.pem", key)
	st.write(name+".pem", cert)
}

// TestAPeerMustBeNamed: the two ways to allow names.
func TestAPeerMustBeNamed(t *testing.T) {
	st := newStage(t)
	c := st.issue(st.ca, "n1", "10.0.0.1", "db1.peers.example", "*.zone.example")
	for _, x := range []struct {
		allow func(*x509.Certificate, string) error
		host  string
		want  bool
	}{
		{Named([]string{"db1.peers.example"}), "", true},
		{Named([]string{"DB1.peers.example"}), "", true},
		{Named([]string{"*.peers.example"}), "", true},
		{Named([]string{"*.example"}), "", false},
		{Named([]string{"*.eers.example"}), "", false},
		{Named([]string{"10.0.0.1"}), "10.0.0.9", true},
		{Named([]string{"n1"}), "", true},
		{Named([]string{"n2", "a.zone.example"}), "", true},
		{Named([]string{"n2", "10.0.0.2"}), "", false},
		{Named(nil), "", false},
		{hosted("10.0.0.2", "10.0.0.1"), "", true},
		{hosted("10.0.0.2"), "", false},
		{hosted("n1"), "", false}, // the common name alone
		{hosted(), "", false},
		{hosted("10.0.0.2"), "10.0.0.1", true},
		{hosted("10.0.0.1"), "10.0.0.2", false},
	} {
		if err := x.allow(c, x.host); (err == nil) != x.want || err != nil && !errors.Is(err, ErrNameRefused) {
			t.Errorf("dialled %q: %v, want allowed %v", x.host, err, x.want)
		}
	}
}

func hosted(list ...string) func(*x509.Certificate, string) error {
	return Hosted(func() []string { return list })
}

func TestVersionsAndSuites(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "h")
	s := st.config("node")
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if _, err := shake(t, s.Server(Rules{}), old); err == nil {
		t.Error("TLS 1.1 is served")
	}
	two := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	if _, err := shake(t, s.Server(Rules{}), two); err != nil {
		t.Error(err)
	}
	if _, err := shake(t, s.Server(Rules{MinVersion: tls.VersionTLS13}), two); err == nil {
		t.Error("TLS 1.2 is served though 1.3 is the least")
	}
	only, err := ParseCipherSuites([]string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"})
	if err != nil {
		t.Fatal(err)
	}
	two.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	if _, err := shake(t, s.Server(Rules{CipherSuites: only}), two); err == nil {
		t.Error("another suite is served than the one allowed")
	}
	for _, bad := range []string{"TLS_RSA_WITH_RC4_128_SHA", "TLS_AES_128_GCM_SHA256", ""} {
		if _, err := ParseCipherSuites([]string{bad}); err == nil {
			t.Errorf("suite %q is taken", bad)
		}
	}
}

// TestNoSessionTickets: a resumed session would not be verified.
func TestNoSessionTickets(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "h")
	s := st.config("node")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4),
			MaxVersion: version, ServerName: "h"}
		client.VerifyConnection = func(cs tls.ConnectionState) error {
			if cs.DidResume {
				t.Errorf("version %x: the session was resumed", version)
			}
			return nil
		}
		for range 2 {
			if _, err := shake(t, s.Server(Rules{}), client); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestBadListsAreRefused: a list that protects nobody is no list.
func TestBadListsAreRefused(t *testing.T) {
	st := newStage(t)
	leaf := st.issue(st.ca, "node", "h")
	foreign, err := st.authority("other").Revoke(nil, st.now(), day1)
	if err != nil {
		t.Fatal(err)
	}
	own, err := st.ca.Revoke(nil, st.now(), day1, leaf)
	if err != nil {
		t.Fatal(err)
	}
	partial, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: st.now(), NextUpdate: st.now().Add(day1),
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}},
	}, st.ca.Cert, st.ca.key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(own)
	files := st.files("node")
	files.CRL = st.path("crl.pem")
	for _, c := range []struct {
		name    string
		content []byte
		good    bool
	}{
		{"ours, PEM", own, true}, {"ours, DER", block.Bytes, true}, {"foreign", foreign, false},
		{"partial", partial, false}, {"empty", nil, false}, {"cut", block.Bytes[:40], false},
		{"a certificate", st.ca.CertPEM(), false}, {"ours and foreign", append(own, foreign...), false},
	} {
		st.write("crl.pem", c.content)
		_, err := load(files, st.now())
		if c.good != (err == nil) || err != nil && !errors.Is(err, ErrBadList) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
