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
	if diff := cmp.Diff(&UserTable{Version: 1, Users: []UserRecord{{"a", "off", 1}, {"b", "on", 1}}},
		before); diff != "" {
		t.Fatal(diff)
	}
	if after := change(0, setUser("c", "on")); after != before {
		t.Errorf("a change made from version 0 was applied to version 1: %v", after)
	}
	after := change(1, UserChange{UserRecord: UserRecord{Name: "a"}, Delete: true}, setUser("b", "reset"))
	if diff := cmp.Diff(&UserTable{Version: 2, Users: []UserRecord{{"b", "reset", 1}}}, after); diff != "" {
		t.Error(diff)
	}
	if len(before.Users) != 2 || before.Users[1].Rules != "on" {
		t.Errorf("the table that readers hold was changed: %v", before)
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

// Whoever asked for the news of users gets them, all of them, each in a channel of its own.
func TestEverybodyIsToldOfUsers(t *testing.T) {
	l := newLone(t)
	news := []<-chan struct{}{l.usersNews.listen(), l.usersNews.listen()}
	for from := range uint64(2) {
		l.entry(1000, 1, func(s *Submission) { s.AddUsers(from, []UserChange{setUser("a", "on")}) })
		for i, c := range news {
			select {
			case <-c:
			default:
				t.Errorf("change %d: listener %d was not told", from, i)
			}
		}
	}
}

// A user who was deleted and made again, even in one request, is another one than before: that is how
// connections of the old one are known. A change of rules keeps who he is.
func TestUserMadeAgainIsAnother(t *testing.T) {
	l := newLone(t)
	since := func(changes ...UserChange) uint64 {
		l.entry(1000, 1, func(s *Submission) { s.AddUsers(l.users.Load().Version, changes) })
		for _, u := range l.users.Load().Users {
			if u.Name == "eve" {
				return u.Since
			}
		}
		return 0
	}
	remove := UserChange{UserRecord: UserRecord{Name: "eve"}, Delete: true}
	for i, step := range []struct {
		changes []UserChange
		want    uint64
	}{
		{[]UserChange{setUser("eve", "on")}, 1}, {[]UserChange{setUser("eve", "off")}, 1},
		{[]UserChange{remove, setUser("eve", "on")}, 3}, {[]UserChange{remove}, 0},
		{[]UserChange{setUser("eve", "on")}, 5}, {[]UserChange{setUser("bob", "on")}, 5},
	} {
		if got := since(step.changes...); got != step.want {
			t.Errorf("step %d: eve is there since version %d, want %d", i, got, step.want)
		}
	}
}

// A snapshot does not tell since when a user is there. Installed over a state that knows, a user who is as
// before is the same; of one who is not nobody can tell, and so it counts as another.
func TestSnapshotOverKnownUsers(t *testing.T) {
	l, ahead := newLone(t), newLone(t)
	change := func(l *lone, changes ...UserChange) {
		l.entry(1000, 1, func(s *Submission) { s.AddUsers(l.users.Load().Version, changes) })
	}
	for _, each := range []*lone{l, ahead} {
		change(each, setUser("bob", "on"), setUser("eve", "on #old"))
		change(each, setUser("kim", "on"))
	}
	change(ahead, UserChange{UserRecord: UserRecord{Name: "eve"}, Delete: true})
	change(ahead, setUser("eve", "on #new"), setUser("new", "on"))
	if err := l.Restore(io.NopCloser(bytes.NewReader(persisted(t, ahead)))); err != nil {
		t.Fatal(err)
	}
	want := []UserRecord{{"bob", "on", 1}, {"eve", "on #new", 4}, {"kim", "on", 2}, {"new", "on", 4}}
	if diff := cmp.Diff(want, l.users.Load().Users); diff != "" {
		t.Error(diff)
	}
}
