package commands

import (
	"errors"
	"slices"
	"strings"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/mvcc"
)

// What a command touches beside the keys that stand at fixed places: the functions of the column also. Each
// adds to the question. Words that cannot be understood add nothing: their handler refuses them before
// anything is read or planned. They are only called for users who are bound to keys or channels.

// notKey marks words that stand where keys would and are none.
const notKey = "not_key"

func use(q *acl.Query, span mvcc.Span, access acl.Access) {
	q.Keys = append(q.Keys, reachOf(span, access))
}

// useAll is for what reads or writes every key there is.
func useAll(access acl.Access) func(*call, *acl.Query) error {
	return func(_ *call, q *acl.Query) error {
		use(q, mvcc.PrefixSpan(""), access)
		return nil
	}
}

func reachRange(c *call, q *acl.Query) error {
	if o, err := parseKV(c, 2, kvRangeOptions); err == nil {
		use(q, o.span(c, 1), acl.Read)
	}
	return nil
}

// reachDel: the previous values are shown only to who may read them.
func reachDel(c *call, q *acl.Query) error {
	o, err := parseKV(c, 2, kvDelOptions)
	if err != nil {
		return nil
	}
	access := acl.Write
	if o.has(kvPrev) {
		access |= acl.Read
	}
	use(q, o.span(c, 1), access)
	return nil
}

func putAccess(args [][]byte) string {
	for _, word := range args[min(3, len(args)):] {
		if is(word, "PREV") {
			return "RW access update"
		}
	}
	return "OW update"
}

func delAccess(args [][]byte) string {
	for _, word := range args[min(2, len(args)):] {
		if is(word, "PREV") {
			return "RW access delete"
		}
	}
	return "RM delete"
}

// delexAccess: whether a value is as guessed is told only to who may read it.
func delexAccess(args [][]byte) string {
	if len(args) > 2 {
		return "RW access delete"
	}
	return "RM delete"
}

func reachWatch(c *call, q *acl.Query) error {
	if w, err := parseKVWatch(c); err == nil {
		use(q, w.Spec.Span, acl.Read)
	}
	return nil
}

func reachGuard(c *call, q *acl.Query) error {
	w := words{args: c.args, at: 1}
	if g, err := w.guard(); err == nil {
		use(q, g.Span, acl.Read)
	}
	return nil
}

// reachTxn reads the transaction, which asks about each guard and command in it.
func reachTxn(c *call, _ *acl.Query) error {
	inner := &call{d: c.d, tx: c.tx, s: c.s, nesting: c.nesting, budget: c.budget, dry: c.dry,
		scripted: c.scripted}
	inner.row, inner.args = c.row, c.args
	asking := c.s.who.query // the question about the KV.TXN itself, which the inner ones must not overwrite
	c.s.who.query = acl.Query{}
	_, err := kvTxn(inner)
	c.s.who.query = asking
	var denied *denial
	if errors.As(err, &denied) {
		return denied
	}
	return nil
}

// reachLease: who ends a lease deletes its keys, and who renews it keeps them.
func reachLease(c *call, q *acl.Query) error {
	for _, word := range c.args[1:] {
		c.useLease(q, word, acl.Write)
	}
	return nil
}

func reachLeaseTTL(c *call, q *acl.Query) error {
	if len(c.args) > 2 {
		c.useLease(q, c.args[1], acl.Read)
	}
	return nil
}

// useLease adds the keys on a lease, as far as this member has applied the log.
func (c *call) useLease(q *acl.Query, word []byte, access acl.Access) {
	if id, err := parseLeaseID(word); err == nil {
		c.useLeaseKeys(q, id, access)
	}
}

// useLeaseKeys is useLease for an id that was read; 0 is none.
func (c *call) useLeaseKeys(q *acl.Query, id mvcc.LeaseID, access acl.Access) {
	if id == 0 {
		return
	}
	for _, key := range c.d.engine.Store().LeaseKeys(id) {
		use(q, mvcc.KeySpan(key), access)
	}
}

// Writes may hang a key on a lease, whose other keys then live and die with it, or ask for a lock. Each reads
// its options as its handler does: a value, or what stands behind another option, is none.

