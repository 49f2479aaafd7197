package commands

import (
	"strings"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// MULTI, EXEC, DISCARD, WATCH and UNWATCH: Redis's transactions as one request.
//
// Idea. Between MULTI and EXEC commands are only kept, copied out of the client's buffer. EXEC plans them all
// into one transaction (block.go), guarded by what WATCH saw, and that is one request in one log entry: it
// cannot be split, and it works the same on every member. WATCH is a read: behind a barrier it notes the
// mod_revision of each key, 0 for a missing one, and EXEC compares. Nothing is kept on the server's side but
// these numbers, and nobody has to be told when a key changes.
//
// Rules, Redis's unless they say otherwise.
//  1. A command that a gate refuses while it is queued (unknown, wrong arity, not allowed, over quota) marks
//     the transaction, and EXEC answers EXECABORT. What fails later is an error in its place of EXEC's reply;
//     the others run.
//  2. A watched key that was written, deleted or has expired since WATCH makes EXEC answer null. Writing the
//     same value counts, a failed write does not. Of two WATCHes of one key the first counts.
//  3. Not as in Redis: a key that was missing at WATCH and is missing at EXEC is unchanged, even if it
//     came and went in between. Redis remembers the visit; we compare states.
//  4. EXEC, DISCARD, UNWATCH, RESET and the end of the connection forget all watches.
//  5. What is queued is bounded by --max-request-bytes: a larger transaction could not be proposed. Of what
//     goes through ranges a block holds no more than --max-txn-ops (sweeps.go): EXEC refuses it then.
//  6. EXEC asks again whether the user may do what was queued. A command that he may not any more is an error
//     in its place; a guard of TXN.IF, or a watched key, refuses the whole: the reply would tell what it
//     holds.
//
// Drawback: a transaction of reads alone goes through the log too, and costs a sync where a barrier would do.
// In exchange every command in MULTI sees exactly one state, the same whether or not others write.

// transactionFlags are those of MULTI, DISCARD, WATCH and UNWATCH in Redis.
const transactionFlags = FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagAllowBusy

var multiRows = []Command{
	{Name: "multi", Arity: 1, Flags: transactionFlags, Group: "transactions", Since: "1.2.0",
		Complexity: "O(1)", Summary: "Starts a transaction.", plain: true,
		session: multi, prompt: true, inMulti: refusedInMulti},
	{Name: "exec", Arity: 1, Kind: KindWrite, Group: "transactions", Since: "1.2.0",
		Flags:      FlagNoScript | FlagLoading | FlagStale | FlagSkipSlowlog,
		Complexity: "Depends on commands in the transaction",
		Summary:    "Executes all commands in a transaction, in one revision.", plain: true,
		plan: exec, inMulti: endsMulti},
	{Name: "discard", Arity: 1, Flags: transactionFlags, Group: "transactions", Since: "2.0.0",
		Complexity: "O(N), when N is the number of queued commands", Summary: "Discards a transaction.",
		plain: true, session: discard, inMulti: servedInMulti},
	{Name: "watch", Arity: -2, Kind: KindRead, Flags: transactionFlags, Keys: allKeys("RO"),
		Group: "transactions", Since: "2.2.0", Complexity: "O(1) for every key.",
		Summary: "Monitors changes to keys to determine the execution of a transaction.",
		Args:    args(argKey("key").many()), plain: true, read: watch, inMulti: refusedInMulti},
	{Name: "unwatch", Arity: 1, Flags: transactionFlags, Group: "transactions", Since: "2.2.0",
		Complexity: "O(1)", Summary: "Forgets about watched keys of a transaction.", plain: true,
		session: unwatch},
}

// inMulti says what becomes of a command inside MULTI.
type inMulti uint8

const (
	queuedInMulti  inMulti = iota // it is queued until EXEC
	servedInMulti                 // it is served at once
	refusedInMulti                // it is refused, and the transaction goes on
	endsMulti                     // it is served at once, and if a gate refuses it the transaction is over
)

// transaction is what a connection gathers between MULTI and EXEC, and what it watches.
type transaction struct {
	s       *session
	open    bool
	marked  bool   // a command was refused: EXEC will refuse the whole
	block   *block // while open
	spare   *block // empty, for the next one
	watched map[string]mvcc.Revision
}

// takes reports whether the command is to be queued, or refused, rather than served.
func (tx *transaction) takes(row *Command) bool {
	return tx.open && (row.inMulti == queuedInMulti || row.inMulti == refusedInMulti)
}

// take queues the command, and returns the reply to that. REQUIRES: takes.
func (tx *transaction) take(c *call) resp.Value {
	if c.row.inMulti == refusedInMulti {
		return refused(c.row.refusal())
	}
	if err := tx.queue(c); err != nil {
		tx.marked = true
		return refused(err)
	}
	tx.s.queued.Store(int64(len(tx.block.queued)))
	return resp.Simple("QUEUED")
}

// refusal is why the command cannot be given inside MULTI.
func (row *Command) refusal() error {
	if row.read != nil {
		return errWatchInMulti
	}
	return errNestedMulti
}

func (tx *transaction) queue(c *call) error {
	if tx.marked {
		return nil // it will not run
	}
	return tx.block.add(c)
}

// refused notes that a gate refused a command, and returns what the client is told.
func (tx *transaction) refused(row *Command, err error) error {
	if row != nil && row.inMulti == endsMulti {
		tx.drop()
		return errExecAborted(err)
	}
	tx.marked = tx.open
	return err
}

// drop ends the transaction and forgets what is watched.
func (tx *transaction) drop() {
	tx.open, tx.marked, tx.block = false, false, nil
	tx.s.queued.Store(-1)
	tx.forget()
}

func (tx *transaction) forget() {
	clear(tx.watched)
	tx.s.watching.Store(0)
}

func multi(c *call, s *session) (resp.Value, error) {
	s.tx.open, s.tx.block = true, newBlock(c.d, s)
	s.queued.Store(0)
	return resp.OK(), nil
}

func discard(_ *call, s *session) (resp.Value, error) {
	if !s.tx.open {
		return resp.Value{}, errNoDiscard
	}
	s.tx.drop()
	return resp.OK(), nil
}

func unwatch(_ *call, s *session) (resp.Value, error) {
	s.tx.forget()
	return resp.OK(), nil
}

// watch notes what the keys are now. It may run twice for one WATCH, when a key had to be expired first, and
// then keeps what it noted first: at worst an EXEC fails that need not have.
func watch(c *call, v *view) (resp.Value, error) {
	tx, i := c.tx, 1
	if tx.watched == nil {
		tx.watched = map[string]mvcc.Revision{}
	}
	v.each(c.args[1:], func(r mvcc.Record) {
		mod := mvcc.Revision(0)
		if r.Exists() {
			mod = r.ModRevision()
		}
		if _, known := tx.watched[string(c.args[i])]; !known {
			tx.watched[strings.Clone(c.str(i))] = mod
		}
		i++
	})
	tx.s.watching.Store(int64(len(tx.watched)))
	return resp.OK(), nil
}

// unchanged are the guards that hold while nothing watched has changed.
func (tx *transaction) unchanged() []mvcc.Compare {
	guards := make([]mvcc.Compare, 0, len(tx.watched))
	for key, mod := range tx.watched { // their order changes no outcome
		guards = append(guards, mvcc.Compare{
			Span: mvcc.KeySpan(key), Target: mvcc.TargetMod, Op: mvcc.CmpEqual, Num: int64(mod),
		})
	}
	return guards
}

// exec plans the whole transaction as one request, and ends it.
func exec(c *call) (render, error) {
	tx := c.tx
	if !tx.open {
		return nil, errNoMulti
	}
	defer tx.drop()
	if tx.marked {
		return nil, errExecAbort
	}
	b := tx.block
	if b.grows {
		if err := c.d.engine.AcceptsWrites(); err != nil {
			return nil, errExecAborted(refusal(err))
		}
	}
	render, err := b.plan(c, tx.unchanged())
	if err != nil {
		return nil, errExecAborted(err)
	}
	return render, nil
}
