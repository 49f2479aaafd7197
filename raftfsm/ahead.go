package raftfsm

import "github.com/redkeep/redkeep/mvcc"

// lookahead reads the requests of an entry before apply comes to them, and has the store look at their keys
// together (mvcc.Batch.Warm). Each is decoded twice; that costs a tenth of the waits for memory it spares.
// It changes nothing, so what it leaves out or cannot read does not matter: apply does, in its turn.
type lookahead struct {
	r    reader
	txn  mvcc.Txn
	keys []string
	left int // requests that have been looked at and not applied yet
}

const (
	aheadKeys  = 64  // looked at together
	aheadBytes = 512 // an entry that is smaller has nothing to look at together
)

func (a *lookahead) start(requests []byte) {
	a.r, a.left = reader{}, 0
	if len(requests) >= aheadBytes {
		a.r.b = requests
	}
}

// step is called before each request is applied.
func (a *lookahead) step(b *mvcc.Batch) {
	if a.left--; a.left >= 0 || len(a.r.b) == 0 {
		return
	}
	a.keys = a.keys[:0]
	for a.left = -1; len(a.keys) < aheadKeys; a.left++ {
		kind, body, more := a.r.request()
		if !more {
			break
		}
		if kind == ReqTxn {
			body.txn(&a.txn, 1)
			a.collect(&a.txn)
		}
	}
	b.Warm(a.keys)
}

// collect takes the single keys that a transaction names.
func (a *lookahead) collect(t *mvcc.Txn) {
	for i := range t.Compares {
		a.take(&t.Compares[i].Span)
	}
	for _, ops := range [...][]mvcc.Op{t.Then, t.Else} {
		for i := range ops {
			if ops[i].Txn != nil {
				a.collect(ops[i].Txn)
			} else {
				a.take(&ops[i].Span)
			}
		}
	}
}

func (a *lookahead) take(s *mvcc.Span) {
	if s.Kind == mvcc.SpanKey {
		a.keys = append(a.keys, s.From)
	}
}
