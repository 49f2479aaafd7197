package commands

import (
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// A block is the commands between MULTI and EXEC. Its transaction:
//
//	if      nothing watched has changed        (the compares of WATCH)
//	then    if TXN.IF's guards hold            (a nested transaction, only if there are both)
//	        then the commands up to TXN.ELSE
//	        else the commands behind it
//	else    nothing; EXEC answers null
//
// EXEC's reply has one element for each command. Three kinds of command make theirs:
//
//   - writes and reads that are operations get their part of the result (parts.go);
//   - reads that are no operations (KV.HISTORY, KV.HASH, and those of a past revision) are done when the
//     transaction has been applied on this node, before anything else of this connection, and answered as of
//     the transaction's own revision;
//   - session commands (PING, SELECT, HELLO, …) run then, too, in their turn, and only if the block ran.
//
// A block in which no command asks the store, and without WATCH, is answered without a quorum.
type block struct {
	d      *Dispatcher
	s      *session
	queued []queued
	text   []byte   // the words' bytes: the piece of memory that is being filled
	words  [][]byte // and theirs
	bytes  int64    // what the commands take on the wire
	grows  bool     // one of them is refused above the quota

	guards  []mvcc.Compare // of TXN.IF
	ifs     int            // TXN.IF commands: they come first
	divider int            // position of TXN.ELSE; 0: none
	watches bool

	branches [2]partList // then, else
	room     mvcc.Result // for part.result
}

// queued is one command of a block. Its words are copies.
type queued struct {
	row  *Command
	args [][]byte
	part int // of its branch; -1 if it is no part of the transaction

	denied error // at EXEC the user may not run it any more
}

// wordOverhead is what a word takes on the wire beside its bytes.
const wordOverhead = 8

// keptWords and keptText bound the block that a connection keeps for its next transaction.
const (
	keptWords = 256
	keptText  = 16 << 10
)

// newBlock returns an empty block, the connection's last one if that is done with.
func newBlock(d *Dispatcher, s *session) *block {
	b := s.tx.spare
	if b == nil {
		return &block{d: d, s: s, queued: make([]queued, 0, 8)}
	}
	s.tx.spare = nil
	return b
}

// release empties the block and leaves it to the connection's next transaction. REQUIRES: it is rendered, and
// what refers to its words is done with before the next MULTI is served.
func (b *block) release() {
	if cap(b.words) > keptWords || cap(b.text) > keptText {
		return
	}
	clear(b.queued)
	for i := range b.branches {
		l := &b.branches[i]
		clear(l.ops)
		clear(l.parts)
		l.ops, l.parts, l.lateSweeps = l.ops[:0], l.parts[:0], 0
	}
	b.s.tx.spare = &block{
		d: b.d, s: b.s, queued: b.queued[:0], text: b.text[:0], words: b.words[:0], guards: b.guards[:0],
		branches: b.branches,
	}
}

// add copies a command into the block, unless that would make it larger than a request may be.
func (b *block) add(c *call) error {
	size := 0
	for _, a := range c.args {
		size += len(a)
	}
	bytes := b.bytes + int64(size+wordOverhead*len(c.args))
	if limit := b.d.cfg.MaxRequestBytes; limit > 0 && bytes > limit {
		return errTooLarge(int(bytes), limit)
	}
	b.bytes = bytes
	b.grows = b.grows || c.row.Flags&FlagDenyOOM != 0
	b.queued = append(b.queued, queued{row: c.row, args: b.keep(c.args, size)})
	if c.row.queue != nil {
		if err := c.row.queue(b, &b.queued[len(b.queued)-1]); err != nil {
			return err
		}
	}
	return b.fits()
}

// fits holds a block with TXN.IF to the limit of transactions. One without may hold any number of commands,
// but see sweeps.go.
func (b *block) fits() error {
	if b.ifs == 0 {
		return nil
	}
	commands := len(b.queued) - b.ifs
	if b.divider > 0 {
		commands = len(b.queued) - b.divider - 1
	}
	if max(commands, len(b.guards)) > b.d.cfg.MaxTxnOps {
		return errTxnOps
	}
	return nil
}

// keep copies words, size bytes in all, into the block's memory.
func (b *block) keep(words [][]byte, size int) [][]byte {
	b.text, b.words = room(b.text, size), room(b.words, len(words))
	first := len(b.words)
	for _, w := range words {
		at := len(b.text)
		b.text = append(b.text, w...)
		b.words = append(b.words, b.text[at:len(b.text):len(b.text)])
	}
	return b.words[first:len(b.words):len(b.words)]
}

// room returns s if it has room for n more, else an empty slice that has, and for some more after that. What
// is in s stays where it is.
func room[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return make([]T, 0, max(n, min(2*cap(s), 64<<10), 64))
}

// plan fills in c's transaction. An error refuses the whole block.
func (b *block) plan(c *call, unchanged []mvcc.Compare) (render, error) {
	if err := b.permitGuards(c); err != nil {
		return nil, err
	}
	asks := b.planParts(c)
	txn := mvcc.Txn{Compares: b.guards, Then: b.branches[0].ops, Else: b.branches[1].ops}
	b.watches = len(unchanged) > 0
	if b.watches && b.ifs > 0 {
		inner := txn
		txn = mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpTxn, Flags: mvcc.FlagGuardsFirst, Txn: &inner}}}
	}
	if b.watches {
		txn.Compares = unchanged
	}
	c.txn = txn
	c.held = int(b.bytes)
	c.unsent = !asks && !b.watches && b.ifs == 0
	c.lateSweeps = max(b.branches[0].lateSweeps, b.branches[1].lateSweeps)
	if most := b.d.cfg.MaxTxnOps; c.sweeps() > most {
		return nil, errTxnRanges(most)
	}
	return b.reply, nil
}

