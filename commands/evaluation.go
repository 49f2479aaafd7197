package commands

// One EVAL, from a compiled script to its reply.
//
// Idea. A script reads, decides and writes in an order that no request can express, so it runs here and not
// in the state machine: apply stays small, and a slow script holds up nobody but its client. Each
// attempt waits for a round of the read barrier, pins the newest revision, and runs against a scratch
// (mvcc.Scratch): every redis.call is planned, evaluated and rendered by the code that serves it outside,
// sees what the calls before it have written, and leaves in the scratch what it has read. At the end:
//
//	nothing written  the reply is linearizable, as all was read from one state behind the barrier
//	something        one request: guards on all that was read, then the calls that changed anything, in
//	                 order. If the guards hold when it is applied, the script's view of the world was that of
//	                 its turn in the log; if not, nothing was done and the script runs again from the start
//
// Invariants.
//  1. What a client is told was computed from the state in which the writes were made.
//  2. A script that ends in an error, runs out of time or memory, or is killed, has changed nothing. (Redis
//     keeps the writes made before the error. Here ERR means: not done.)
//  3. Each attempt starts with a round of its own. Only "the guards failed" leads to another attempt: after
//     an outcome that is not known nothing is tried again.
//  4. Time stands still in a script, at the leader's clock of the attempt's round. Relative deadlines are
//     made absolute by it, and the request's steps go by it (mvcc/step.go), so that they do what the script
//     has seen them do.
//  5. What a script has written is done as a whole or not at all: with its guards, the quota and what an
//     entry may copy are asked once, before the first step.
//
// Many scripts on one key would mostly disturb each other. So a script whose guards failed waits for a lane,
// chosen by its first key, and keeps it until it is through: of all that repeat themselves for that key on
// this node, one is under way at a time.
//
// Rejected: running scripts in the state machine (the interpreter becomes part of the log's format and a slow
// script stops the world); a table of known scripts, recognised by their text; locking the declared keys (no
// library declares all of them).
//
// Drawback: a counter that many clients increment by EVAL goes up once per round of the log and node, where
// INCR has no such limit. Revisions that a script sees of its own writes are not those they get.

import (
	"errors"
	"hash/maphash"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
	"github.com/redkeep/redkeep/script"
)

// evaluation is one EVAL being served. It belongs to the goroutine of its connection, which lends it to the
// goroutine that runs the script and waits for that to end.
type evaluation struct {
	scriptCall
	d     *Dispatcher
	conn  *resp.Conn
	s     *session
	until time.Time     // no attempt begins later
	lane  chan struct{} // nil: none is held

	// Of one attempt.
	calls  *scriptedCalls
	reply  resp.Value
	failed bool
}

// The bounds of one script.
const (
	scriptReads  = 1 << 18         // keys it may read
	scriptGuards = 1 << 15         // keys it may have read when it writes
	scriptWrites = mvcc.QuotaSlack // bytes that its records may cost, those overwritten by itself included
)

// scriptDefaults fills in the limits that are not given.
func (c *Config) scriptDefaults() {
	const limit, bytes = 5 * time.Second, 128 << 20
	if c.RequestTimeout == 0 {
		c.RequestTimeout = limit
	}
	if c.ScriptTimeout == 0 {
		c.ScriptTimeout = limit
	}
	if c.ScriptBytes == 0 {
		c.ScriptBytes = bytes
	}
}

// evaluate serves an EVAL. It returns false iff the client vanished.
func (d *Dispatcher) evaluate(conn *resp.Conn, s *session) bool {
	c, began := &s.call, time.Now()
	parsed, err := c.row.script(c)
	if err != nil {
		d.reply(conn, s, c.row, c.args, refused(err), time.Since(began))
		return true
	}
	e := &evaluation{scriptCall: parsed, d: d, conn: conn, s: s, until: began.Add(d.cfg.RequestTimeout)}
	defer e.leaveLane()
	v, here := e.serve()
	if here {
		d.reply(conn, s, c.row, c.args, v, time.Since(began))
	}
	return here
}

// serve makes attempts until one counts. here is false iff the client vanished.
func (e *evaluation) serve() (v resp.Value, here bool) {
	for first := true; ; first = false {
		if !first && (time.Now().After(e.until) || !e.enterLane()) {
			return refused(errScriptConflict), !e.conn.Closing()
		}
		done, here := e.attempt()
		if !here || done {
			return e.reply, here
		}
	}
}

// attempt runs the script once. done is false iff its guards failed.
func (e *evaluation) attempt() (done, here bool) {
	now, err, here := e.barrier()
	switch {
	case !here:
		return true, false
	case err != nil:
		e.reply = refused(err)
		return true, true
	}
	e.calls = newScriptedCalls(e, now)
	defer e.calls.scratch.Close()
	if !e.run() {
		return true, false
	}
	switch x := e.calls.scratch; {
	case e.failed:
		return true, true
	case len(e.calls.ops) > 0:
		return e.commit()
	case len(x.Expired()) > 0 && !e.local():
		return e.expire(x.Expired())
	default:
		return true, true
	}
}

// local reports whether the script reads this node's state as it is.
func (e *evaluation) local() bool { return e.s.local && e.readOnly }

