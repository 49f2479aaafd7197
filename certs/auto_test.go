package certs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// openAuto opens a store over certificates made in dir.
func (st *stage) openAuto(a Auto) (*Store, Auto) {
	st.t.Helper()
	a.Dir = filepath.Join(st.dir, a.Dir)
	renew, err := a.NewRenewal()
	if err != nil {
		st.t.Fatal(err)
	}
	return st.open(Config{Files: a.Files(), Own: a.Secret != nil, Renew: renew}), a
}

func autoPeer(dir string, secret string) Auto {
	return Auto{Dir: dir, Purpose: "peer", Secret: []byte(secret),
		Request: Request{CommonName: dir, Hosts: []string{"redkeep-peer"}, Server: true, Client: true}}
}

// TestASharedSecretMakesMembers: who knows it is let in, who does not is not.
func TestASharedSecretMakesMembers(t *testing.T) {
	st := newStage(t)
	secret := NewSecret()
	a, _ := st.openAuto(autoPeer("a", secret))
	b, _ := st.openAuto(autoPeer("b", secret))
	c, _ := st.openAuto(autoPeer("c", NewSecret()))
	client := autoPeer("d", secret) // the same secret, the certificate of a client port
	client.Purpose = "client"
	d, _ := st.openAuto(client)
	rules := Rules{ClientAuth: AuthRequire, Allow: Named([]string{"redkeep-peer"})}
	if x, y := shake(t, a.Server(rules), b.Dial(rules, "10.0.0.1")); x != nil || y != nil {
		t.Errorf("two that know the secret: %v, %v", x, y)
	}
	for _, other := range []*Store{c, d} {
		if x, y := shake(t, a.Server(rules), other.Dial(rules, "10.0.0.1")); y == nil {
			t.Errorf("%s dials a: %v, %v", other.Leaf().Subject, x, y)
		}
		if x, y := shake(t, other.Server(rules), a.Dial(rules, "10.0.0.1")); y == nil {
			t.Errorf("a dials %s: %v, %v", other.Leaf().Subject, x, y)
		}
	}
	if _, err := DerivedAuthority([]byte("short"), "peer"); !errors.Is(err, ErrWeakSecret) {
		t.Errorf("a short secret: %v", err)
	}
}

// TestAutoRenewsInTime: at two thirds of its life, hot, from the same authority; and after a change of names.
func TestAutoRenewsInTime(t *testing.T) {
	for _, secret := range []string{"", NewSecret()} {
		st := newStage(t)
		auto := autoPeer("a", secret)
		if secret == "" {
			auto.Secret = nil
		}
		s, a := st.openAuto(auto)
		first := s.Leaf()
		ca, err := os.ReadFile(a.Files().CA)
		if err != nil {
			t.Fatal(err)
		}
		st.move(59 * day1)
		s.Reload()
		st.move(2 * day1)
		look(t, s, func(x Status) bool { return x.Reloads == 1 })
		second := s.Leaf()
		if second.Equal(first) || second.NotAfter.Sub(st.now()) < AutoLife-time.Hour {
			t.Errorf("renewed until %v", second.NotAfter)
		}
		if again, err := os.ReadFile(a.Files().CA); err != nil || !bytes.Equal(ca, again) {
			t.Errorf("the authority has changed: %v", err)
		}
		for _, name := range []string{nodeFile, caKeyFile} {
			info, err := os.Stat(filepath.Join(a.Dir, name))
			if err == nil && info.Mode().Perm() != 0o600 || err != nil && (name == nodeFile || secret == "") {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		auto.Request.Hosts = append(auto.Request.Hosts, "10.0.0.7")
		if third, _ := st.openAuto(auto); third.Leaf().VerifyHostname("10.0.0.7") != nil {
			t.Error("a new name is not in the certificate")
		}
	}
}

// TestAutoFailsLoudly: a folder that cannot be written keeps what is in use, and the trouble is told.
func TestAutoFailsLoudly(t *testing.T) {
	st := newStage(t)
	s, a := st.openAuto(autoPeer("a", NewSecret()))
	first := s.Leaf()
	if err := os.RemoveAll(a.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := look(t, s, func(x Status) bool { return x.Failing })
	if !s.Leaf().Equal(first) || len(got.Troubles) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestOwnAuthorityIsNotReplaced: clients were given its ca.pem. When a file of it is damaged or missing the
// node says so and touches nothing; it makes another one only where there is none, or when the end is near.
func TestOwnAuthorityIsNotReplaced(t *testing.T) {
	a := autoPeer(filepath.Join(t.TempDir(), "a"), "")
	a.Secret = nil
	renew, err := a.NewRenewal()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := renew(now); err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(a.Dir, caFile), filepath.Join(a.Dir, caKeyFile)}
	content := func() (both [2]string) {
		for i, name := range files {
			raw, _ := os.ReadFile(name)
			both[i] = string(raw)
		}
		return both
	}
	first := content()
	for i, name := range files {
		for _, damage := range []func() error{
			func() error { return os.Remove(name) },
			func() error { return os.WriteFile(name, []byte("half a fi"), 0o600) },
		} {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			damaged := content()
			if err := renew(now); !errors.Is(err, ErrAuthority) || content() != damaged {
				t.Errorf("%s is damaged: %v, replaced %v", name, err, content() != damaged)
			}
			if err := ReplaceFile(name, []byte(first[i]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := renew(now); err != nil || content() != first {
		t.Errorf("both are back: %v, replaced %v", err, content() != first)
	}
	if err := renew(now.Add(AutoAuthorityLife - AutoLife)); err != nil || content() == first {
		t.Errorf("the end is near: %v, the same %v", err, content() == first)
	}
}
