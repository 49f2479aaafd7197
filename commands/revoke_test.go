package commands

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/raftfsm"
)

// What a connection listens to ends when the right is taken away: a watch alone, with a reason; a channel
// with
// the connection, as in Redis; everything with the user.
func TestListeningEndsWithTheRight(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~a*", "~b*", "~lock", "&*", "+@all")
	listener := func(words ...string) *client {
		c := n.dial(t)
		c.want("OK", "AUTH", "eve", "x")
		c.send(encode("HELLO", "3"))
		c.reply()
		c.do(words...)
		return c
	}
	byKey, byPrefix := listener("SUBSCRIBE", "watch:a1"), listener("PSUBSCRIBE", "watch:b*")
	native, both := listener("KV.WATCH", "a", "PREFIX"), listener("SUBSCRIBE", "watch:a1", "watch:b1")
	both.reply()
	plain := listener("SUBSCRIBE", "news")
	lock := listener("SUBSCRIBE", "lock:lock")

	admin.want("OK", "ACL", "SETUSER", "eve", "resetkeys", "~b*", "~lock")
	const reason = `{"type":"canceled","reason":"permission denied","compact_revision":0}`
	for c, want := range map[*client]string{
		byKey:  fmt.Sprintf(`>["message" "watch:a1" %q]`, reason),
		both:   fmt.Sprintf(`>["message" "watch:a1" %q]`, reason),
		native: `>["watch-canceled" 1 "permission denied" 0]`,
	} {
		if got := c.reply(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	admin.want("OK", "SET", "a1", "hidden")
	admin.want("OK", "SET", "b1", "seen")
	for _, c := range []*client{both, byPrefix} {
		if got := c.reply(); !strings.Contains(got, "seen") || strings.Contains(got, "hidden") {
			t.Errorf("%s", got)
		}
	}
	for _, c := range []*client{byKey, native} {
		c.want("PONG", "PING") // nothing came before it
	}

	admin.want("OK", "ACL", "SETUSER", "eve", "resetchannels", "&watch:*", "&lock:*")
	if got := plain.reply(); got != "closed" {
		t.Errorf("a channel that is not allowed any more: %s", got)
	}
	admin.want("OK", "ACL", "SETUSER", "eve", "resetkeys", "~b*")
	if got := lock.reply(); got != "closed" {
		t.Errorf("a lock that may not be read any more: %s", got)
	}
	byPrefix.want("PONG", "PING")
	admin.want("1", "ACL", "DELUSER", "eve")
	if got := byPrefix.reply(); got != "closed" {
		t.Errorf("the user is gone: %s", got)
	}
}

// A watch needs the right to all it may show, and a channel name with options is the channel without them.
func TestWhatMayBeWatched(t *testing.T) {
	n := startNode(t)
	for _, tc := range []struct {
		rules, kind, name string
		ok                bool
	}{
		{"~a &watch:*", "SUBSCRIBE", "watch:a", true}, {"~a &watch:*", "SUBSCRIBE", "watch;rev=1;prev:a",
			true},
		{"~a &watch:*", "SUBSCRIBE", "watch;prefix:a", false}, {"~a* &watch:*", "SUBSCRIBE",
			"watch;prefix:a", true},
		{"~a* &watch:a", "SUBSCRIBE", "watch;prefix:a", false}, {"~a* &x", "SUBSCRIBE", "watch:a", false},
		{"%W~a &watch:*", "SUBSCRIBE", "watch:a", false}, {"~a* &watch:*", "PSUBSCRIBE", "watch:a*", true},
		{"~a* &watch:*", "PSUBSCRIBE", "watch:*", false}, {"~a &watch:*", "PSUBSCRIBE", "watch:a*", false},
		{"~a* &watch:*", "PSUBSCRIBE", "watch:[ab]", false}, {"~a* &watch:*", "PSUBSCRIBE", "watch:a[ab]",
			true},
		{"~m &lock:*", "SUBSCRIBE", "lock:m", true}, {"~a &lock:*", "SUBSCRIBE", "lock:m", false},
		{"~m &*", "PSUBSCRIBE", "lock:*", false}, {"~m* &*", "PSUBSCRIBE", "lock:m*", true},
		{"~m* &*", "PSUBSCRIBE", "l*", false}, {"~m* &*", "PSUBSCRIBE", `loc\k:*`, false}, {"~m &*",
			"PSUBSCRIBE", "x*", true},
		{"~m &*", "PSUBSCRIBE", "*", false}, {"~m &*", "PSUBSCRIBE", "[l]ock:x", false},
		{"~x &election:*", "SUBSCRIBE", "election:e", false}, {"~* &c", "SUBSCRIBE", "c", true},
		{"~* &c*", "PSUBSCRIBE", "cd*", false}, {"~* &c*", "PSUBSCRIBE", "c*", true}, {"~* &c",
			"SSUBSCRIBE", "d", false},
	} {
		s := n.d.walker(t, "on nopass +@all "+tc.rules)
		err := n.d.permits(s, n.d.table.Lookup([]byte(tc.kind)), tc.name)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %s %s: %v", tc.rules, tc.kind, tc.name, err)
		}
	}
}

// A queued command is asked about again at EXEC, and what was forbidden meanwhile is not done.
func TestExecAsksAgain(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~a*", "&*", "+@all")
	c.want("OK", "AUTH", "eve", "x")
	c.want("OK", "MULTI")
	for _, words := range [][]string{{"SET", "a", "1"}, {"SET", "ab", "2"}, {"PUBLISH", "c", "m"}, {"ECHO",
		"x"}} {
		c.want("QUEUED", words...)
	}
	admin.want("OK", "ACL", "SETUSER", "eve", "resetkeys", "~ab", "resetchannels", "-echo")
	got := c.do("EXEC")
	for _, want := range []string{"touch the specified keys", "OK", "access one of the channels",
		"execute the command"} {
		if !strings.Contains(got, want) {
			t.Errorf("EXEC: %s, want %s in it", got, want)
		}
	}
	admin.want("nil", "GET", "a")
	admin.want(`"2"`, "GET", "ab")
}

// The guards of TXN.IF and what was watched tell what keys hold: who may not read them any more is refused
// the whole block.
func TestExecAsksAgainAboutGuards(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	const refused = "(EXECABORT Transaction discarded because of: NOPERM ACLs rules changed between the " +
		"moment the transaction was accumulated and the EXEC call. This command is no longer allowed for " +
		"the following reason: no permission to touch the specified keys)"
	for _, first := range [][]string{{"TXN.IF", "value", "secret", "=", "x"}, {"TXN.IF", "version", "secret",
		"PREFIX", "=", "0"}, {"TXN.IF", "lock", "secret", "=", "7"}, {"WATCH", "own", "secret"}} {
		admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "resetkeys", "~own*", "~secret*", "+@all")
		c.want("OK", "AUTH", "eve", "x")
		if first[0] == "WATCH" {
			c.want("OK", first...)
		}
		c.want("OK", "MULTI")
		if first[0] != "WATCH" {
			c.want("QUEUED", first...)
		}
		c.want("QUEUED", "SET", "own", "1")
		admin.want("OK", "ACL", "SETUSER", "eve", "resetkeys", "~own*")
		c.want(refused, "EXEC")
		c.want("(ERR EXEC without MULTI)", "EXEC")
		admin.want("nil", "GET", "own")
	}
	c.want("OK", "WATCH", "own")
	c.want("OK", "MULTI")
	c.want("QUEUED", "TXN.IF", "version", "own", "=", "0")
	c.want("QUEUED", "SET", "own", "1")
	c.want("[1 OK]", "EXEC")
}