func reachSet(c *call, q *acl.Query) error {
	o, err := parseSet(c, 3)
	if err != nil {
		return nil
	}
	c.useLeaseKeys(q, o.lease, acl.Write)
	if o.fenced {
		use(q, o.fence.Span, acl.Read)
	}
	return nil
}

func reachPut(c *call, q *acl.Query) error {
	if o, err := parseKV(c, 3, kvPutOptions); err == nil {
		c.useLeaseKeys(q, o.lease, acl.Write)
	}
	return nil
}

func reachJoin(c *call, q *acl.Query) error {
	if j, err := c.row.join(c); err == nil && j.given() {
		c.useLeaseKeys(q, j.lease, acl.Write)
	}
	return nil
}

// reachTracking: the news of a prefix names its keys.
func reachTracking(c *call, q *acl.Query) error {
	o, err := parseTracking(c)
	if err != nil || !o.bcast {
		return nil
	}
	for _, prefix := range o.prefixes {
		use(q, mvcc.PrefixSpan(prefix), acl.Read)
	}
	if len(o.prefixes) == 0 {
		use(q, mvcc.PrefixSpan(""), acl.Read)
	}
	return nil
}

func reachPublish(c *call, q *acl.Query) error {
	q.Channels = append(q.Channels, acl.Channel{Reach: acl.Reach{From: c.str(1)}})
	return nil
}

func reachSubscribe(kind int) func(*call, *acl.Query) error {
	return func(c *call, q *acl.Query) error {
		for _, name := range c.args[1:] {
			hear(q, kind, string(name))
		}
		return nil
	}
}

// The channels that tell what keys hold.
var tellingChannels = [...]string{"lock:", "election:"}

// tellsQueues reports whether changes of locks or elections may come over a channel or a pattern's channels.
func tellsQueues(kind int, name string) bool {
	prefix, exact := name, true
	if kind == listPatterns {
		prefix, exact = globPrefix(name)
	}
	return kind != listShards && slices.ContainsFunc(tellingChannels[:], func(telling string) bool {
		return strings.HasPrefix(prefix, telling) || !exact && strings.HasPrefix(telling, prefix)
	})
}

// hear adds what a subscription hears: its channel or pattern, and the keys whose news come over it.
func hear(q *acl.Query, kind int, name string) {
	pattern := kind == listPatterns
	if kind != listShards {
		if w, err := parseWatchChannel(name, pattern); w != nil || err != nil {
			hearWatch(q, name, w != nil, pattern)
			return
		}
		hearQueues(q, name, pattern)
	}
	q.Channels = append(q.Channels, acl.Channel{Reach: acl.Reach{From: name}, Pattern: pattern})
}

// hearWatch: a watch needs the right to read all its keys, and that to a channel watch:key for each. The
// options in its name do not count.
func hearWatch(q *acl.Query, name string, sound, pattern bool) {
	head, key, _ := strings.Cut(name, ":")
	span := mvcc.KeySpan(key)
	switch {
	case pattern:
		span = globSpan(key)
	case sound && strings.Contains(head, ";prefix"):
		span = mvcc.PrefixSpan(key)
	}
	use(q, span, acl.Read)
	channel := mvcc.KeySpan("watch:" + key)
	if span.Kind != mvcc.SpanKey {
		channel = mvcc.PrefixSpan("watch:" + span.From)
	}
	q.Channels = append(q.Channels, acl.Channel{Reach: reachOf(channel, 0)})
}

// hearQueues: what comes over lock: and election: shows names and values of places.
func hearQueues(q *acl.Query, name string, pattern bool) {
	for _, telling := range tellingChannels {
		if rest, ok := strings.CutPrefix(name, telling); ok && !pattern {
			use(q, mvcc.KeySpan(rest), acl.Read)
			return
		}
		if !pattern {
			continue
		}
		prefix, exact := globPrefix(name)
		rest, inside := strings.CutPrefix(prefix, telling)
		switch {
		case inside && exact:
			use(q, mvcc.KeySpan(rest), acl.Read)
		case inside:
			use(q, mvcc.PrefixSpan(rest), acl.Read)
		case !exact && strings.HasPrefix(telling, prefix):
			use(q, mvcc.PrefixSpan(""), acl.Read)
		}
	}
}
