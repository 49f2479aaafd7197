package commands

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// plannedReads are reads of every row that can be planned into a request. The keys k, n and bits exist.
var plannedReads = []string{
	"GET k", "GET none", "MGET k none n", "STRLEN k", "EXISTS k none k", "TOUCH k n none", "TYPE k", "TYPE none",
	"TTL k", "TTL n", "TTL none", "PTTL n", "PTTL none", "EXPIRETIME k", "PEXPIRETIME k", "PEXPIRETIME none",
	"GETRANGE k 1 -2",
	"GETRANGE k x 1", "SUBSTR n 0 0", "LCS k bits", "LCS k bits NOPE", "GETBIT bits 3", "GETBIT bits x",
	"BITCOUNT bits",
	"BITCOUNT none x", "BITPOS bits 1", "BITFIELD_RO bits GET u9 3", "OBJECT ENCODING n", "OBJECT ENCODING none",
	"OBJECT FREQ n", "OBJECT IDLETIME n", "OBJECT REFCOUNT n", "MEMORY USAGE k", "DUMP k", "DUMP none",
	"DIGEST k",
}

// A read gives the same alone after a barrier and inside a run of writes, where it is part of the log.
func TestPlannedReads(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("SET", "k", "some value", "EXAT", "33177117420")
	c.do("MSET", "n", "42", "bits", "\x0f\xf0abc")
	tested := map[*Command]bool{}
	for _, line := range plannedReads {
		words := strings.Fields(line)
		tested[rowOf(n.d.table, words)] = true
		alone := c.do(words...)
		c.send(encode("SET", "other", "x") + encode(words...) + encode("SET", "other", "y"))
		c.reply()
		if planned := c.reply(); planned != alone && !strings.HasPrefix(line, "TTL") {
			t.Errorf("%s: planned %s, alone %s", line, planned, alone)
		}
		c.reply()
	}
	for _, row := range n.d.table.All() {
		if row.planRead != nil && !row.wide && row.Group != "kv" && !tested[row] {
			t.Errorf("%s is not tested", row.Name)
		}
	}
}

func rowOf(t *Table, words []string) *Command {
	row := t.Lookup([]byte(words[0]))
	if sub := row.Sub([]byte(words[1])); sub != nil {
		return sub
	}
	return row
}

// Reads of all keys are planned for transactions alone; here their plans are applied to a store of their own.
func TestWidePlans(t *testing.T) {
	n := startNode(t)
	store := mvcc.New()
	defer store.Close()
	run := func(line string) resp.Value {
		c := &call{d: n.d}
		var words [][]byte
		for _, w := range strings.Fields(line) {
			words = append(words, []byte(w))
		}
		c.begin(words)
		c.row = n.d.table.Lookup(words[0])
		render := c.row.planRead(c)
		var res mvcc.Result
		store.Update(1, func(b *mvcc.Batch) { b.Txn(&c.txn, &res) })
		return render(&res)
	}
	if v := run("RANDOMKEY"); v.Kind() != resp.KindNull {
		t.Errorf("RANDOMKEY of nothing: %v", v)
	}
	const keys = 57
	for i := range keys {
		key := mvcc.KeySpan(fmt.Sprintf("key:%d", i))
		store.Update(1, func(b *mvcc.Batch) {
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: key}}}, nil)
		})
	}
	if v := run("DBSIZE"); v.Num() != keys {
		t.Errorf("DBSIZE %d", v.Num())
	}
	if v := run("KEYS key:1*"); len(v.Elems()) != 11 {
		t.Errorf("KEYS gives %d", len(v.Elems()))
	}
	if v := run("RANDOMKEY"); !strings.HasPrefix(v.Text(), "key:") {
		t.Errorf("RANDOMKEY %q", v.Text())
	}
	if v := run("SCAN x"); v.Text() != errInvalidCursor.Error() {
		t.Errorf("SCAN x: %q", v.Text())
	}
	checkPlannedScan(t, run, store, keys)
}

// checkPlannedScan walks with cursors that a scan outside of a transaction gave every other time.
func checkPlannedScan(t *testing.T, run func(string) resp.Value, store *mvcc.Store, keys int) {
	t.Helper()
	seen := map[string]bool{}
	cursor := "0"
	for page := 0; page == 0 || cursor != "0"; page++ {
		if page%2 == 1 {
			from, _ := strconv.ParseUint(cursor, 10, 64)
			next := store.Scan(from, 7, func(r mvcc.Record) { seen[r.Key()] = true })
			cursor = strconv.FormatUint(next, 10)
			continue
		}
		v := run("SCAN " + cursor + " COUNT 7")
		if got := len(v.Elems()[1].Elems()); got > 7 {
			t.Fatalf("a page of %d", got)
		}
		for _, key := range v.Elems()[1].Elems() {
			seen[key.Text()] = true
		}
		cursor = v.Elems()[0].Text()
	}
	if len(seen) != keys {
		t.Errorf("the scan saw %d of %d keys", len(seen), keys)
	}
}

// INFO counts what reads inside a run of writes find, as it does for others.
func TestPlannedReadsCountAsLookups(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("SET", "k", "v")
	before := n.d.Stats()
	c.send(encode("SET", "k", "w") + encode("MGET", "k", "none", "k") + encode("GET", "none") + encode("SET",
		"k", "x"))
	for range 4 {
		c.reply()
	}
	after := n.d.Stats()
	if hits, misses := after.Hits-before.Hits, after.Misses-before.Misses; hits != 2 || misses != 2 {
		t.Errorf("%d hits and %d misses, want 2 and 2", hits, misses)
	}
}