// barrier waits for a round and returns the time that the script sees.
func (e *evaluation) barrier() (now mvcc.UnixMilli, err error, here bool) {
	if e.local() {
		return e.d.engine.Now(), nil, true
	}
	round := e.d.engine.Barrier()
	if !e.conn.Wait(round.Done()) {
		return 0, nil, false
	}
	if err := round.Err(); err != nil {
		return 0, readFate(err), true
	}
	return round.Point().Now, nil, true
}

// run runs the script on a goroutine of its own, so that a client that goes away ends it. It returns false
// iff the client vanished.
func (e *evaluation) run() (here bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !receive(e.d.scripts.slots, e.until, e.calls.killer.Done()) {
			e.failed, e.reply = true, refused(errScriptSlots)
			return
		}
		defer func() { e.d.scripts.slots <- struct{}{} }()
		e.d.scripts.began(e.calls.killer)
		defer e.d.scripts.ended(e.calls.killer)
		e.runScript()
	}()
	if !e.conn.Wait(done) {
		e.calls.killer.Kill()
		<-done
		return false
	}
	return true
}

func (e *evaluation) runScript() {
	reply, failed, err := e.program.Run(script.Input{
		Keys: e.keys, Args: e.args, Caller: e.calls, Killer: e.calls.killer,
		Limits: script.Limits{Time: e.d.cfg.ScriptTimeout, Bytes: e.d.cfg.ScriptBytes},
	})
	e.reply, e.failed = reply, failed
	if e.calls.stopped != nil {
		err, e.failed = e.calls.stopped, true
	}
	if err != nil {
		e.reply = resp.Err(e.d.scriptEnd(err).Error() + " script: " + e.program.SHA + ", on @user_script:1.")
	}
}

// scriptEnd is the text for a script that was ended from outside.
func (d *Dispatcher) scriptEnd(err error) error {
	var text clientError
	switch {
	case errors.As(err, &text):
		return text
	case errors.Is(err, script.ErrTimeout):
		return errScriptTimeout(d.cfg.ScriptTimeout)
	case errors.Is(err, script.ErrMemory):
		return errScriptMemory(d.cfg.ScriptBytes)
	case errors.Is(err, script.ErrKilled):
		return errScriptKilled
	default:
		return errInternal
	}
}

// commit makes the writes, if what the script has read is still so.
func (e *evaluation) commit() (done, here bool) {
	x := e.calls.scratch
	if x.Seen() > scriptGuards {
		e.reply = refused(errScriptReads(scriptGuards))
		return true, true
	}
	txn := mvcc.Txn{Compares: x.Guards(), Then: e.calls.ops}
	if e.d.beforeCommit != nil {
		e.d.beforeCommit()
	}
	sub := e.d.engine.NewSubmission()
	sub.AddTxn(&txn)
	if here, ok := e.submit(sub, func(err error) error { return e.d.writeFate(err, sub.Bytes()) }); !ok {
		return true, here
	}
	res := sub.Result(0)
	if res.Err != nil { // refused, and not because of its guards
		e.reply = failed(res.Err)
	}
	return res.Succeeded || res.Err != nil, true
}

// expire gets the expiry of keys committed that the script found past their deadline, so that no other node
// shows them again. The reply stands, whatever has become of them.
func (e *evaluation) expire(keys []mvcc.ExpireKey) (done, here bool) {
	for batch, rest := raftfsm.SplitExpired(keys); len(batch) > 0; batch, rest = raftfsm.SplitExpired(rest) {
		sub := e.d.engine.NewSubmission()
		sub.AddExpire(batch)
		if here, ok := e.submit(sub, readFate); !ok {
			return true, here
		}
	}
	return true, true
}

// submit waits for a submission. ok is false if it was not applied: the reply then says so, unless the client
// vanished.
func (e *evaluation) submit(sub *raftfsm.Submission, fate func(error) error) (here, ok bool) {
	e.d.engine.Submit(sub)
	if !e.conn.Wait(sub.Done()) {
		return false, false
	}
	if err := sub.Err(); err != nil {
		e.reply = refused(fate(err))
		return true, false
	}
	e.s.written = e.d.engine.AppliedIndex()
	return true, true
}

var laneSeed = maphash.MakeSeed()

// enterLane waits for the lane of the script's first key. It returns false if that took too long or the
// client vanished.
func (e *evaluation) enterLane() bool {
	if e.lane != nil {
		return true
	}
	first := e.program.SHA
	if len(e.keys) > 0 {
		first = e.keys[0]
	}
	lane := e.d.scripts.lanes[maphash.String(laneSeed, first)%uint64(len(e.d.scripts.lanes))]
	done, gone, got := make(chan struct{}), make(chan struct{}), false
	go func() {
		defer close(done)
		got = receive(lane, e.until, gone)
	}()
	here := e.conn.Wait(done)
	if !here {
		close(gone)
		<-done
	}
	if got {
		e.lane = lane
	}
	return got && here
}

func (e *evaluation) leaveLane() {
	if e.lane != nil {
		e.lane <- struct{}{}
	}
}

// receive takes a token until a moment, or until given up.
func receive(tokens chan struct{}, until time.Time, givenUp <-chan struct{}) bool {
	select {
	case <-tokens:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-tokens:
		return true
	case <-givenUp:
		return false
	case <-timer.C:
		return false
	}
}
