package commands

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/acl"
)

func TestACLScript(t *testing.T) { runScript(t, "acl") }

// walker is a connection without a server, whose user a test makes of rules.
func (d *Dispatcher) walker(t testing.TB, rules string) *session {
	t.Helper()
	u := acl.NewUser(d.table.catalog, "walker")
	if err := u.Apply(d.table.catalog, d.users.secrets, strings.Fields(rules)); err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	s := &session{}
	s.tx.s = s
	s.become(d.directory(), &account{User: u, unbounded: u.Unbounded(), allKeys: u.AllKeys()})
	return s
}

// permits asks about a row with words that fill its arity.
func (d *Dispatcher) permits(s *session, row *Command, words ...string) error {
	c := &call{d: d, s: s, tx: &s.tx, dry: true}
	name, sub, nested := strings.Cut(row.Name, "|")
	args := [][]byte{[]byte(name)}
	if nested {
		args = append(args, []byte(sub))
	}
	for _, w := range words {
		args = append(args, []byte(w))
	}
	for len(args) < max(row.Arity, -row.Arity) {
		args = append(args, []byte("1"))
	}
	c.begin(args)
	c.row = row
	return s.permit(c)
}

// The whole table, with a user who may do nothing: every row refuses him, but those that anybody may send.
// And with one who may do everything but one row: only that row, and what stands in it, refuses him.
func TestEveryRowIsGuarded(t *testing.T) {
	n := startNode(t)
	nobody := n.d.walker(t, "on nopass ~* &*")
	rows := n.d.table.All()
	for _, row := range rows {
		err := n.d.permits(nobody, row)
		if free := row.Flags&FlagNoAuth != 0; free != (err == nil) {
			t.Errorf("%s for a user without commands: %v", row.Name, err)
		}
		if row.Flags&FlagNoAuth != 0 {
			continue
		}
		most := n.d.walker(t, "on nopass ~* &* +@all -"+row.Name)
		one := n.d.walker(t, "on nopass ~* &* +"+row.Name)
		for _, other := range rows {
			if other.Flags&FlagNoAuth != 0 {
				continue
			}
			within := other == row || strings.HasPrefix(other.Name, row.Name+"|")
			if err := n.d.permits(most, other); within == (err == nil) {
				t.Errorf("+@all -%s: %s %v", row.Name, other.Name, err)
			}
			if err := n.d.permits(one, other); within != (err == nil) {
				t.Errorf("+%s: %s %v", row.Name, other.Name, err)
			}
		}
	}
}

// exampleCalls are the commands of examples.txt: every row has some, with words that mean something.
func exampleCalls(t *testing.T, each func(words []string)) {
	t.Helper()
	page, err := os.ReadFile("examples.txt")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "example "):
			inside = true
		case line == "----":
			inside = false
		case inside && line != "":
			var words []string
			for _, w := range quoted.FindAllString(line, -1) {
				words = append(words, strings.Trim(w, `"`))
			}
			each(words)
		}
	}
}

var quoted = regexp.MustCompile(`"[^"]*"|[^ ]+`)

// A user who may run every command on no key: whatever the examples say, no key is shown to him and none is
// changed. Each command with keys by COMMAND GETKEYS, or with a column of its own for what it touches, is
// refused for a key.
func TestNoExamplePassesWithoutKeys(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	for _, words := range [][]string{{"SET", "k", "treasure"}, {"SET", "lock", "treasure"}, {"MSET", "a",
		"treasure",
		"foo", "treasure", "key", "treasure", "user1", "treasure"},
		{"ACL", "SETUSER", "ghost", "on", "nopass", "+@all", "-acl", "-shutdown", "-client|kill",
			"-client|pause",
			"-client|reply", "-monitor", "-wait", "-waitaof", "-client|unpause", "-kv.compact", "-quit"},
		{"ACL", "SETUSER", "default", "on"}} {
		if r := admin.do(words...); r != "OK" {
			t.Fatalf("%q: %s", words, r)
		}
	}
	before, sum := n.engine.Store().Hash()
	refused := 0
	exampleCalls(t, func(words []string) {
		if is([]byte(words[0]), "QUIT") || is([]byte(words[0]), "RESET") || is([]byte(words[0]), "HELLO") {
			return
		}
		c.want("OK", "AUTH", "ghost", "x")
		if r := c.do(words...); strings.Contains(r, "treasure") {
			t.Errorf("%q shows a value: %s", words, r)
		} else if strings.Contains(r, "NOPERM") {
			refused++
		}
		if strings.HasPrefix(strings.ToUpper(words[0]), "MULTI") {
			c.do("DISCARD")
		}
		if c.do("PING") == "closed" {
			c = n.dial(t)
		}
		c.do("RESET")
	})
	if after, now := n.engine.Store().Hash(); after != before || now != sum {
		t.Errorf("revision %d became %d: something reached the log", before, after)
	}
	if refused < 150 {
		t.Errorf("only %d examples were refused", refused)
	}
}

// What COMMAND GETKEYS names is asked about, for every example.
func TestKeysOfCommandAreAsked(t *testing.T) {
	n := startNode(t)
	s := n.d.walker(t, "on nopass +@all")
	asked := 0
	exampleCalls(t, func(words []string) {
		c := &call{d: n.d, s: s, tx: &s.tx, dry: true}
		args := make([][]byte, len(words))
		for i, w := range words {
			args[i] = []byte(w)
		}
		c.begin(args)
		if gateKnown(s, c) != nil || gateSub(s, c) != nil || gateArity(s, c) != nil ||
			c.row.Keys.Access == notKey {
			return
		}
		named := c.row.keys(args)
		q, _ := s.ask(c)
		for _, at := range named {
			found := false
			for _, r := range q.Keys {
				found = found || r.From == words[at]
			}
			if asked++; !found {
				t.Errorf("%q: key %s is not asked about", words, words[at])
			}
		}
	})
	if asked < 200 {
		t.Errorf("only %d keys", asked)
	}
}

// The keys of a slot are named to who may read them, and not at all by a member whose state is in doubt.
func TestKeysOfASlotAreShownToReaders(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	admin.want("OK", "MSET", "{t}a", "1", "{t}b", "2", "{t}c", "3")
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~{t}b", "%W~{t}c", "+@all")
	slot := admin.do("CLUSTER", "KEYSLOT", "t")
	c.want("OK", "AUTH", "eve", "x")
	admin.want(`["{t}a" "{t}b" "{t}c"]`, "CLUSTER", "GETKEYSINSLOT", slot, "10")
	c.want(`["{t}b"]`, "CLUSTER", "GETKEYSINSLOT", slot, "10")
	c.want(`["{t}b"]`, "CLUSTER", "GETKEYSINSLOT", slot, "1")
	for _, name := range []string{"getkeysinslot", "countkeysinslot"} {
		if !n.d.table.Lookup([]byte("cluster")).Sub([]byte(name)).showsState() {
			t.Errorf("CLUSTER %s is answered by a fenced member", name)
		}
	}
}
