package commands

import (
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// keyRead answers a read from the records of the keys that the row names, found in the order of the words and
// the zero Record for a missing one. One function so serves both ways a read can go: alone after a barrier,
// and planned into a transaction, where its operations read and it renders.
type keyRead func(c *call, found seen) (resp.Value, error)

// seen are the records of a read, the time at which they were alive, and who knows when they end.
type seen struct {
	records  []mvcc.Record
	now      mvcc.UnixMilli
	deadline func(mvcc.Record) mvcc.UnixMilli
}

func (s seen) one() mvcc.Record { return s.records[0] }

// value is the value of record i, "" for a missing key.
func (s seen) value(i int) string {
	if !s.records[i].Exists() {
		return ""
	}
	return s.records[i].Value()
}

func (f keyRead) read(c *call, v *view) (resp.Value, error) {
	at := c.row.keys(c.args)
	keys := make([][]byte, len(at))
	for i := range at {
		keys[i] = c.args[at[i]]
	}
	found := seen{now: v.now, records: make([]mvcc.Record, 0, len(at)), deadline: v.deadline}
	v.each(keys, func(r mvcc.Record) { found.records = append(found.records, r) })
	return f(c, found)
}

// plan keeps the words, since the call is used again before its result is there. Time is the transaction's.
func (f keyRead) plan(c *call) render {
	for _, at := range c.row.keys(c.args) {
		c.do(mvcc.Op{Kind: mvcc.OpRange, Span: mvcc.KeySpan(c.str(at))})
	}
	later := &call{d: c.d, s: c.s, row: c.row, args: c.args}
	return func(r *mvcc.Result) resp.Value {
		records := make([]mvcc.Record, len(r.Ops))
		for i := range r.Ops {
			records[i] = found(&r.Ops[i])
		}
		return settle(f(later, later.seen(records, r.Now)))
	}
}

// seen is what a planned read has found. Of leases this member knows what a new leader would grant.
func (c *call) seen(records []mvcc.Record, now mvcc.UnixMilli) seen {
	here := &view{now: now}
	here.leases.table = c.d.engine.Leases()
	return seen{records, now, here.deadline}
}

// settle makes one reply of a handler's two results.
func settle(v resp.Value, err error) resp.Value {
	if err != nil {
		return refused(err)
	}
	return v
}

// wideRead plans a read of all keys of a span. It is dear inside the log, so that only a transaction uses it.
func wideRead(c *call, span mvcc.Span, o mvcc.RangeOptions, reply func(*call,
	mvcc.RangeResult) resp.Value) render {
	c.do(mvcc.Op{Kind: mvcc.OpRange, Span: span, Range: o})
	later := &call{d: c.d, s: c.s, row: c.row, args: c.args}
	return func(r *mvcc.Result) resp.Value { return reply(later, r.Ops[0].Range) }
}

// failWith is the render of a read that is refused when it is planned.
func failWith(err error) render {
	return func(*mvcc.Result) resp.Value { return refused(err) }
}
