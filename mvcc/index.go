package mvcc

import (
	"slices"
	"sort"
	"strings"

	"github.com/tidwall/btree"
)

// The key index finds a key's chain in two ways: a hash table for single keys, a B-tree for spans. A
// chain holds the key's newest record and, behind a pointer that most keys do not have, the older ones
// that compaction has not removed yet. Records are handles on shared memory, so a chain costs 32 bytes
// and each older record 16, and a read at any revision is answered by the index alone, without the
// history.
//
// Why two: among a million keys a search of the B-tree alone costs some 2 microseconds, nearly all of
// it cache misses on keys that it compares; a GET or an overwriting SET does little else. The table
// (keytable.go) makes that a tenth, for about 25 bytes a key. Nothing ever ranges over it, so its order
// shows nowhere.
//
// Rejected: only stamps of older records here, as etcd's index has it. A stamp costs the same 16 bytes,
// and every read of the past then needs the history's lock and a lookup.
//
// The drawback: the memory of an older record is held by two places, and both must let go of it.

type index struct {
	table keyTable
	order btree.Map[string, *chain]
	under *Scratch // nil but in a scratch, whose index fills itself from below
}

func (x *index) get(key string) (*chain, bool) {
	c := x.table.get(key)
	if c == nil && x.under != nil {
		return x.under.loadKey(x, key)
	}
	return c, c != nil
}

// add makes an empty chain for a key that has none; the key is copied.
func (x *index) add(key string) *chain {
	c, key := new(chain), strings.Clone(key)
	x.table.add(key, c)
	x.order.Set(key, c)
	return c
}

func (x *index) remove(key string) (ok bool) {
	_, inOrder := x.order.Delete(key)
	return x.table.remove(key) && inOrder
}

// chain is everything known of one key. Invariants, checked by Check:
//
//  1. The head and the past have the key under which the index holds the chain; stamps rise strictly
//     from past[0] to the head.
//  2. A put after a put continues it (same create revision, version one higher); a put after a delete
//     or an expiry starts anew (version 1, created by its own revision). No delete follows a delete.
//  3. past is nil rather than empty.
type chain struct {
	head Record
	past *[]Record // oldest first
	sum  uint64    // what the head adds to the state hash; 0 if the key does not exist
}

// push makes r the head.
func (c *chain) push(r Record) {
	if c.head.enc != "" {
		if c.past == nil {
			c.past = new([]Record)
		}
		*c.past = append(*c.past, c.head)
	}
	c.head = r
}

// older returns the past, oldest first.
func (c *chain) older() []Record {
	if c.past == nil {
		return nil
	}
	return *c.past
}

// shift removes and returns the oldest record of the past. REQUIRES: the past is not empty.
func (c *chain) shift() Record {
	old := *c.past
	r := old[0]
	old[0] = Record{}
	if len(old) == 1 {
		c.past = nil
	} else {
		*c.past = old[1:]
	}
	return r
}

// replace puts r where the chain holds old, the same record in another place of memory. It compares places,
// for looking at what lies there costs a cache miss each; old is mostly the head or among the oldest.
func (c *chain) replace(old, r Record) {
	if c.head.same(old) {
		c.head = r
		return
	}
	past := c.older()
	past[slices.IndexFunc(past, old.same)] = r
}

// at returns the newest record not above rev: what the key was then. It may be a delete, or zero.
func (c *chain) at(rev Revision) Record {
	if c.head.ModRevision() <= rev {
		return c.head
	}
	old := c.older()
	n := sort.Search(len(old), func(i int) bool { return old[i].ModRevision() > rev })
	if n == 0 {
		return Record{}
	}
	return old[n-1]
}

// live returns the head if the key exists now, else the zero Record.
func (c *chain) live() Record {
	if c.head.Exists() {
		return c.head
	}
	return Record{}
}

// walk calls fn with the chains of a span, in key order or in reverse, until fn returns false.
// fn may change chains but not add or remove any.
func (x *index) walk(sp Span, desc bool, fn func(key string, c *chain) bool) {
	if x.under != nil {
		x.under.loadSpan(x, sp)
	}
	switch {
	case sp.Kind == SpanKey:
		if c, ok := x.get(sp.From); ok {
			fn(sp.From, c)
		}
	case desc:
		x.walkDown(sp, fn)
	default:
		x.order.Ascend(sp.From, func(key string, c *chain) bool {
			return sp.Contains(key) && fn(key, c)
		})
	}
}

func (x *index) walkDown(sp Span, fn func(key string, c *chain) bool) {
	step := func(key string, c *chain) bool {
		if sp.Kind == SpanRange && key >= sp.End {
			return true // the pivot itself: a range does not include its end
		}
		return key >= sp.From && fn(key, c)
	}
	if sp.Kind == SpanRange {
		x.order.Descend(sp.End, step)
	} else {
		x.order.Reverse(step)
	}
}

// walkSome is walk for at most limit chains. It returns what is left of the span, and whether the
// whole span was walked.
func (x *index) walkSome(sp Span, desc bool, limit int, fn func(c *chain)) (rest Span, done bool) {
	n, last := 0, ""
	done = true
	x.walk(sp, desc, func(key string, c *chain) bool {
		if n == limit {
			done = false
			return false
		}
		n, last = n+1, key
		fn(c)
		return true
	})
	switch {
	case done:
		return Span{}, true
	case desc:
		return Span{From: sp.From, End: last, Kind: SpanRange}, false
	default:
		return Span{From: last + "\x00", End: sp.End, Kind: sp.Kind}, false
	}
}