// Nobody gets in without a password once one is set; and a connection is limited before.
func TestLogin(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "root", "on", ">sesam", "~*", "&*", "+@all")
	admin.want("OK", "AUTH", "root", "sesam")
	c := n.dial(t)
	c.want("PONG", "PING")
	admin.want("OK", "ACL", "SETUSER", "default", "resetpass", ">pw")
	c.want("PONG", "PING") // it was let in before, as in Redis
	c = n.dial(t)
	c.want("(NOAUTH Authentication required.)", "PING")
	c.want("(NOAUTH Authentication required.)", "MULTI")
	if r := c.do("HELLO", "3"); !strings.HasPrefix(r, "(NOAUTH HELLO must be called") {
		t.Error(r)
	}
	c.want("(WRONGPASS invalid username-password pair or user is disabled.)", "AUTH", "wrong")
	c.want("(WRONGPASS invalid username-password pair or user is disabled.)", "AUTH", "nobody", "pw")
	c.want("OK", "AUTH", "pw")
	c.want("PONG", "PING")
	c.want("RESET", "RESET")
	c.want("(NOAUTH Authentication required.)", "PING")
	if r := c.do("HELLO", "3", "AUTH", "root", "sesam"); !strings.HasPrefix(r, "{") {
		t.Error(r)
	}
	c.want(`"root"`, "ACL", "WHOAMI")
	admin.want("OK", "ACL", "SETUSER", "default", "off")
	if r := admin.do("ACL", "LIST"); !strings.Contains(r, "argon2id$") || strings.Contains(r, "sesam") {
		t.Error(r)
	}
	c.want("OK", "ACL", "SETUSER", "root", "<sesam", ">other")
	d := n.dial(t)
	d.want("(WRONGPASS invalid username-password pair or user is disabled.)", "AUTH", "root", "sesam")
	d.want("OK", "AUTH", "root", "other")
}

// Guessing is slowed down, and somebody who was in lately gets in all the same.
func TestGuessing(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "u", "on", ">right")
	admin.want("OK", "ACL", "SETUSER", "v", "on", ">right")
	c.want("OK", "AUTH", "u", "right")
	barred := false
	for i := 0; i < 2*strikesMost && !barred; i++ {
		barred = strings.HasPrefix(c.do("AUTH", "u", fmt.Sprint("wrong", i)), "(BUSY ")
	}
	if !barred {
		t.Fatal("guessing goes on and on")
	}
	if r := c.do("AUTH", "v", "right"); !strings.HasPrefix(r, "(BUSY ") {
		t.Errorf("a right guess is told: %s", r)
	}
	c.want("OK", "AUTH", "u", "right")
}

