package raftfsm

import (
	"encoding/binary"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Submission is one run of requests of one connection: filled by it, packed into a batch by the
// proposer, answered by the state machine, and used again.
//
// Who owns it when: the connection, from NewSubmission or a received Done until Submit; the engine,
// from Submit until Done is received. A connection that does not wait for Done drops the submission.
type Submission struct {
	Owner uint64 // the connection it comes from, for those who do not want news of their own writes

	// Patient is for what waits anyway once it is done, as a place in a queue does: it does not begin a round
	// but shares the next one, or begins its own if there is none for a moment.
	Patient bool

	buf      []byte // encoded requests
	n        int
	copies   bool         // a transaction in it may write much more than it brings along
	term     cluster.Term // not 0: worth something in this term only, void in any other
	done     chan struct{}
	deadline time.Time
	hurry    time.Time // when patience is over; zero: none
	err      error
	results  []mvcc.Result
}

// NewSubmission returns an empty submission.
func (e *Engine) NewSubmission() *Submission {
	return &Submission{done: make(chan struct{}, 1)}
}

// AddTxn adds a transaction. Its strings are copied. The Op.Range.At of its reads must be 0.
func (s *Submission) AddTxn(t *mvcc.Txn) {
	s.copies = s.copies || t.MayCopy()
	s.add(ReqTxn, func(b []byte) []byte { return appendTxn(b, t) })
}

// AddExpire asks for the end of keys seen past their deadline; each is checked again when applied.
func (s *Submission) AddExpire(keys []mvcc.ExpireKey) {
	s.add(ReqExpire, func(b []byte) []byte {
		b = binary.AppendUvarint(b, uint64(len(keys)))
		for _, k := range keys {
			b = binary.AppendUvarint(appendBytes(b, k.Key), uint64(k.Mod))
		}
		return b
	})
}

// AddCompact asks for the end of the history below rev. Its result has one operation whose Err says
// why it was refused.
func (s *Submission) AddCompact(rev mvcc.Revision) {
	s.add(ReqCompact, func(b []byte) []byte { return binary.AppendUvarint(b, uint64(rev)) })
}

func (s *Submission) addMember(m memberRecord) {
	s.add(ReqMember, func(b []byte) []byte { return appendMember(b, m) })
}

func (s *Submission) add(kind RequestKind, body func([]byte) []byte) {
	s.buf = appendRequest(s.buf, kind, body)
	s.n++
}

// Len returns the number of requests; Bytes what they take in the log.
func (s *Submission) Len() int   { return s.n }
func (s *Submission) Bytes() int { return len(s.buf) }

// Done receives one value after each Submit, once the outcome is known or the request timeout is over.
func (s *Submission) Done() <-chan struct{} { return s.done }

// Err returns nil iff all requests were applied: then each has a Result. Otherwise it is the fate of
// them all. REQUIRES: Done was received.
func (s *Submission) Err() error { return s.err }

// Result returns what request i answered. It is valid until Reset. REQUIRES: Err is nil.
func (s *Submission) Result(i int) *mvcc.Result { return &s.results[i] }

// keptBytes is the largest buffer that a submission keeps for its next use.
const keptBytes = 64 << 10

// Reset makes the submission empty. REQUIRES: it was not submitted, or Done was received.
func (s *Submission) Reset() {
	if cap(s.buf) > keptBytes {
		s.buf = nil
	}
	if len(s.results) > 256 {
		s.results = nil
	}
	s.buf, s.n, s.copies, s.err, s.term = s.buf[:0], 0, false, nil, 0
}

// prepare makes room for the results, keeping what earlier ones allocated.
func (s *Submission) prepare() {
	for len(s.results) < s.n {
		s.results = append(s.results, mvcc.Result{})
	}
}

func (s *Submission) finish(err error) {
	s.err = err
	s.done <- struct{}{} // never blocks: one slot, one value per Submit
}
