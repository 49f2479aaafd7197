package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// look makes the store look at its files and waits until it has.
func look(t *testing.T, s *Store, done func(Status) bool) Status {
	t.Helper()
	eventually(t, "the store has looked", func() bool {
		s.Reload()
		return done(s.Status())
	})
	return s.Status()
}

// TestABrokenFileChangesNothing: each kind of broken set leaves the old one in use, says so, and a good set
// ends the trouble.
func TestABrokenFileChangesNothing(t *testing.T) {
	st := newStage(t)
	old := st.issue(st.ca, "node", "h")
	list, err := st.ca.Revoke(nil, st.now(), day1)
	if err != nil {
		t.Fatal(err)
	}
	st.write("crl.pem", list)
	files := st.files("node")
	files.CRL = st.path("crl.pem")
	s := st.open(Config{Files: files, Own: true})
	s.Close() // the test looks in the goroutine's place
	other := st.authority("other")
	foreign, err := other.Revoke(nil, st.now(), day1)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for _, name := range files.names() {
		if content[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		what  string
		spoil func()
	}{
		{"empty certificate", func() { st.write("node.pem", nil) }},
		{"half a key", func() { st.write("node-key.pem", content[files.Key][:100]) }},
		{"another key", func() { st.issue(st.ca, "x", "h"); os.Rename(st.path("x-key.pem"), files.Key) }},
		{"no file", func() { os.Remove(files.Cert) }},
		{"expired", func() { st.expired("node", "h") }},
		{"of another authority", func() { st.issue(other, "node", "h") }},
		{"empty authorities", func() { st.write("ca.pem", []byte("\n")) }},
		{"authorities without ours", func() { st.write("ca.pem", other.CertPEM()); st.write("crl.pem", foreign) }},
		{"broken list", func() { st.write("crl.pem", []byte("-----BEGIN X509 CRL-----\n")) }},
	} {
		c.spoil()
		s.look(true)
		got := s.Status()
		if !got.Failing || got.Failures != int64(i+1) || len(got.Troubles) == 0 || !s.Leaf().Equal(old) {
			t.Errorf("%s: %+v", c.what, got)
		}
		if _, err := shake(t, s.Server(Rules{}), &tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		for name, raw := range content {
			st.write(filepath.Base(name), raw)
		}
		s.look(true)
		if got = s.Status(); got.Failing || got.Reloads != 0 || len(got.Troubles) != 0 {
			t.Errorf("after %s: %+v", c.what, got)
		}
	}
	if n := strings.Count(st.logged(), "level=ERROR"); n != 9 {
		t.Errorf("%d lines of errors in the log, want 9:\n%s", n, st.logged())
	}
}

// TestReloadKeepsConnections: an open connection goes on across each kind of change, new ones use the new
// set.
func TestReloadKeepsConnections(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "h")
	st.issue(st.ca, "friend", "f")
	changed := make(chan struct{}, 10)
	s := st.open(Config{Files: st.files("node"), OnChange: func() { changed <- struct{}{} }})
	pool := x509.NewCertPool()
	pool.AddCert(st.ca.Cert)
	pair, err := tls.LoadX509KeyPair(st.path("friend.pem"), st.path("friend-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{RootCAs: pool, ServerName: "h"}
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &pair, nil
	}
	echo, closeEcho := echoServer(t, s.Server(Rules{ClientAuth: AuthRequire}), client)
	defer closeEcho()
	echo("before")
	newer := st.issue(st.ca, "node", "h")
	<-reloaded(s, changed)
	if echo("new certificate"); !s.Leaf().Equal(newer) {
		t.Error("the new certificate is not in use")
	}
	// Authorities change in three steps: both, then certificates of the new one, then the new one alone.
	second := st.authority("second")
	st.write("ca.pem", append(st.ca.CertPEM(), second.CertPEM()...))
	<-reloaded(s, changed)
	echo("both authorities")
	if _, err := shake(t, s.Server(Rules{ClientAuth: AuthRequire}), client); err != nil {
		t.Errorf("with both authorities: %v", err)
	}
	st.write("ca.pem", second.CertPEM())
	<-reloaded(s, changed)
	echo("the new authority")
	if atServer, _ := shake(t, s.Server(Rules{ClientAuth: AuthRequire}), client); atServer == nil {
		t.Error("a certificate of an authority that was removed is let in")
	}
	if got := s.Status(); got.Reloads != 3 || got.Failures != 0 {
		t.Errorf("%+v", got)
	}
}

func reloaded(s *Store, changed <-chan struct{}) <-chan struct{} {
	s.Reload()
	return changed
}

// echoServer returns a function that sends a word through one connection and demands it back.
func echoServer(t *testing.T, server, client *tls.Config) (echo func(string), end func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c, err := ln.Accept(); err == nil {
			s := tls.Server(c, server)
			_, _ = io.Copy(s, s)
			c.Close()
		}
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return func(word string) {
			t.Helper()
			back := make([]byte, len(word))
			if _, err := c.Write([]byte(word)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, back); err != nil || string(back) != word {
				t.Fatalf("%q came back as %q: %v", word, back, err)
			}
		}, func() {
			c.Close()
			ln.Close()
			<-ended
		}
}

// TestRevocationTakesEffect: on the next handshake, by the changed file alone, for ports and dials.
func TestRevocationTakesEffect(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "h")
	friend := st.issue(st.ca, "friend", "h")
	empty, err := st.ca.Revoke(nil, st.now(), day1)
	if err != nil {
		t.Fatal(err)
	}
	st.write("crl.pem", empty)
	files := st.files("node")
	files.CRL = st.path("crl.pem")
	s := st.open(Config{Files: files})
	peer := st.config("friend")
	rules := Rules{ClientAuth: AuthRequire}
	if a, b := shake(t, s.Server(rules), peer.Dial(rules, "h")); a != nil || b != nil {
		t.Fatal(a, b)
	}
	list, err := st.ca.Revoke(empty, st.now(), day1, friend)
	if err != nil {
		t.Fatal(err)
	}
	st.write("crl.pem", list)
	look(t, s, func(x Status) bool { return x.Reloads == 1 })
	if !errors.Is(s.Revoked(friend), ErrRevoked) || s.Revoked(s.Leaf()) != nil {
		t.Error(s.Revoked(friend), s.Revoked(s.Leaf()))
	}
	if a, b := shake(t, s.Server(rules), peer.Dial(rules, "h")); !errors.Is(a, ErrRevoked) || b == nil {
		t.Errorf("a revoked certificate dials: %v, %v", a, b)
	}
	if a, b := shake(t, peer.Server(Rules{}), s.Dial(rules, "h")); !errors.Is(b, ErrRevoked) {
		t.Errorf("a revoked certificate is dialled: %v, %v", a, b)
	}
	st.move(2 * day1) // the list is out of date: it stays in force, and is a trouble
	if a, _ := shake(t, s.Server(rules), peer.Dial(rules, "h")); !errors.Is(a, ErrRevoked) {
		t.Errorf("after the list is out of date: %v", a)
	}
	if got := s.Status().Troubles; len(got) != 1 || !strings.Contains(got[0], "out of date") {
		t.Errorf("troubles %q", got)
	}
}

// TestALookBetweenTwoFilesIsNoFailure: key and certificate are replaced one after the other.
func TestALookBetweenTwoFilesIsNoFailure(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "h")
	s := st.config("node")
	s.Close() // the test looks in the goroutine's place
	st.issue(st.ca, "next", "h")
	rename := func(suffix string) {
		if err := os.Rename(st.path("next"+suffix), st.path("node"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	rename("-key.pem")
	s.look(false)
	if got := s.Status(); got.Failing || got.Failures != 0 {
		t.Errorf("in between: %+v", got)
	}
	rename(".pem")
	s.look(false)
	if got := s.Status(); got.Failing || got.Reloads != 1 {
		t.Errorf("afterwards: %+v", got)
	}
	st.issue(st.ca, "next", "h")
	rename("-key.pem")
	s.look(false)
	s.look(false)
	if got := s.Status(); !got.Failing || got.Failures != 1 {
		t.Errorf("the second file never came: %+v", got)
	}
}

func TestTroublesOfAGoodSet(t *testing.T) {
	st := newStage(t)
	st.issue(st.ca, "node", "h")
	if err := os.Chmod(st.path("node-key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := st.config("node")
	if got := s.Status().Troubles; len(got) != 1 || !strings.Contains(got[0], "chmod 600") {
		t.Errorf("a key that everybody can read: %q", got)
	}
	st.move(90 * day1)
	if got := strings.Join(s.Status().Troubles, "\n"); !strings.Contains(got, "expires on") {
		t.Errorf("ten days before the end: %q", got)
	}
	st.move(11 * day1)
	if got := strings.Join(s.Status().Troubles, "\n"); !strings.Contains(got, "has expired") {
		t.Errorf("after the end: %q", got)
	}
}

func TestStoreDoesNotOpen(t *testing.T) {
	st := newStage(t)
	st.expired("old", "h")
	st.issue(st.ca, "node", "h")
	st.issue(st.authority("other"), "foreign", "h")
	for _, c := range []struct {
		cfg  Config
		want error
	}{
		{Config{Files: st.files("old")}, ErrExpired},
		{Config{Files: st.files("missing")}, os.ErrNotExist},
		{Config{Files: Files{Cert: st.path("node.pem"), Key: st.path("old-key.pem")}}, ErrWrongKey},
		{Config{Files: st.files("foreign"), Own: true}, ErrForeign},
		{Config{Files: st.files("node"), Check: func(c *x509.Certificate) error { return Named(nil)(c, "") }},
			ErrNameRefused},
	} {
		if _, err := st.tryOpen(c.cfg); !errors.Is(err, c.want) || !strings.Contains(err.Error(), ".pem") {
			t.Errorf("%v: %v, want %v and the file's name", c.cfg.Files, err, c.want)
		}
	}
}
