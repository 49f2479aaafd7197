package commands

import (
	"time"

	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// item is one command of a run that waits for its reply.
type item struct {
	row     *Command // nil: not even a known command, or one that is only queued
	gated   bool     // a gate refused it
	decided bool     // reply holds the reply
	reply   resp.Value

	args  [][]byte // valid until the pipeline has been served
	reads bool     // answered by the row's read
	track bool     // the client will cache what it reads

	render  render // writes: result index of submission sub
	sub     int
	index   int
	refused bool // reads: reply is an error that does not come from the handler
	renewal renewal
}

// run is a stretch of a pipeline whose commands wait together: writes for their submissions, reads for one
// barrier round. Commands refused before they were anything wait in it for their turn. It is reused.
type run struct {
	owner uint64 // id of the connection
	kind  Kind   // KindWrite, KindRead; anything else: only refused commands, or none
	began time.Time
	items []item

	subs []*raftfsm.Submission // the first open of them are in use; the last of those may not be submitted yet
	open int
	sent int

	answered int // the replies of so many items are sent
	sweeps   int // of the writes

	asks []raftfsm.LeaseAsk // of the renewals of the run

	physical bool // a compaction of the run is to be waited for
}

// The limits of one submission, which are the engine's for one log entry. A larger request goes alone.
const (
	submissionRequests = 4096
	submissionBytes    = 512 << 10
)

func (r *run) begin(kind Kind) {
	if r.kind != kind {
		r.kind, r.began = kind, time.Now()
	}
}

func (r *run) took() time.Duration {
	if r.began.IsZero() {
		return 0
	}
	return time.Since(r.began)
}

// decide adds a command whose reply is known already; gated tells that a gate refused it.
func (r *run) decide(c *call, gated bool, err error) {
	r.items = append(r.items, item{row: c.row, args: c.args, gated: gated, decided: true, reply: refused(err)})
}

// note adds a reply that answers no command yet: QUEUED, or why not.
func (r *run) note(v resp.Value) {
	r.items = append(r.items, item{decided: true, reply: v})
}

// settle adds a prompt command's reply.
func (r *run) settle(c *call, s *session) {
	v, err := c.row.session(c, s)
	if err != nil {
		v = refused(err)
	}
	r.items = append(r.items, item{row: c.row, args: c.args, decided: true, reply: v})
}

// plan adds the planned command to the submission being filled.
func (r *run) plan(e *raftfsm.Engine, c *call, render render) {
	size := c.held
	for _, a := range c.args {
		size += len(a)
	}
	if r.open > r.sent && r.subs[r.open-1].Bytes()+size > submissionBytes {
		r.submit(e)
	}
	sub := r.filling(e)
	switch {
	case c.compacts:
		sub.AddCompact(c.compact)
		r.physical = r.physical || c.physical
	case c.publishes:
		sub.AddPublish(c.message)
	case c.request != nil:
		c.request(sub)
	default:
		sub.AddTxn(&c.txn)
	}
	r.items = append(r.items, item{row: c.row, args: c.args, render: render, sub: r.open - 1,
		index: sub.Len() - 1})
	if sub.Len() >= submissionRequests || sub.Bytes() >= submissionBytes {
		r.submit(e)
	}
}

// filling returns the submission that takes the next request.
func (r *run) filling(e *raftfsm.Engine) *raftfsm.Submission {
	if r.open > r.sent {
		return r.subs[r.open-1]
	}
	if r.open == len(r.subs) {
		sub := e.NewSubmission()
		sub.Owner = r.owner
		r.subs = append(r.subs, sub)
	}
	r.open++
	return r.subs[r.open-1]
}

// submit hands the submission being filled to the engine, if there is one.
func (r *run) submit(e *raftfsm.Engine) {
	if r.open > r.sent {
		e.Submit(r.subs[r.sent])
		r.sent++
	}
}

func (r *run) submitted() []*raftfsm.Submission { return r.subs[:r.sent] }

// undecided reports whether any command of the run still needs its answer.
func (r *run) undecided() bool {
	for i := range r.items {
		if !r.items[i].decided {
			return true
		}
	}
	return false
}

// read runs the reads of a stretch: those that are not answered yet, until their replies are large together.
// It returns where the stretch ends. It may be called again, and then replaces the replies it made.
func (r *run) read(c *call, v *view) (end int) {
	for i := range r.items[r.answered:] {
		if it := &r.items[r.answered+i]; it.reads && !it.refused {
			it.reply, it.decided = resp.Value{}, false
		}
	}
	bytes := 0
	for end = r.answered; end < len(r.items) && bytes < stretchBytes; end++ {
		it := &r.items[end]
		if it.decided {
			continue
		}
		c.begin(it.args)
		c.row = it.row
		reply, err := it.row.read(c, v)
		if err != nil {
			reply = refused(err)
		}
		it.reply, it.decided = reply, true
		bytes += reply.Weight()
	}
	return end
}

// refuse answers all reads that are not answered yet with one error.
func (r *run) refuse(err error) {
	for i := range r.items[r.answered:] {
		if it := &r.items[r.answered+i]; it.reads {
			it.reply, it.decided, it.refused = refused(err), true, true
		}
	}
}

// result returns the reply of one command. REQUIRES: the run has been waited for.
func (r *run) result(d *Dispatcher, it *item) resp.Value {
	if it.decided {
		return it.reply
	}
	sub := r.subs[it.sub]
	if err := sub.Err(); err != nil && it.row.Kind == KindRead {
		return refused(readFate(err))
	} else if err != nil {
		return refused(d.writeFate(err, sub.Bytes()))
	}
	result := sub.Result(it.index)
	if result.Err != nil {
		return failed(result.Err)
	}
	if it.row.planRead != nil && !it.row.wide {
		d.stats.planned(result)
	}
	return it.render(result)
}

// end makes the run empty. REQUIRES: every submission has been waited for.
func (r *run) end() {
	for _, sub := range r.subs[:r.open] {
		sub.Reset()
	}
	r.clear()
}

// abandon makes the run empty without having waited: its submissions stay with the engine.
func (r *run) abandon() {
	r.subs = nil
	r.clear()
}

func (r *run) clear() {
	clear(r.items)
	r.items, r.asks = r.items[:0], nil
	r.kind, r.began, r.open, r.sent, r.physical = KindSession, time.Time{}, 0, 0, false
	r.answered, r.sweeps = 0, 0
}

// keptItems and keptSubmissions bound what an idle connection keeps of a long pipeline.
const (
	keptItems       = 64
	keptSubmissions = 1
)

func (r *run) shrink() {
	if cap(r.items) > keptItems {
		r.items = nil
	}
	if len(r.subs) > keptSubmissions {
		clear(r.subs[keptSubmissions:])
		r.subs = r.subs[:keptSubmissions]
	}
}