// permitGuards asks again about what decides over the block: the guards of TXN.IF and the watched keys. What
// they tell, the reply as a whole does, so there is no leaving out one of them.
func (b *block) permitGuards(c *call) error {
	asked := &call{d: b.d, tx: c.tx, s: c.s}
	for i := range b.ifs {
		q := &b.queued[i]
		asked.begin(q.args)
		asked.row = q.row
		if err := b.s.permitAtExec(asked); err != nil {
			return err
		}
	}
	if len(c.tx.watched) == 0 {
		return nil
	}
	words := [][]byte{[]byte("watch")}
	for key := range c.tx.watched { // their order changes no outcome
		words = append(words, []byte(key))
	}
	asked.begin(words)
	asked.row = b.d.table.Lookup(words[0])
	return b.s.permitAtExec(asked)
}

// planParts plans all commands and reports whether any of them asks the store.
func (b *block) planParts(c *call) (asks bool) {
	inner := &call{d: b.d, tx: c.tx, s: c.s}
	b.branches[0].grow(len(b.queued) - b.ifs)
	for i := b.ifs; i < len(b.queued); i++ {
		q := &b.queued[i]
		q.part = -1
		inner.begin(q.args)
		inner.row = q.row
		if q.denied = b.s.permitAtExec(inner); q.denied != nil {
			continue
		}
		switch {
		case b.divider > 0 && i == b.divider:
		case q.row.session != nil, q.row.block != nil:
			c.apart = true
		case q.row.isPart():
			list := &b.branches[b.branchOf(i)]
			list.add(inner)
			q.part = len(list.parts) - 1
			asks = true
		default:
			asks = true
		}
	}
	return asks
}

// isPart reports whether the command can be operations of a transaction.
func (row *Command) isPart() bool {
	return row.plan != nil || row.planMulti != nil || row.planRead != nil
}

// branchOf is 0 for the commands before TXN.ELSE and 1 for those behind it.
func (b *block) branchOf(i int) int {
	if b.divider > 0 && i > b.divider {
		return 1
	}
	return 0
}

// reply makes EXEC's reply of the transaction's result.
func (b *block) reply(r *mvcc.Result) resp.Value {
	if b.watches && !r.Succeeded {
		return resp.NullArray()
	}
	if b.watches && b.ifs > 0 {
		revision := r.Revision
		r = r.Ops[0].Txn
		r.Revision = revision
	}
	taken := 0
	if !r.Succeeded {
		taken = 1
	}
	out, took := make([]resp.Value, len(b.queued)), b.s.run.took()
	for i := range b.queued {
		out[i] = b.element(i, taken, r, took)
	}
	b.release()
	return resp.ArrayOf(out)
}

func (b *block) element(i, taken int, r *mvcc.Result, took time.Duration) resp.Value {
	q := &b.queued[i]
	switch {
	case i < b.ifs:
		return yes(taken == 0)
	case b.divider > 0 && i == b.divider:
		return resp.OK()
	case b.branchOf(i) != taken:
		return resp.Null()
	}
	v, err := b.answer(q, taken, r)
	if err != nil {
		v = refused(err)
	}
	b.d.stats.observe(q.row, v, took)
	return v
}

// answer makes the reply of one command of the branch taken.
func (b *block) answer(q *queued, taken int, r *mvcc.Result) (resp.Value, error) {
	if q.part >= 0 {
		p := &b.branches[taken].parts[q.part]
		if p.err != nil {
			return resp.Value{}, p.err
		}
		return p.render(p.result(r, &b.room)), nil
	}
	if q.denied != nil {
		return resp.Value{}, q.denied
	}
	c := &call{d: b.d, tx: &b.s.tx, s: b.s}
	c.begin(q.args)
	c.row = q.row
	if q.row.block != nil {
		return q.row.block(c, b.s, b.s.conn.Wait)
	}
	if q.row.session != nil {
		return q.row.session(c, b.s)
	}
	var v view
	v.begin(b.d.engine.Store(), b.d.engine.Now(), false)
	return q.row.read(c, &v)
}
