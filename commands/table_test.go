package commands

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/raftfsm"
)

// The table is the only place that says what a command is, so it is checked row by row.
func TestTableRowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range NewTable().All() {
		if seen[row.Name] {
			t.Errorf("%s stands there twice", row.Name)
		}
		seen[row.Name] = true
		checkWords(t, row)
		checkHandler(t, row)
		checkKeys(t, row)
	}
}

func checkWords(t *testing.T, row *Command) {
	if row.Name != strings.ToLower(row.Name) || len(row.Name) > maxName {
		t.Errorf("%s: bad name", row.Name)
	}
	for what, text := range map[string]string{
		"summary": row.Summary, "since": row.Since, "complexity": row.Complexity, "group": row.Group,
	} {
		if text == "" {
			t.Errorf("%s: no %s", row.Name, what)
		}
	}
	if !strings.HasSuffix(row.Summary, ".") {
		t.Errorf("%s: the summary is not a sentence: %q", row.Name, row.Summary)
	}
	own := 1 + strings.Count(row.Name, "|")
	if row.Arity == 0 || max(row.Arity, -row.Arity) < own {
		t.Errorf("%s: arity %d does not count its own %d words", row.Name, row.Arity, own)
	}
	for _, tip := range row.Tips {
		if strings.Contains(tip, "_policy") {
			t.Errorf("%s: tip %s would make clients cut the command into pieces", row.Name, tip)
		}
	}
}

func checkHandler(t *testing.T, row *Command) {
	handlers := 0
	for _, has := range []bool{row.plan != nil, row.read != nil, row.session != nil, row.block != nil,
		row.script != nil, row.renew != nil} {
		if has {
			handlers++
		}
	}
	switch {
	case handlers == 0 && len(row.Subs) > 0 && row.Arity == -2:
	case handlers != 1:
		t.Errorf("%s: %d handlers", row.Name, handlers)
	case (row.plan != nil || row.renew != nil) != (row.Kind == KindWrite),
		(row.read != nil) != (row.Kind == KindRead):
		t.Errorf("%s: its handler does not fit kind %s", row.Name, row.Kind)
	case row.planRead != nil && row.read == nil, row.wide && row.planRead == nil:
		t.Errorf("%s: only a read can be planned as one", row.Name)
	case row.Kind == KindRead && row.planRead == nil && row.planMulti == nil &&
		row.inMulti == queuedInMulti && row.Flags&FlagNoMulti == 0:
		t.Errorf("%s: a transaction could not hold it", row.Name)
	case (row.script != nil) != (row.Kind == KindScript):
		t.Errorf("%s: its handler does not fit kind %s", row.Name, row.Kind)
	case row.local != nil && row.Kind != KindRead:
		t.Errorf("%s: only a read can be local", row.Name)
	}
	if row.Flags&FlagDenyOOM != 0 && row.Kind != KindWrite {
		t.Errorf("%s: denyoom is for writes", row.Name)
	}
}

func checkKeys(t *testing.T, row *Command) {
	documented := hasKeyArg(row.Args)
	if documented == (row.Keys.none() || row.Keys.Access == shardChannels.Access) {
		t.Errorf("%s: key positions and arguments disagree", row.Name)
	}
	if row.Keys.First > 0 && (row.Keys.Step < 1 || row.Keys.Access == "") {
		t.Errorf("%s: incomplete key specification", row.Name)
	}
	if row.Keys.First == 0 && len(row.Subs) == 0 && row.Kind == KindWrite &&
		row.Categories&(CatDangerous|CatTransaction|CatLease) == 0 && row.Flags&FlagPubSub == 0 { // keys elsewhere
		t.Errorf("%s writes without a key and is not marked dangerous", row.Name)
	}
}

func hasKeyArg(args []Arg) bool {
	return slices.ContainsFunc(args, func(a Arg) bool { return a.Key || hasKeyArg(a.Args) })
}

func TestTableIsSorted(t *testing.T) {
	rows := NewTable().Rows()
	if !slices.IsSortedFunc(rows, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted")
	}
}

func TestLookup(t *testing.T) {
	table := NewTable()
	for _, name := range []string{"get", "GET", "gEt"} {
		if row := table.Lookup([]byte(name)); row == nil || row.Name != "get" {
			t.Errorf("Lookup(%s) = %v", name, row)
		}
	}
	for _, name := range []string{"", "gett", "client|id", strings.Repeat("x", 100)} {
		if row := table.Lookup([]byte(name)); row != nil {
			t.Errorf("Lookup(%q) = %s", name, row.Name)
		}
	}
	if row := table.find([]byte("CLIENT|Id")); row == nil || row.Name != "client|id" {
		t.Errorf("find = %v", row)
	}
	name := []byte("MsEt")
	if n := testing.AllocsPerRun(100, func() { table.Lookup(name) }); n != 0 {
		t.Errorf("%v allocations per lookup", n)
	}
}

func TestKeyPositions(t *testing.T) {
	table := NewTable()
	for _, c := range []struct {
		words string
		want  []int
	}{
		{"get a", []int{1}}, {"mget a b c", []int{1, 2, 3}}, {"mset a 1 b 2", []int{1, 3}}, {"ping x", nil},
		{"set a b ex 10", []int{1}}, {"bitop and d a b", []int{2, 3, 4}}, {"lcs a b len", []int{1, 2}},
		{"msetex 2 a 1 b 2 ex 10", []int{2, 4}}, {"msetex 3 a 1", nil}, {"rename a b", []int{1, 2}},
	} {
		args := bytes.Fields([]byte(c.words))
		if got := table.Lookup(args[0]).keys(args); !slices.Equal(got, c.want) {
			t.Errorf("keys of %q = %v", c.words, got)
		}
	}
}

// Every gate, in the order of the list, refuses its case and only that.
func TestGates(t *testing.T) {
	d := &Dispatcher{table: NewTable(), engine: &raftfsm.Engine{}}
	for _, c := range []struct{ words, want string }{
		{"nosuch", "ERR unknown command 'nosuch', with args beginning with: "},
		{"client nosuch x", "ERR unknown subcommand 'nosuch'. Try CLIENT HELP."},
		{"client", "ERR wrong number of arguments for 'client' command"},
		{"client id x", "ERR wrong number of arguments for 'client|id' command"},
		{"get", "ERR wrong number of arguments for 'get' command"},
		{"get a", ""}, {"command", ""}, {"config get x", ""},
	} {
		call := &call{d: d}
		call.begin(bytes.Fields([]byte(c.words)))
		got := ""
		if err := admit(&session{}, call); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
}

func TestWriteDocs(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### `SET key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] [GET] " +
			"[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] " +
			"[LEASE id] [FENCE name token]`",
		"### `KV.RANGE from [TO end | PREFIX | FROMKEY] [AT revision]",
		"### `CLIENT SETNAME connection-name`", "### `COMMAND`", "## kv",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(b.String(), "### `CLIENT`") {
		t.Error("a container without a handler is no command")
	}
}
