package mvcc

import (
	"math/big"
	"strings"

	"pgregory.net/rapid"
)

// The twin's bits are a text of '0' and '1', and its integers are big.Int.

var twinFloats = []string{"0.1", "-0.25", "3", "1e3", "inf", "x", "0x10", "1e4932"}

// genModify fills in what a modification of strings needs.
func genModify(t *rapid.T, op *Op) {
	switch op.Modify {
	case ModifyIncrByFloat:
		op.Value = rapid.SampledFrom(twinFloats).Draw(t, "float")
	case ModifySetRange:
		op.Delta = int64(rapid.IntRange(0, 12).Draw(t, "offset"))
	case ModifySetBit:
		op.Delta = int64(rapid.IntRange(0, 40).Draw(t, "offset"))
		op.Value = rapid.SampledFrom([]string{"", "1"}).Draw(t, "bit")
	case ModifyBitfield:
		op.Value = ""
		for _, o := range rapid.SliceOfN(genBitOp(), 0, 3).Draw(t, "bits") {
			op.Value = string(AppendBitOp([]byte(op.Value), o))
		}
	case ModifyBitOp:
		op.Value, op.Delta = "", int64(rapid.IntRange(1, 8).Draw(t, "combine"))
		for _, k := range rapid.SliceOfN(rapid.SampledFrom(twinKeys), 1, 3).Draw(t, "sources") {
			op.Value = string(AppendKey([]byte(op.Value), k))
		}
	case ModifyMove, ModifyCopy:
		op.Value = rapid.SampledFrom(twinKeys).Draw(t, "to")
	}
}

func genBitOp() *rapid.Generator[BitOp] {
	return rapid.Custom(func(t *rapid.T) BitOp {
		o := BitOp{
			Action:   BitAction(rapid.IntRange(0, 2).Draw(t, "action")),
			Overflow: BitOverflow(rapid.IntRange(0, 2).Draw(t, "overflow")),
			Signed:   rapid.Bool().Draw(t, "signed"),
			Offset:   int64(rapid.IntRange(0, 70).Draw(t, "offset")),
		}
		widths := []uint8{1, 3, 8, 9, 62, 63}
		if o.Signed {
			widths = append(widths, 64)
		}
		o.Width = rapid.SampledFrom(widths).Draw(t, "width")
		if o.Action != BitGet {
			o.Number = rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 300)).Draw(t, "number")
		}
		return o
	})
}

// modifyStrings returns whether op was one of its own.
func (t *twin) modifyStrings(op *Op, r *twinOp, old, n twinRecord) bool {
	switch op.Modify {
	case ModifyIncrByFloat:
		n.Value, r.Err = twinFloat(old, op.Value)
		if r.Err == nil {
			t.put2(op, r, old, n)
		}
	case ModifySetRange:
		r.N = int64(len(old.Value))
		if op.Value != "" {
			pad := old.Value + strings.Repeat("\x00", 100)
			length := max(len(old.Value), int(op.Delta)+len(op.Value))
			n.Value = (pad[:op.Delta] + op.Value + pad[int(op.Delta)+len(op.Value):])[:length]
			r.N = int64(length)
			t.put2(op, r, old, n)
		}
	case ModifySetBit:
		bits := bitText(old.Value, int(op.Delta)+1)
		r.N = int64(bits[op.Delta] - '0')
		n.Value = textBits(bits[:op.Delta] + string('0'+rune(len(op.Value))) + bits[op.Delta+1:])
		if n.Value != old.Value || !old.exists() {
			t.put2(op, r, old, n)
		}
	case ModifyBitfield:
		t.bitfield(op, r, old, n)
	case ModifyBitOp:
		t.bitOp(op, r, old)
	case ModifyMove, ModifyCopy:
		t.moveOrCopy(op, r, old)
	default:
		return false
	}
	return true
}

func twinFloat(old twinRecord, by string) (string, error) {
	text := old.Value
	if !old.exists() {
		text = "0"
	}
	var sum big.Float
	for _, s := range []string{text, by} {
		x, _, err := big.ParseFloat(strings.Replace(s, "0x10", "16", 1), 10, 64, big.ToNearestEven)
		if err != nil {
			return "", ErrNotFloat
		}
		if x.IsInf() {
			return "", ErrNotFinite
		}
		sum.SetPrec(64).Add(&sum, x)
	}
	if big.NewFloat(0).SetMantExp(big.NewFloat(1), 16384).Cmp(&sum) <= 0 {
		return "", ErrNotFinite
	}
	out := strings.TrimRight(sum.Text('f', 17), "0")
	return strings.TrimSuffix(out, "."), nil
}

// bitText spells a value's bits, with zeros up to at least n bits and to a whole byte.
func bitText(value string, n int) string {
	var out strings.Builder
	for i := range max(len(value), (n+7)/8) {
		b := byte(0)
		if i < len(value) {
			b = value[i]
		}
		for k := 7; k >= 0; k-- {
			out.WriteByte('0' + b>>k&1)
		}
	}
	return out.String()
}

func textBits(text string) string {
	var out []byte
	for ; text != ""; text = text[8:] {
		n, _ := new(big.Int).SetString(text[:8], 2)
		out = append(out, byte(n.Int64()))
	}
	return string(out)
}

func twinBitOps(s string) (out []BitOp) {
	for s != "" {
		o, size := nextBitOp(s)
		out, s = append(out, o), s[size:]
	}
	return out
}

