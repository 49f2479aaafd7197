package raftfsm

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func setUser(name, rules string) UserChange {
	return UserChange{UserRecord: UserRecord{Name: name, Rules: rules}}
}

func goldenUsers() []byte {
	var s Submission
	s.AddUsers(0, []UserChange{setUser("bob", "on nopass ~* &* +@all")})
	s.AddUsers(300, []UserChange{setUser("", ""), {UserRecord: UserRecord{Name: "bob"}, Delete: true}})
	return s.buf
}

func TestGoldenUsers(t *testing.T) {
	got, path := hex.Dump(goldenUsers()), filepath.Join("testdata", "users-v1.hex")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("version 1 is encoded differently (a change needs version 2):\n%s", diff)
	}
}

// A change made from another version of the table than the one it meets does nothing, on any member; so of
// two administrators who change the same version one has to look again.
func TestUsersAreChangedFromWhatWasSeen(t *testing.T) {
	l := newLone(t)
	change := func(from uint64, changes ...UserChange) *UserTable {
		l.entry(1000, 1, func(s *Submission) { s.AddUsers(from, changes) })
		return l.users.Load()
	}
	before := change(0, setUser("b", "on"), setUser("a", "off"))
	if diff := cmp.Diff(&UserTable{Version: 1, Users: []UserRecord{{"a", "off"}, {"b", "on"}}},
		before); diff != "" {
		t.Fatal(diff)
	}
	if after := change(0, setUser("c", "on")); after != before {
		t.Errorf("a change made from version 0 was applied to version 1: %v", after)
	}
	after := change(1, UserChange{UserRecord: UserRecord{Name: "a"}, Delete: true}, setUser("b", "reset"))
	if diff := cmp.Diff(&UserTable{Version: 2, Users: []UserRecord{{"b", "reset"}}}, after); diff != "" {
		t.Error(diff)
	}
	if len(before.Users) != 2 || before.Users[1].Rules != "on" {
		t.Errorf("the table that readers hold was changed: %v", before)
	}
	select {
	case <-l.usersNews:
	default:
		t.Error("nobody was told")
	}
	if _, ok := after.Find("a"); ok {
		t.Error("a deleted user was found")
	}
}

// Users survive a snapshot, and a snapshot of a store without any is what it was before there were users.
func TestSnapshotKeepsUsers(t *testing.T) {
	l := filled(t, 30)
	bare := persisted(t, l)
	if bytes.Contains(bare, []byte("~secret")) || newLoneFrom(t, bare).users.Load().Version != 0 {
		t.Fatal("users out of nothing")
	}
	l.entry(5000, 1, func(s *Submission) { s.AddUsers(0, []UserChange{setUser("eve", "on ~secret +get")}) })
	back := newLoneFrom(t, persisted(t, l))
	if diff := cmp.Diff(l.users.Load(), back.users.Load()); diff != "" {
		t.Error(diff)
	}
	if l.users.Load().Sum() != back.users.Load().Sum() {
		t.Error("the sums differ")
	}
}

func newLoneFrom(t *testing.T, file []byte) *lone {
	t.Helper()
	l := newLone(t)
	if err := l.Restore(io.NopCloser(bytes.NewReader(file))); err != nil {
		t.Fatal(err)
	}
	return l
}
