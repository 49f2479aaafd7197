package raftfsm

import "github.com/redkeep/redkeep/mvcc"

// lookahead decodes the transactions of an entry before apply comes to them, some at a time, and has the
// store look at their keys together (mvcc.Batch.Warm). apply is then given them as they are. What lookahead
// leaves out or cannot read, apply decodes in its turn, and says what is wrong with it.
type lookahead struct {
	r    reader
	keys []string
	txns [aheadKeys]mvcc.Txn
	read [aheadKeys]bool // txns has it
	at   int             // the request that apply comes to next
	end  int             // behind the last one that was looked at
	held int             // so many of txns hold something of an entry
}

const (
	aheadKeys  = 64  // looked at together
	aheadBytes = 512 // an entry that is smaller has nothing to look at together
	aheadOps   = 64  // memory for so many operations is kept for each transaction
)

func (a *lookahead) start(requests []byte) {
	a.r, a.at, a.end = reader{}, 0, 0
	if len(requests) >= aheadBytes {
		a.r.b = requests
	}
}

// step is called before each request is applied. It returns the request's transaction; nil if it is none, or
// has not been decoded.
func (a *lookahead) step(b *mvcc.Batch) *mvcc.Txn {
	if a.at == a.end {
		a.look(b)
	}
	if a.at == a.end {
		return nil
	}
	a.at++
	if !a.read[a.at-1] {
		return nil
	}
	return &a.txns[a.at-1]
}

func (a *lookahead) look(b *mvcc.Batch) {
	a.keys, a.at, a.end = a.keys[:0], 0, 0
	for a.end < aheadKeys && len(a.keys) < aheadKeys {
		kind, body, more := a.r.request()
		if !more {
			break
		}
		a.read[a.end] = kind == ReqTxn && a.decode(&a.txns[a.end], &body)
		a.end++
	}
	for ; a.held > a.end; a.held-- {
		forget(&a.txns[a.held-1])
	}
	a.held = a.end
	b.Warm(a.keys)
}

// forget lets go of the entry that t is of, and keeps its memory.
func forget(t *mvcc.Txn) {
	clear(t.Compares[:cap(t.Compares)])
	clear(t.Then[:cap(t.Then)])
	clear(t.Else[:cap(t.Else)])
}

// decode reports whether t is the whole transaction.
func (a *lookahead) decode(t *mvcc.Txn, body *reader) bool {
	if cap(t.Then) > aheadOps || cap(t.Else) > aheadOps || cap(t.Compares) > aheadOps {
		*t = mvcc.Txn{}
	}
	body.txn(t, 1)
	if body.end() != nil {
		return false
	}
	a.collect(t)
	return true
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
