package commands

import (
	"errors"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// call is one command being served. A connection reuses one, so nothing may keep it.
type call struct {
	d    *Dispatcher
	s    *session     // whose rights count; nil in tests without a connection
	tx   *transaction // of the connection
	row  *Command
	args [][]byte // the words as sent; args[0] is the name, valid until the pipeline has been served

	// The request that a plan fills in: txn, or what request adds, or a compaction to compact if compacts.
	txn      mvcc.Txn
	request  func(*raftfsm.Submission)
	compacts bool
	compact  mvcc.Revision
	now      mvcc.UnixMilli // in a script: the time, which stands still there; else 0
	physical bool           // the reply waits until the compacted history has left this node's memory

	publishes bool // the request is a message
	message   pubsub.Message

	guardsFirst bool // as a part of a transaction: its compares see the state before the whole
	held        int  // bytes of txn that do not stand in args
	apart       bool // the run ends with it: its render changes how what follows is served
	unsent      bool // txn asks and does nothing: the reply needs no quorum
	lateSweeps  int  // sweeps that the render makes; see sweeps.go
	nesting     int  // KV.TXNs around it
	dry         bool // only asked about: a refusal is not noted
	scripted    bool // a script makes it
	budget      int  // and what they leave it of --max-txn-ops
}

// render makes the reply of a write from its result: of the whole transaction if the command stood alone, of
// its nested part in MULTI. Most are plain functions, so that a planned command costs no allocation.
type render func(r *mvcc.Result) resp.Value

// begin prepares c for the next command.
func (c *call) begin(args [][]byte) {
	c.row, c.args = nil, args
	c.txn.Compares, c.txn.Then, c.txn.Else = c.txn.Compares[:0], c.txn.Then[:0], c.txn.Else[:0]
	c.compacts, c.physical, c.publishes, c.now, c.request = false, false, false, 0, nil
	c.guardsFirst, c.held, c.apart, c.unsent, c.nesting, c.lateSweeps = false, 0, false, false, 0, 0
}

// str returns word i without a copy; see alias.
func (c *call) str(i int) string { return alias(c.args[i]) }

// options walks the words from position i on.
func (c *call) options(i int) words { return words{args: c.args, at: i} }

// do adds an operation that runs if the compares hold.
func (c *call) do(op mvcc.Op) { c.txn.Then = append(c.txn.Then, op) }

// otherwise adds an operation that runs if they do not.
func (c *call) otherwise(op mvcc.Op) { c.txn.Else = append(c.txn.Else, op) }

// require adds a guard.
func (c *call) require(g mvcc.Compare) { c.txn.Compares = append(c.txn.Compares, g) }

// missing and present are the guards of NX and XX.
func missing(key string) mvcc.Compare {
	return mvcc.Compare{Span: mvcc.KeySpan(key), Target: mvcc.TargetVersion, Op: mvcc.CmpEqual}
}

func present(key string) mvcc.Compare {
	return mvcc.Compare{Span: mvcc.KeySpan(key), Target: mvcc.TargetVersion, Op: mvcc.CmpGreater}
}

// failed turns an operation's error into a reply.
func failed(err error) resp.Value { return resp.Err(opError(err).Error()) }

func refused(err error) resp.Value { return resp.Err(err.Error()) }

// firstNumber replies the number of a result's only operation.
func firstNumber(r *mvcc.Result) resp.Value {
	op := &r.Ops[0]
	if op.Err != nil {
		return failed(op.Err)
	}
	return resp.Int(op.N)
}

// sumNumbers replies the sum of the numbers of all operations.
func sumNumbers(r *mvcc.Result) resp.Value {
	sum := int64(0)
	for i := range r.Ops {
		sum += r.Ops[i].N
	}
	return resp.Int(sum)
}

// link makes one write of all puts planned so far: all are done, or none.
func (c *call) link() {
	for i := range len(c.txn.Then) - 1 {
		c.txn.Then[i].Flags |= mvcc.FlagWithNext
	}
}

// allOK replies OK, or why the command's write, or all its linked writes, were refused.
func allOK(r *mvcc.Result) resp.Value {
	for i := range r.Ops {
		switch err := r.Ops[i].Err; {
		case err == nil:
		case len(r.Ops) > 1 && errors.Is(err, mvcc.ErrQueueKey):
			return refused(errQueueKeys)
		default:
			return failed(err)
		}
	}
	return resp.OK()
}

// valueOf is the value of a record, or null when there is none.
func valueOf(r mvcc.Record) resp.Value {
	if !r.Exists() {
		return resp.Null()
	}
	return resp.Bulk(r.Value())
}
