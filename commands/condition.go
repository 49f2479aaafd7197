package commands

import (
	"strconv"

	"github.com/redkeep/redkeep/mvcc"
)

// condition is one of IFEQ, IFNE, IFDEQ and IFDNE with its operand. The zero condition is none.
//
// A missing key is equal to nothing, so that IFEQ and IFDEQ do not act on it and IFNE and IFDNE do. But a
// guard on the value of a missing key is false whatever its operator, as etcd's are. Both are had with one
// guard, for equality: IFEQ acts where it holds, IFNE where it does not.
type condition struct {
	word    []byte
	operand []byte
	digest  uint64
}

func isCondition(word []byte) bool {
	return len(word) >= 4 && (word[0]|0x20) == 'i' &&
		(is(word, "IFEQ") || is(word, "IFNE") || is(word, "IFDEQ") || is(word, "IFDNE"))
}

// newCondition checks the operand. REQUIRES: isCondition(word).
func newCondition(word, operand []byte) (condition, error) {
	o := condition{word: word, operand: operand}
	if !o.byDigest() {
		return o, nil
	}
	digest, err := strconv.ParseUint(alias(operand), 16, 64)
	if err != nil || len(operand) != 16 {
		return o, errDigest
	}
	o.digest = digest
	return o, nil
}

func (o *condition) byDigest() bool { return len(o.word) == len("IFDEQ") }

// unless reports whether to act where the guard does not hold.
func (o *condition) unless() bool { return is(o.word, "IFNE") || is(o.word, "IFDNE") }

// guard holds iff the key has the value.
func (o *condition) guard(key string) mvcc.Compare {
	g := mvcc.Compare{Span: mvcc.KeySpan(key), Target: mvcc.TargetValue, Op: mvcc.CmpEqual,
		Value: alias(o.operand)}
	if o.byDigest() {
		g.Target, g.Value, g.Num = mvcc.TargetDigest, "", int64(o.digest)
	}
	return g
}