// behindLines sends a command and awaits its reply behind the lines that MONITOR still shows.
func (c *client) behindLines(want string, words ...string) {
	c.t.Helper()
	c.send(encode(words...))
	for got := ""; got != want; {
		if got = c.reply(); got == "closed" || got == "nothing in time" {
			c.t.Fatalf("%q: %s", words, got)
		}
	}
}

// Whoever is told of keys or commands without asking again, in broadcast tracking or by MONITOR, is cut when
// the right to it is taken away, and not while it is there.
func TestTellingEndsWithTheRight(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~a*", "~b*", "&*", "+@all")
	as := func(words ...string) *client {
		c := n.dial(t)
		c.want("OK", "AUTH", "eve", "x")
		c.send(encode("HELLO", "3"))
		c.reply()
		c.want("OK", words...)
		return c
	}
	told := as("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a")
	other := as("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "b")
	stopped := as("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a")
	stopped.want("OK", "CLIENT", "TRACKING", "OFF")
	first, reset, last := as("MONITOR"), as("MONITOR"), as("MONITOR") // looked at in this order
	reset.behindLines("RESET", "RESET")
	reset.behindLines("OK", "AUTH", "eve", "x")

	admin.want("OK", "ACL", "SETUSER", "eve", "resetkeys", "~b*", "~c*")
	if got := told.reply(); got != "closed" {
		t.Errorf("the news of keys that may not be read any more: %s", got)
	}
	admin.want("OK", "SET", "b1", "x")
	other.expect(`>["invalidate" ["b1"]]`)
	stopped.want("PONG", "PING")
	admin.want("OK", "ACL", "SETUSER", "eve", "-monitor")
	for _, monitor := range []*client{first, last} {
		for got := ""; got != "closed"; { // behind the lines that it was still shown
			if got = monitor.reply(); got == "nothing in time" {
				t.Fatal("MONITOR goes on without the right to it")
			}
		}
	}
	for _, c := range []*client{other, stopped, reset} {
		c.want("PONG", "PING")
	}
}

// A MONITOR is remembered once, however often it was asked for, and looked at when it begins: the guard may
// have looked at all connections a moment before.
func TestClaims(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	c.want("OK", "CLIENT", "SETNAME", "listener")
	listening := func() (found *session) {
		for _, s := range n.d.sessions() {
			if s.labels().name == "listener" {
				found = s
			}
		}
		return found
	}
	for range 3 {
		c.behindLines("OK", "MONITOR")
	}
	if got := listening().claims(); len(got) != 1 || got[0].kind != listMonitor {
		t.Errorf("claims %+v", got)
	}

	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~*", "&*", "+@all")
	dir := n.d.directory()
	late := &session{conn: listening().conn}
	late.become(dir, dir.accounts["eve"])
	admin.want("OK", "ACL", "SETUSER", "eve", "-monitor")
	late.stake(n.d, claim{kind: listMonitor})
	if got := c.reply(); got != "closed" {
		t.Errorf("a MONITOR begins that was forbidden meanwhile: %s", got)
	}
}

// Each listener of a node has a guard of its own, and all of them learn of every change.
func TestRevocationBesideASentinel(t *testing.T) {
	n := startNode(t)
	_, dial := dialSentinel(t, n)
	admin := n.dial(t)
	for i := range 20 {
		admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "&*", "+@all")
		c, s := n.dial(t), dial()
		for _, l := range []*client{c, s} {
			l.want("OK", "AUTH", "eve", "x")
			l.do("SUBSCRIBE", "news")
		}
		admin.want("1", "ACL", "DELUSER", "eve")
		for name, l := range map[string]*client{"data": c, "Sentinel's": s} {
			if got := l.reply(); got != "closed" {
				t.Fatalf("round %d: on the %s port a user who is gone still listens: %s", i, name, got)
			}
		}
	}
}

// A user who was deleted and made again is another one, whoever had logged in before.
func TestUserMadeAgainIsAnother(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "&*", "+@all")
	admin.want("OK", "ACL", "SETUSER", "default", "on") // its first rule does not make it another
	admin.want("PONG", "PING")

	s, dir := &session{}, n.d.directory()
	s.become(dir, dir.accounts["eve"])
	c.want("OK", "AUTH", "eve", "x")
	c.do("SUBSCRIBE", "news")

	table := n.engine.Users()
	again := raftfsm.UserRecord{Name: "eve", Rules: "on nopass &* -@all +ping"}
	sub := n.engine.NewSubmission()
	sub.AddUsers(table.Version, []raftfsm.UserChange{{UserRecord: raftfsm.UserRecord{Name: "eve"}, Delete: true},
		{UserRecord: again}})
	n.engine.Submit(sub)
	<-sub.Done()
	if err := sub.Err(); err != nil {
		t.Fatal(err)
	}
	if got := c.reply(); got != "closed" {
		t.Errorf("a listener of the deleted user goes on: %s", got)
	}
	if s.refresh(n.d); !s.closing || s.who.account != nil {
		t.Errorf("a connection of the deleted user has become one of the new user")
	}
}
