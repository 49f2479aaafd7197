package commands

import (
	"strconv"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var keyRows = []Command{
	{Name: "del", Arity: -2, Kind: KindWrite, Keys: allKeys("RM delete"), Group: "generic", Since: "1.0.0",
		Complexity: "O(N) where N is the number of keys that will be removed.",
		Summary:    "Deletes one or more keys.", Args: args(argKey("key").many()), plan: del},
	{Name: "unlink", Arity: -2, Kind: KindWrite, Flags: FlagFast, Keys: allKeys("RM delete"), Group: "generic",
		Since: "4.0.0", Complexity: "O(N) where N is the number of keys that will be removed.",
		Summary: "Deletes one or more keys, as DEL does.", Args: args(argKey("key").many()), plan: del},
	{Name: "exists", Arity: -2, Kind: KindRead, Flags: FlagFast, Keys: allKeys("RO"), Group: "generic",
		Since: "1.0.0", Complexity: "O(N) where N is the number of keys to check.",
		Summary: "Determines whether one or more keys exist.", Args: args(argKey("key").many()),
		read: exists, planRead: planExists},
	{Name: "touch", Arity: -2, Kind: KindRead, Flags: FlagFast, Keys: allKeys("RO"), Group: "generic",
		Since: "3.2.1", Complexity: "O(N) where N is the number of keys that will be touched.",
		Summary: "Returns the number of existing keys out of those specified; there are no access times to update.",
		Args:    args(argKey("key").many()), read: exists, planRead: planExists},
	{Name: "type", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO"), Group: "generic",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Determines the type of value stored at a key.",
		Args: args(argKey("key")), read: keyRead(typeOf).read, planRead: keyRead(typeOf).plan},
	{Name: "keys", Arity: 2, Kind: KindRead, Group: "generic", Categories: CatDangerous, Since: "1.0.0",
		Complexity: "O(N) with N being the number of keys that begin as the pattern does.",
		Summary:    "Returns all key names that match a pattern.", Tips: []string{unstable},
		Args: args(argPattern("pattern")), read: keysOf, planRead: planKeysOf, wide: true},
	{Name: "scan", Arity: -2, Kind: KindRead, Group: "generic", Since: "2.8.0",
		Complexity: "O(1) for every call, O(N) for a complete iteration.",
		Summary:    "Iterates over the key names in the database.", Tips: []string{"nondeterministic_output"},
		Args: args(argInteger("cursor"), argPattern("pattern").after("MATCH").opt(),
			argInteger("count").after("COUNT").opt(), argString("type").after("TYPE").opt().from("6.0.0")),
		read: scan, planRead: planScan, wide: true},
	{Name: "dbsize", Arity: 1, Kind: KindRead, Flags: FlagFast, Group: "server", Categories: CatKeyspace,
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of keys in the database.", read: dbsize,
		planRead: planDBSize, wide: true},
	{Name: "flushall", Arity: -1, Kind: KindWrite, Group: "server", Categories: CatKeyspace | CatDangerous,
		Since: "1.0.0", Complexity: "O(N) where N is the total number of keys.",
		Summary: "Removes all keys, in one revision.", Args: args(flushModeArg), plan: flush,
		also: useAll(acl.Write), audited: true},
	{Name: "flushdb", Arity: -1, Kind: KindWrite, Group: "server", Categories: CatKeyspace | CatDangerous,
		Since: "1.0.0", Complexity: "O(N) where N is the number of keys.",
		Summary: "Removes all keys from the current database, which is the only one.",
		Args:    args(flushModeArg), plan: flush, also: useAll(acl.Write), audited: true},
}

var flushModeArg = argOneOf("flush-type", argToken("ASYNC").from("4.0.0"),
	argToken("SYNC").from("6.2.0")).opt()

func del(c *call) (render, error) {
	for i := 1; i < len(c.args); i++ {
		c.do(mvcc.Op{Kind: mvcc.OpDelete, Span: mvcc.KeySpan(c.str(i))})
	}
	return sumNumbers, nil
}

func exists(c *call, v *view) (resp.Value, error) {
	n := int64(0)
	v.each(c.args[1:], func(r mvcc.Record) {
		if r.Exists() {
			n++
		}
	})
	return resp.Int(n), nil
}

func planExists(c *call) render {
	planKeys(c)
	return func(r *mvcc.Result) resp.Value {
		n := int64(0)
		for i := range r.Ops {
			if found(&r.Ops[i]).Exists() {
				n++
			}
		}
		return resp.Int(n)
	}
}

func typeOf(_ *call, found seen) (resp.Value, error) {
	if found.one().Exists() {
		return resp.Simple("string"), nil
	}
	return resp.Simple("none"), nil
}

// globSpan is the span that holds every key the pattern matches.
func globSpan(pattern string) mvcc.Span {
	prefix, exact := globPrefix(pattern)
	if exact {
		return mvcc.KeySpan(prefix)
	}
	return mvcc.PrefixSpan(prefix)
}

func keysOf(c *call, v *view) (resp.Value, error) {
	all, err := v.rangeNow(globSpan(c.str(1)), mvcc.RangeOptions{})
	if err != nil {
		return resp.Value{}, opError(err)
	}
	return matching(c, all), nil
}

func planKeysOf(c *call) render {
	return wideRead(c, globSpan(c.str(1)), mvcc.RangeOptions{}, matching)
}

// matching is the names that match the pattern of the call.
func matching(c *call, all mvcc.RangeResult) resp.Value {
	kept, pattern := all.Records[:0], c.str(1)
	for _, r := range all.Records {
		if matchGlob(pattern, r.Key()) && c.shows(r.Key()) {
			kept = append(kept, r)
		}
	}
	return keyNames(kept)
}

// keyNames are the keys of records, made one at a time.
func keyNames(rs []mvcc.Record) resp.Value {
	return resp.ArrayBy(len(rs), func(i int) resp.Value { return resp.Bulk(rs[i].Key()) })
}

// scanOptions is a parsed SCAN.
type scanOptions struct {
	cursor  uint64
	count   int64
	match   string
	matches bool
	nothing bool // a TYPE that no key has
}

const (
	scanCount    = 10      // when COUNT is not given
	scanMaxCount = 1 << 20 // more make no page faster
	scanEnd      = 1 << 53 // cursors are below
)

func parseScan(c *call) (o scanOptions, err error) {
	var ok bool
	if o.cursor, ok = parseCursor(c.args[1]); !ok {
		return o, errInvalidCursor
	}
	o.count = scanCount
	for w := c.options(2); w.more(); {
		option := w.next()
		if !w.more() {
			return o, errSyntax
		}
		value := w.next()
		switch {
		case is(option, "COUNT"):
			if o.count, err = integer(value); err != nil {
				return o, err
			}
			if o.count < 1 {
				return o, errSyntax
			}
		case is(option, "MATCH"):
			o.match, o.matches = alias(value), string(value) != "*"
		case is(option, "TYPE"):
			o.nothing = !is(value, "STRING")
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

func scan(c *call, v *view) (resp.Value, error) {
	o, err := parseScan(c)
	if err != nil {
		return resp.Value{}, err
	}
	var kept []mvcc.Record
	next := uint64(0)
	if o.cursor < scanEnd {
		next = v.store.Scan(o.cursor, int(min(o.count, scanMaxCount)), func(r mvcc.Record) {
			if o.wants(v.alive(r)) && c.shows(r.Key()) {
				kept = append(kept, r)
			}
		})
	}
	return resp.Array(resp.Bulk(strconv.FormatUint(next, 10)), keyNames(kept)), nil
}

// planScan reads all keys from the cursor on in the order of their changes, and takes its page of them.
func planScan(c *call) render {
	o, err := parseScan(c)
	if err != nil {
		return failWith(err)
	}
	from := mvcc.RangeOptions{Sort: mvcc.SortMod, MinMod: mvcc.ScanRevision(o.cursor)}
	return wideRead(c, mvcc.PrefixSpan(""), from, func(c *call, all mvcc.RangeResult) resp.Value {
		page, next := mvcc.ScanPage(all.Records, o.cursor, int(min(o.count, scanMaxCount)))
		kept := page[:0]
		for _, r := range page {
			if o.wants(r) && c.shows(r.Key()) {
				kept = append(kept, r)
			}
		}
		return resp.Array(resp.Bulk(strconv.FormatUint(next, 10)), keyNames(kept))
	})
}

func (o *scanOptions) wants(r mvcc.Record) bool {
	return r.Exists() && !o.nothing && (!o.matches || matchGlob(o.match, r.Key()))
}

func dbsize(_ *call, v *view) (resp.Value, error) { return resp.Int(v.store.Len()), nil }

func planDBSize(c *call) render {
	return wideRead(c, mvcc.PrefixSpan(""), mvcc.RangeOptions{CountOnly: true},
		func(_ *call, all mvcc.RangeResult) resp.Value { return resp.Int(all.Count) })
}

func flush(c *call) (render, error) {
	if len(c.args) > 2 || len(c.args) == 2 && !is(c.args[1], "SYNC") && !is(c.args[1], "ASYNC") {
		return nil, errSyntax
	}
	c.do(mvcc.Op{Kind: mvcc.OpDelete, Span: mvcc.PrefixSpan("")})
	return allOK, nil
}
