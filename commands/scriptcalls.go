package commands

import (
	"errors"
	"slices"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
	"github.com/redkeep/redkeep/script"
)

// scriptedCalls is how a script reaches the commands: it is the script.Caller of one attempt. Each call
// passes gates, then is planned and rendered as it would be outside, against the attempt's scratch.
//
// Leases, locks and elections are not for scripts: what a script knows of them could not be guarded.
//
// It belongs to the goroutine that runs the script.
type scriptedCalls struct {
	d       *Dispatcher
	outside *session // whose script it is: gates ask it who the user is
	inside  session  // what commands that change the connection change instead
	call    call
	view    view
	res     mvcc.Result

	scratch  *mvcc.Scratch
	killer   *script.Killer
	program  *script.Program
	readOnly bool
	stopped  error // why no further call counts; the run is being ended

	ops []mvcc.Op // the calls that have changed something, each a step
}

func newScriptedCalls(e *evaluation, now mvcc.UnixMilli) *scriptedCalls {
	s := &scriptedCalls{
		d: e.d, outside: e.s, program: e.program, readOnly: e.readOnly || e.program.ReadOnly,
		scratch: e.d.engine.Store().NewScratch(now, scriptReads), killer: script.NewKiller(),
	}
	s.call.d, s.call.s, s.call.scripted = e.d, e.s, true
	s.inside.id, s.inside.conn, s.inside.proto = e.s.id, e.conn, 2
	return s
}

// scriptGates are the checks of a call from a script, in Redis's order.
var scriptGates = []func(s *scriptedCalls, c *call) error{
	scriptGateKnown,
	scriptGateArity,
	scriptGateAllowed,
	scriptGateReadOnly,
	func(s *scriptedCalls, c *call) error { return gateAuthenticated(s.outside, c) },
	scriptGatePermitted,
	scriptGateWritable,
}

func scriptGateKnown(s *scriptedCalls, c *call) error {
	if gateKnown(s.outside, c) != nil || gateSub(s.outside, c) != nil {
		return errScriptUnknown
	}
	return nil
}

func scriptGateArity(_ *scriptedCalls, c *call) error {
	if !c.row.fits(len(c.args)) {
		return errScriptArity
	}
	return nil
}

func scriptGateAllowed(_ *scriptedCalls, c *call) error {
	if c.row.Flags&FlagNoScript != 0 {
		return errScriptForbidden
	}
	return nil
}

func scriptGateReadOnly(s *scriptedCalls, c *call) error {
	if s.readOnly && c.row.Kind == KindWrite {
		return errScriptReadOnly
	}
	return nil
}

func scriptGatePermitted(s *scriptedCalls, c *call) error {
	err := gatePermitted(s.outside, c)
	var denied *denial
	if errors.As(err, &denied) {
		return denied.scriptText()
	}
	return err
}

func scriptGateWritable(s *scriptedCalls, c *call) error {
	if s.program.AllowOOM {
		return nil
	}
	return gateWritable(s.outside, c)
}

// admit passes a call through the gates.
func (s *scriptedCalls) admit(c *call, words []string) error {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	c.begin(args)
	for _, pass := range scriptGates {
		if err := pass(s, c); err != nil {
			return err
		}
	}
	return nil
}

// Call implements script.Caller.
func (s *scriptedCalls) Call(words []string, proto int) resp.Value {
	if s.stopped != nil {
		return refused(s.stopped)
	}
	began := time.Now()
	c := &s.call
	if err := s.admit(c, words); err != nil {
		return refused(err)
	}
	v, err := s.serve(c, proto)
	if err != nil {
		v = refused(err)
	}
	s.d.stats.observe(c.row, v, time.Since(began))
	switch {
	case s.scratch.Full():
		s.stop(errScriptReads(scriptReads))
	case s.scratch.Written() > scriptWrites:
		s.stop(errScriptWrites)
	}
	return v
}

// stop ends the run: what the scratch says from here on does not count.
func (s *scriptedCalls) stop(err error) {
	s.stopped = err
	s.killer.Kill()
}

func (s *scriptedCalls) serve(c *call, proto int) (resp.Value, error) {
	switch {
	case c.row.plan != nil:
		render, err := c.row.plan(c)
		switch {
		case err != nil:
			return resp.Value{}, err
		case c.compacts, c.request != nil:
			return resp.Value{}, errScriptForbidden
		case c.publishes:
			c.do(raftfsm.PublishOp(c.message))
		}
		if err := c.permitPlanned(); err != nil {
			return resp.Value{}, err
		}
		if c.txn.AsksOthers() {
			return resp.Value{}, errScriptForbidden
		}
		return s.run(c, render), nil
	case c.row.planRead != nil:
		return s.run(c, c.row.planRead(c)), nil
	case c.row.read != nil:
		s.view.begin(s.scratch.Store(), s.scratch.Now(), false)
		return c.row.read(c, &s.view)
	case c.row.session != nil:
		s.inside.proto, c.now = proto, s.scratch.Now()
		return c.row.session(c, &s.inside)
	default:
		return resp.Value{}, errScriptForbidden
	}
}

// run evaluates a planned call and keeps it if it has changed anything: what only read is guarded.
func (s *scriptedCalls) run(c *call, render render) resp.Value {
	c.txn.Resolve(s.scratch.Now())
	if s.scratch.Txn(&c.txn, &s.res) {
		kept := mvcc.Txn{Compares: slices.Clone(c.txn.Compares), Then: slices.Clone(c.txn.Then),
			Else: slices.Clone(c.txn.Else)}
		s.ops = append(s.ops, mvcc.StepOp(&kept, s.scratch.Now()))
	}
	return render(&s.res)
}

// Allowed implements script.Caller.
func (s *scriptedCalls) Allowed(words []string) (allowed, known bool) {
	c := &call{d: s.d, s: s.outside, dry: true, scripted: true}
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	c.begin(args)
	if scriptGateKnown(s, c) != nil || scriptGateArity(s, c) != nil {
		return false, false
	}
	return gatePermitted(s.outside, c) == nil, true
}

// Log implements script.Caller.
func (s *scriptedCalls) Log(level int, line string) {
	const debug, verbose, notice = 0, 1, 2
	switch level {
	case debug, verbose:
		s.d.log.Debug("script", "sha", s.program.SHA, "says", line)
	case notice:
		s.d.log.Info("script", "sha", s.program.SHA, "says", line)
	default:
		s.d.log.Warn("script", "sha", s.program.SHA, "says", line)
	}
}
