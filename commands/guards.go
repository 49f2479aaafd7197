package commands

import (
	"strconv"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// Guards, the conditions of TXN.IF and KV.TXN:
//
//	target key [TO end | PREFIX | FROMKEY] operator operand
//
// A guard is checked as soon as it is queued. One that cannot be understood must not become an error inside
// EXEC's reply while the commands it was to guard run.

var guardArgs = args(
	argOneOf("target", argToken("VERSION"), argToken("CREATE"), argToken("MOD"), argToken("VALUE"),
		argToken("LEASE"), argToken("LOCK")),
	argKey("key"), kvSpanArg,
	argOneOf("operator", argToken("="), argToken("!="), argToken("<"), argToken(">")), argString("operand"))

var guardTargets = [...]struct {
	word   string
	target mvcc.CompareTarget
}{
	{"VERSION", mvcc.TargetVersion}, {"CREATE", mvcc.TargetCreate}, {"MOD", mvcc.TargetMod},
	{"VALUE", mvcc.TargetValue}, {"LEASE", mvcc.TargetLease}, {"LOCK", mvcc.TargetLock},
}

// guard reads one guard; the strings in it alias the words.
func (w *words) guard() (g mvcc.Compare, err error) {
	if g.Target, err = w.guardTarget(); err != nil {
		return g, err
	}
	if g.Target == mvcc.TargetLock {
		return w.guardLock()
	}
	if g.Span, err = w.guardSpan(); err != nil {
		return g, err
	}
	if g.Op, err = w.guardOperator(); err != nil {
		return g, err
	}
	operand, err := w.operand()
	if err != nil {
		return g, err
	}
	switch g.Target {
	case mvcc.TargetValue:
		g.Value = alias(operand)
	case mvcc.TargetLease:
		var id mvcc.LeaseID
		id, err = parseLease(operand)
		g.Num = int64(id)
	default:
		g.Num, err = integer(operand)
	}
	return g, err
}

// guardLock reads `name operator token`, what follows the target LOCK.
func (w *words) guardLock() (g mvcc.Compare, err error) {
	var words [3][]byte
	for i := range words {
		if words[i], err = w.operand(); err != nil {
			return g, err
		}
	}
	return lockGuard(words[0], words[1], words[2])
}

func (w *words) guardTarget() (mvcc.CompareTarget, error) {
	word, err := w.operand()
	if err != nil {
		return 0, err
	}
	for _, known := range guardTargets {
		if is(word, known.word) {
			return known.target, nil
		}
	}
	return 0, errTxnTarget
}

// guardSpan reads the key and, if it stands there, what makes it a range.
func (w *words) guardSpan() (mvcc.Span, error) {
	key, err := w.operand()
	if err != nil {
		return mvcc.Span{}, err
	}
	from := alias(key)
	if !w.more() {
		return mvcc.Span{}, errSyntax
	}
	switch next := w.args[w.at]; {
	case is(next, "PREFIX"):
		w.at++
		return mvcc.PrefixSpan(from), nil
	case is(next, "FROMKEY"):
		w.at++
		return mvcc.Span{From: from, Kind: mvcc.SpanFrom}, nil
	case is(next, "TO"):
		w.at++
		end, err := w.operand()
		return mvcc.Span{From: from, End: alias(end), Kind: mvcc.SpanRange}, err
	}
	return mvcc.KeySpan(from), nil
}

func (w *words) guardOperator() (mvcc.CompareOp, error) {
	word, err := w.operand()
	if err != nil {
		return 0, err
	}
	switch alias(word) {
	case "=":
		return mvcc.CmpEqual, nil
	case "!=":
		return mvcc.CmpNotEqual, nil
	case "<":
		return mvcc.CmpLess, nil
	case ">":
		return mvcc.CmpGreater, nil
	}
	return 0, errTxnOperator
}

// parseLease reads a lease id; 0 is no lease.
func parseLease(word []byte) (mvcc.LeaseID, error) {
	id, err := strconv.ParseUint(alias(word), 16, 64)
	if err != nil || len(word) > 16 {
		return 0, errLeaseID
	}
	return mvcc.LeaseID(id), nil
}

// outsideMulti answers TXN.IF and TXN.ELSE where they have no meaning.
func outsideMulti(*call, *session) (resp.Value, error) { return resp.Value{}, errTxnOutside }

// queueIf takes a guard into the block. Several are and-ed.
func queueIf(b *block, q *queued) error {
	if len(b.queued)-1 > b.ifs {
		return errTxnLate
	}
	w := words{args: q.args, at: 1}
	g, err := w.guard()
	switch {
	case err != nil:
		return err
	case w.more():
		return errSyntax
	}
	b.guards = append(b.guards, g)
	b.ifs++
	return nil
}

// queueElse begins the other branch.
func queueElse(b *block, _ *queued) error {
	switch {
	case b.ifs == 0:
		return errTxnNoIf
	case b.divider > 0:
		return errTxnElseTwice
	}
	b.divider = len(b.queued) - 1
	return nil
}
