package faults

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// Kind is one sort of operation. Each has a file of its own, op_*.go, and a line in kinds; nothing else
// knows it.
type Kind struct {
	Name   string
	Weight int  // share among the operations that clients draw
	Reads  bool // changes nothing
	// Draw chooses key, values and times. Each value written must be d.value or d.number, which are unique.
	Draw func(d *dice, op *Op)
	Args func(op *Op) []string
	// Commands are what is sent in one go where one command is not enough; the reply to the last is the
	// operation's, and those before it must be no errors, unless the last is one, too. nil for Args alone.
	Commands func(op *Op) [][]string
	// Look is an operation that the client does first, on the same connection; its answer becomes op.Seen.
	// Without an answer to it, the operation is not sent. nil for none.
	Look func(op *Op) *Op
	// Answer renders a reply that is not an error as Step does, and takes the revision from it, if it has one;
	// nil for the plain text of the reply.
	Answer func(op *Op, r wire.Reply) (text string, revision int64, ok bool)
	// IsAnswer recognises errors that are an answer like any other; nil for none.
	IsAnswer func(text string) bool
	// Step applies the operation and returns the answer it must get. It must not depend on anything else.
	Step func(c *Cells, op *Op) string
	// Turn is Step for an operation that depends on what its client has watched; nil for all others.
	Turn func(s *State, op *Op) string
	// Marks says which unique value the operation leaves in which key, for the checks against the history that
	// the nodes keep; nil if it leaves none. An operation that writes at all leaves at least one, or never any:
	// its marks decide whether it was done. Where it chooses what to write, these are all that it might have
	// written, or once there is an answer those that it has.
	Marks func(op *Op) []Mark
}

// kinds is every operation that clients send.
var kinds = []*Kind{
	getKind, setKind, delKind, incrKind, appendKind, msetKind, kvPutKind, kvRangeKind, kvDelKind, setPxKind,
	expireKind, casKind, multiKind, watchedKind, kvTxnKind,
	kvTxnReadKind, evalKind, txnIfKind, nestedKind,
}

// Mark is a value that only one operation writes.
type Mark struct {
	Key   int
	Value string
}

// Op is one operation: what was asked, and what became of it.
type Op struct {
	Kind      *Kind
	Partition int
	Key       int
	Values    []string
	Seen      string // the answer to its Look
	Parts     []*Op  // of a transaction
	TTL       time.Duration
	Client    int
	Pos       uint8 // place among the answered operations of a pipeline, from 1; 0 outside pipelines
	Call, Ret int64 // nanoseconds since the start of the run
	Unknown   bool  // no answer: it may have taken effect, or may yet
	Answer    string
	Revision  int64
	Order     int64 // the revision at which it took effect, from the nodes' history; 0 if that does not tell
}

func (op *Op) key() string { return keyName(op.Partition, op.Key) }

// commands are what the operation sends.
func (op *Op) commands() [][]string {
	if op.Kind.Commands != nil {
		return op.Kind.Commands(op)
	}
	return [][]string{op.Kind.Args(op)}
}

// marks are the operation's, none for one that leaves none.
func (op *Op) marks() []Mark {
	if op.Kind.Marks == nil {
		return nil
	}
	return op.Kind.Marks(op)
}

// keyName names a key of a partition; -1 gives the prefix of all its keys.
func keyName(partition, key int) string {
	if key < 0 {
		return fmt.Sprintf("p%d:", partition)
	}
	return fmt.Sprintf("p%d:%d", partition, key)
}

func (op *Op) String() string {
	answer := op.Answer
	if op.Unknown {
		answer = "maybe"
	}
	text := fmt.Sprintf("%v -> %s", op.Kind.Args(op), answer)
	if op.Revision != 0 {
		text += fmt.Sprintf(" at revision %d", op.Revision)
	}
	return text
}

// plainAnswer is what a reply says, whatever its type.
func plainAnswer(_ *Op, r wire.Reply) (string, int64, bool) {
	if r.Null {
		return "nil", 0, true
	}
	return r.Text, 0, len(r.Elems) == 0
}

// dice draws operations for one client.
type dice struct {
	*rand.Rand
	client int
	serial int
}

// value returns a text that nobody else writes, and that is no end of another such text.
func (d *dice) value() string {
	d.serial++
	return fmt.Sprintf("[%d.%d]", d.client, d.serial)
}

// number returns a number that nobody else writes and that INCR does not reach from another.
func (d *dice) number() string {
	d.serial++
	return fmt.Sprintf("%d%05d000", d.client+1, d.serial%100000)
}

// stringKey draws one of the string keys, and seldom the counter, to meet a key of the other sort.
func (d *dice) stringKey() int {
	if d.IntN(25) == 0 {
		return counter
	}
	return d.IntN(2)
}

// draw makes the next operation of a client on a partition.
func (d *dice) draw(partition int) *Op {
	total := 0
	for _, k := range kinds {
		total += k.Weight
	}
	n := d.IntN(total)
	for _, k := range kinds {
		if n -= k.Weight; n < 0 {
			op := &Op{Kind: k, Partition: partition, Client: d.client}
			k.Draw(d, op)
			return op
		}
	}
	panic("weights do not add up")
}