func (t *twin) bitfield(op *Op, r *twinOp, old, n twinRecord) {
	ops := twinBitOps(op.Value)
	end := 0
	for _, o := range ops {
		if o.Action != BitGet {
			end = max(end, int(o.Offset)+int(o.Width))
		}
	}
	bits := bitText(old.Value, end)
	for _, o := range ops {
		from, to := int(o.Offset), int(o.Offset)+int(o.Width)
		beyond := bits + strings.Repeat("0", 200)
		was := twinInt(beyond[from:to], o.Signed)
		if o.Action == BitGet {
			r.Bits = append(r.Bits, BitResult{Number: was.Int64()})
			continue
		}
		now, ok := twinFit(o, was)
		if !ok {
			r.Bits = append(r.Bits, BitResult{None: true})
			continue
		}
		modulus := new(big.Int).Lsh(big.NewInt(1), uint(o.Width))
		field := new(big.Int).Mod(now, modulus).Text(2)
		bits = bits[:from] + strings.Repeat("0", to-from-len(field)) + field + bits[to:]
		if o.Action == BitSet {
			now = was
		}
		r.Bits = append(r.Bits, BitResult{Number: now.Int64()})
	}
	n.Value = textBits(bits)
	if err := t.objection(op, old, n); err != nil && end > 0 {
		*r = twinOp{Err: err}
		return
	}
	if n.Value == old.Value {
		if end > 0 {
			t.since += twinCopied(op, n)
		}
		return
	}
	t.put2(op, r, old, n)
}

func twinInt(bits string, signed bool) *big.Int {
	n, _ := new(big.Int).SetString(bits, 2)
	if signed && bits[0] == '1' {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(bits))))
	}
	return n
}

// twinFit returns the number to write; false if nothing is to be written.
func twinFit(o BitOp, was *big.Int) (*big.Int, bool) {
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(o.Width))
	if o.Signed {
		high.Rsh(high, 1)
		low.Neg(high)
	}
	number := big.NewInt(o.Number)
	if o.Action == BitIncrBy {
		number.Add(number, was)
	} else if !o.Signed {
		number.SetUint64(uint64(o.Number))
	}
	switch {
	case number.Cmp(low) >= 0 && number.Cmp(high) < 0:
		return number, true
	case o.Overflow == BitFail:
		return nil, false
	case o.Overflow == BitSaturate && number.Cmp(low) < 0:
		return low, true
	case o.Overflow == BitSaturate:
		return high.Sub(high, big.NewInt(1)), true
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(o.Width))
	number.Mod(number, modulus)
	if number.Cmp(high) >= 0 {
		number.Sub(number, modulus)
	}
	return number, true
}

// combinations says for each kind whether a bit is set, given the first source's bit, the number of others
// that have it, and the number of others.
var combinations = map[Combine]func(first bool, others, of int) bool{
	CombineAnd:   func(first bool, others, of int) bool { return first && others == of },
	CombineOr:    func(first bool, others, _ int) bool { return first || others > 0 },
	CombineXor:   func(first bool, others, _ int) bool { return first != (others%2 == 1) },
	CombineNot:   func(first bool, _, _ int) bool { return !first },
	CombineDiff:  func(first bool, others, _ int) bool { return first && others == 0 },
	CombineDiff1: func(first bool, others, _ int) bool { return !first && others > 0 },
	CombineAndOr: func(first bool, others, _ int) bool { return first && others > 0 },
	CombineOne:   func(first bool, others, _ int) bool { return first && others == 0 || !first && others == 1 },
}

func (t *twin) bitOp(op *Op, r *twinOp, old twinRecord) {
	var bits []string
	longest := 0
	for s := op.Value; s != ""; {
		key, size := nextKey(s)
		s = s[size:]
		bits = append(bits, t.get(key).Value)
		longest = max(longest, len(bits[len(bits)-1]))
	}
	all := int64(0)
	for _, v := range bits {
		all += int64(len(v))
	}
	if all > int64(bitOpBound) {
		r.Err = ErrSourcesLong
		return
	}
	if all > 0 && t.since > 0 && t.since+all > copySlack {
		r.Err = ErrCopied
		return
	}
	r.N = int64(longest)
	if longest == 0 {
		if old.exists() {
			t.write(twinRecord{Key: old.Key, Kind: KindDelete})
		}
		return
	}
	for i, v := range bits {
		bits[i] = bitText(v, longest*8)
	}
	var out strings.Builder
	for i := range longest * 8 {
		others := 0
		for _, v := range bits[1:] {
			others += int(v[i] - '0')
		}
		set := combinations[Combine(op.Delta)](bits[0][i] == '1', others, len(bits)-1)
		out.WriteString(map[bool]string{true: "1", false: "0"}[set])
	}
	n := t.next(op.Span.From)
	n.Value, n.Lease, n.Deadline = textBits(out.String()), 0, 0
	if t.put2(op, r, old, n); r.Err == nil {
		t.since += all
	}
}

func (t *twin) moveOrCopy(op *Op, r *twinOp, old twinRecord) {
	move := op.Modify == ModifyMove
	switch {
	case !old.exists() && move:
		r.Err = ErrNoSuchKey
		return
	case !old.exists():
		return
	}
	r.N = 1
	if move && op.Value == old.Key {
		return
	}
	replaced := t.get(op.Value)
	n := t.next(op.Value)
	n.Value, n.Lease, n.Deadline = old.Value, old.Lease, old.Deadline
	if err := t.objection(op, replaced, n); err != nil {
		*r = twinOp{Err: err}
		return
	}
	if move {
		t.write(twinRecord{Key: old.Key, Kind: KindDelete})
	}
	t.put2(op, r, replaced, n)
}
