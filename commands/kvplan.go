package commands

import (
	"fmt"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// What reads are inside MULTI and KV.TXN. A read of the present is an operation: it sees what the commands
// before it wrote, and a key past its deadline ends by it. A read of the past, and one of a key's history, is
// no operation. It is made of the store when the transaction has been applied here, up to the transaction's
// own revision: later ones are hidden, so that the reply does not depend on how soon it is made.

func planKvGet(c *call) (render, error) {
	o, err := parseKV(c, 2, kvGetOptions)
	if err != nil {
		return nil, err
	}
	if o.rng.At == 0 {
		planKeys(c)
		return func(r *mvcc.Result) resp.Value { return record(found(&r.Ops[0]), true) }, nil
	}
	store, key := c.d.engine.Store(), c.str(1)
	return func(r *mvcc.Result) resp.Value {
		if o.rng.At > r.Revision {
			return refused(errFutureRev)
		}
		past, err := store.GetAt(key, o.rng.At)
		if err != nil {
			return failed(err)
		}
		return record(past, true)
	}, nil
}

func planKvRange(c *call) (render, error) {
	o, err := parseKV(c, 2, kvRangeOptions)
	if err != nil {
		return nil, err
	}
	span, values := o.span(c, 1), !o.has(kvKeysOnly)
	if o.rng.At == 0 {
		c.do(mvcc.Op{Kind: mvcc.OpRange, Span: span, Range: o.rng})
		return func(r *mvcc.Result) resp.Value { return rangeReply(&r.Ops[0].Range, values) }, nil
	}
	store := c.d.engine.Store()
	c.lateSweeps = 1
	return func(r *mvcc.Result) resp.Value {
		if o.rng.At > r.Revision {
			return refused(errFutureRev)
		}
		past, err := store.Range(span, o.rng)
		if err != nil {
			return failed(err)
		}
		past.Revision = r.Revision
		return rangeReply(&past, values)
	}, nil
}

func planKvHistory(c *call) (render, error) {
	o, err := parseKV(c, 2, kvLimit)
	if err != nil {
		return nil, err
	}
	store, key := c.d.engine.Store(), c.str(1)
	c.lateSweeps = 1
	return func(r *mvcc.Result) resp.Value {
		all, err := store.History(key, 0)
		if err != nil {
			return failed(err)
		}
		for len(all) > 0 && all[0].ModRevision() > r.Revision {
			all = all[1:]
		}
		if limit := o.rng.Limit; limit > 0 && int64(len(all)) > limit {
			all = all[:limit]
		}
		return historyReply(all)
	}, nil
}

func planKvHash(c *call) (render, error) {
	o, err := parseKV(c, 1, kvAt)
	if err != nil {
		return nil, err
	}
	store := c.d.engine.Store()
	if o.rng.At != 0 {
		c.lateSweeps = 1
	}
	return func(r *mvcc.Result) resp.Value {
		rev := o.rng.At
		if rev == 0 {
			rev = r.Revision
		}
		if rev > r.Revision {
			return refused(errFutureRev)
		}
		newest, hash := store.Hash()
		if newest != rev {
			var err error
			if hash, err = store.HashAt(rev); err != nil {
				return failed(err)
			}
		}
		return hashReply(rev, store.CompactRevision(), hash)
	}, nil
}

func hashReply(rev, compacted mvcc.Revision, hash uint64) resp.Value {
	return resp.Map(
		resp.Bulk("revision"), resp.Int(int64(rev)),
		resp.Bulk("compact_revision"), resp.Int(int64(compacted)),
		resp.Bulk("hash"), resp.Bulk(fmt.Sprintf("%016x", hash)),
	)
}
