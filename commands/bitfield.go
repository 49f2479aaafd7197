package commands

import (
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// parseBitOps encodes the operations of BITFIELD or BITFIELD_RO as the log holds them.
func parseBitOps(c *call, readOnly bool) (ops []byte, err error) {
	overflow := mvcc.BitWrap
	for w := c.options(2); w.more(); {
		word := w.next()
		left := len(w.args) - w.at
		o := mvcc.BitOp{Overflow: overflow}
		switch {
		case is(word, "OVERFLOW") && left >= 1:
			if overflow, err = bitOverflow(w.next()); err != nil {
				return nil, err
			}
			continue
		case is(word, "GET") && left >= 2:
			o.Overflow = mvcc.BitWrap
		case is(word, "SET") && left >= 3:
			o.Action = mvcc.BitSet
		case is(word, "INCRBY") && left >= 3:
			o.Action = mvcc.BitIncrBy
		default:
			return nil, errSyntax
		}
		if err := parseBitOp(&w, &o); err != nil {
			return nil, err
		}
		switch {
		case o.Action == mvcc.BitGet:
		case readOnly:
			return nil, errBitReadOnly
		case o.Offset>>3 >= c.d.longestBulk():
			return nil, errBitOffset
		}
		ops = mvcc.AppendBitOp(ops, o)
	}
	return ops, nil
}

// parseBitOp reads type, offset and number.
func parseBitOp(w *words, o *mvcc.BitOp) (err error) {
	if o.Signed, o.Width, err = bitType(w.next()); err != nil {
		return err
	}
	if o.Offset, err = bitOffset(w.next(), int64(o.Width)); err != nil {
		return err
	}
	if o.Action != mvcc.BitGet {
		o.Number, err = integer(w.next())
	}
	return err
}

func bitType(word []byte) (signed bool, width uint8, err error) {
	if len(word) < 2 || word[0] != 'i' && word[0] != 'u' {
		return false, 0, errBitType
	}
	signed = word[0] == 'i'
	widest := int64(63)
	if signed {
		widest = 64
	}
	n, ok := parseInt(word[1:])
	if !ok || n < 1 || n > widest {
		return false, 0, errBitType
	}
	return signed, uint8(n), nil
}

func bitOverflow(word []byte) (mvcc.BitOverflow, error) {
	for i, name := range [...]string{"WRAP", "SAT", "FAIL"} {
		if is(word, name) {
			return mvcc.BitOverflow(i), nil
		}
	}
	return 0, errBitOverflow
}

func bitfield(c *call) (render, error) {
	ops, err := parseBitOps(c, false)
	if err != nil {
		return nil, err
	}
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyBitfield, Span: mvcc.KeySpan(c.str(1)),
		Value: alias(ops)})
	return func(r *mvcc.Result) resp.Value {
		if err := r.Ops[0].Err; err != nil {
			return failed(err)
		}
		return bitResults(r.Ops[0].Bits)
	}, nil
}

func bitfieldRO(c *call, found seen) (resp.Value, error) {
	ops, err := parseBitOps(c, true)
	if err != nil {
		return resp.Value{}, err
	}
	return bitResults(mvcc.ReadBits(found.value(0), alias(ops))), nil
}

func bitResults(results []mvcc.BitResult) resp.Value {
	out := make([]resp.Value, len(results))
	for i, r := range results {
		out[i] = resp.Int(r.Number)
		if r.None {
			out[i] = resp.Null()
		}
	}
	return resp.ArrayOf(out)
}
