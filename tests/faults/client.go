package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// fate is what is known about an operation once its call has ended.
type fate uint8

const (
	done    fate = iota // answered
	refused             // definitely did not take effect
	unknown             // may have taken effect, or may yet
)

// definite are the error prefixes that promise that nothing was done.
var definite = []string{"CLUSTERDOWN ", "BUSY ", "TRYAGAIN ", "OOM ", "MOVED ", "LOADING ",
	"EXECABORT "}

// clientTimeout is above the request timeout of every profile, so that a node has its chance to answer.
const clientTimeout = 3 * time.Second

// client sends operations to one node, one pipeline at a time, and records what became of them.
type client struct {
	dice
	run     *run
	addr    string
	conn    *wire.Conn
	ops     []*Op // answered, or of unknown outcome
	refused []*Op // promised to be undone
	lost    int   // reads without an answer
	problem error // an answer that no operation may get
}

func (r *run) newClient(addr string) *client {
	id := len(r.clients)
	c := &client{
		run: r, addr: addr,
		dice: dice{Rand: rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, uint64(1000+id))), client: id},
	}
	r.clients = append(r.clients, c)
	return c
}

// drive sends at the pace of the profile until the run ends.
func (c *client) drive() {
	defer c.close()
	tick := time.NewTicker(c.run.profile.Pace)
	defer tick.Stop()
	for {
		select {
		case <-c.run.stop:
			return
		case <-tick.C:
			c.act(c.next())
		}
	}
}

// next draws one operation, or now and then a pipeline of reads and writes on one partition.
func (c *client) next() []*Op {
	partition := c.run.partition(c.Rand)
	n := 1
	if c.client < maxPipelining && c.IntN(6) == 0 {
		n = 2 + c.IntN(6)
	}
	out := make([]*Op, n)
	for i := range out {
		out[i] = c.draw(partition)
		for n > 1 && out[i].Kind.Look != nil {
			out[i] = c.draw(partition)
		}
	}
	return out
}

// act sends operations, a single one behind what it looks at first.
func (c *client) act(ops []*Op) {
	if ops[0].Kind.Look != nil && !c.look(ops[0]) {
		c.close() // a later transaction must not be guarded by what this one has watched
		return
	}
	c.do(ops, nothing)
}

// look does what an operation wants to see first, as an operation of its own, and reports whether it was
// answered.
func (c *client) look(op *Op) bool {
	first, before := op.Kind.Look(op), len(c.ops)
	first.Partition, first.Client = op.Partition, op.Client
	c.do([]*Op{first}, nothing)
	op.Seen = first.Answer
	return len(c.ops) > before
}

// do sends operations in one go, calls sent when they are on their way (or cannot be), and files the
// answers.
func (c *client) do(ops []*Op, sent func()) {
	if !c.dial() {
		sent()
		return // no byte of the request left, so nothing is recorded
	}
	var request strings.Builder
	for _, op := range ops {
		for _, words := range op.commands() {
			request.WriteString(wire.Encode(words...))
		}
	}
	call := c.run.now()
	err := c.conn.Send(request.String())
	sent()
	place := uint8(0)
	for _, op := range ops {
		var r wire.Reply
		if err == nil {
			r, err = c.await(op)
		}
		op.Call, op.Ret = call, c.run.now()
		f := c.read(op, r, err)
		if f == done && len(ops) > 1 {
			place++
			op.Pos = place
		}
		c.file(op, f)
	}
	if err != nil {
		c.close()
	}
}

// await reads the replies to an operation and returns the last.
func (c *client) await(op *Op) (last wire.Reply, err error) {
	failed := ""
	for range op.commands() {
		if last, err = c.conn.Read(); err != nil {
			return last, err
		}
		if failed == "" && last.IsErr() {
			failed = last.Text
		}
	}
	if failed != "" && !last.IsErr() {
		c.complain(op, fmt.Sprintf("%q, and then %s", failed, last))
	}
	return last, nil
}

func (c *client) dial() bool {
	if c.conn != nil {
		return true
	}
	conn, err := wire.Dial(c.addr)
	if err != nil {
		return false
	}
	conn.Timeout = clientTimeout
	c.conn = conn
	return true
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// read turns a reply into an answer and a fate.
func (c *client) read(op *Op, r wire.Reply, err error) fate {
	switch {
	case err != nil:
		return unknown
	case r.IsErr():
		return c.readError(op, r.Text)
	}
	answer := op.Kind.Answer
	if answer == nil {
		answer = plainAnswer
	}
	var ok bool
	if op.Answer, op.Revision, ok = answer(op, r); !ok {
		c.complain(op, r)
	}
	return done
}

func (c *client) readError(op *Op, text string) fate {
	if op.Kind.IsAnswer != nil && op.Kind.IsAnswer(text) {
		op.Answer = text
		return done
	}
	for _, prefix := range definite {
		if strings.HasPrefix(text, prefix) {
			return refused
		}
	}
	if !strings.HasPrefix(text, "UNCERTAIN ") {
		c.complain(op, text)
	}
	return unknown
}

func (c *client) complain(op *Op, got any) {
	if c.problem == nil {
		c.problem = fmt.Errorf("%v was answered %v", op.Kind.Args(op), got)
	}
}

// file keeps an operation under its fate.
func (c *client) file(op *Op, f fate) {
	c.run.meter.note(time.Duration(op.Ret-op.Call), f == done)
	switch {
	case f == refused:
		c.refused = append(c.refused, op)
		return
	case f == unknown && op.Kind.Reads:
		c.lost++
		return
	case f == unknown:
		op.Unknown, op.Ret = true, forever
	case !op.Kind.Reads:
		c.run.acked.Add(1)
	}
	c.ops = append(c.ops, op)
}
