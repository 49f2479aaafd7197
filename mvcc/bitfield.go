package mvcc

import "math"

// BitAction is what one operation of a bit field does. The values are part of the log format.
type BitAction uint8

const (
	BitGet BitAction = iota
	BitSet
	BitIncrBy
)

// BitOverflow is what an operation does with a number that does not fit. The values are part of the log
// format.
type BitOverflow uint8

const (
	BitWrap     BitOverflow = iota // keeps the low bits
	BitSaturate                    // takes the nearest number that fits
	BitFail                        // writes nothing
)

// BitOp is one operation on an integer of Width bits at bit Offset of a value; bit 0 is the highest of byte
// 0.
type BitOp struct {
	Action   BitAction
	Overflow BitOverflow
	Signed   bool
	Width    uint8 // 1 to 64, unsigned to 63
	Offset   int64
	Number   int64 // BitSet, BitIncrBy
}

// BitResult is what one operation of a bit field answers: the integer, before a BitSet and after a BitIncrBy;
// none if BitFail let nothing be written.
type BitResult struct {
	Number int64
	None   bool
}

const bitOpMinBytes = 4

// AppendBitOp appends an operation to the Value of a ModifyBitfield:
//
//	u8 action, u8 overflow, u8 width with bit 7 for signed, uvarint offset, uvarint number (two's complement)
func AppendBitOp(b []byte, o BitOp) []byte {
	width := o.Width
	if o.Signed {
		width |= 0x80
	}
	b = appendUvarint(append(b, byte(o.Action), byte(o.Overflow), width), uint64(o.Offset))
	if o.Action == BitGet {
		return b
	}
	return appendUvarint(b, uint64(o.Number))
}

// nextBitOp splits the first operation off s; size is 0 if it is malformed.
func nextBitOp(s string) (o BitOp, size int) {
	if len(s) < bitOpMinBytes {
		return o, 0
	}
	o = BitOp{Action: BitAction(s[0]), Overflow: BitOverflow(s[1]), Signed: s[2]&0x80 != 0, Width: s[2] & 0x7f}
	offset, width := uvarint(s[3:])
	if width == 0 || offset > math.MaxInt64 {
		return o, 0
	}
	o.Offset, size = int64(offset), 3+width
	if o.Action != BitGet {
		number, width := uvarint(s[size:])
		if width == 0 {
			return o, 0
		}
		o.Number, size = int64(number), size+width
	}
	widest := uint8(64)
	if !o.Signed {
		widest = 63
	}
	if o.Action > BitIncrBy || o.Overflow > BitFail || o.Width < 1 || o.Width > widest {
		return o, 0
	}
	return o, size
}

func validBitOps(s string) bool {
	for len(s) > 0 {
		_, size := nextBitOp(s)
		if size == 0 {
			return false
		}
		s = s[size:]
	}
	return true
}

// bitfield grows the value to hold what any operation may write, even if BitFail then keeps it from writing.
func (b *Batch) bitfield(op *Op, r *OpResult, c *chain, old Record) {
	end := int64(0)
	for s := op.Value; s != ""; {
		o, size := nextBitOp(s)
		s = s[size:]
		if o.Action == BitGet {
			continue
		}
		if o.Offset > MaxValueBytes*8-int64(o.Width) {
			r.Err = ErrValueTooLong
			return
		}
		end = max(end, (o.Offset+int64(o.Width)+7)/8)
	}
	value := valueOf(old)
	if end == 0 {
		r.Bits = ReadBits(value, op.Value)
		return
	}
	f, size := b.successor(op.Span.From, old), max(end, int64(len(value)))
	if !b.permits(op, r, old, &f, int(size)) {
		return
	}
	buf := make([]byte, size)
	copy(buf, value)
	r.Bits = runBits(buf, op.Value)
	if string(buf) == value {
		b.copying += op.copied(int(size)) // the work was done
		return
	}
	f.value = string(buf)
	b.store(op, r, c, old, &f)
}

// ReadBits answers operations that only read. REQUIRES: each in ops is a BitGet.
func ReadBits(value, ops string) (out []BitResult) {
	for ops != "" {
		o, size := nextBitOp(ops)
		ops = ops[size:]
		out = append(out, BitResult{Number: o.extend(bitsAt(value, o.Offset, o.Width))})
	}
	return out
}

func runBits(buf []byte, ops string) (out []BitResult) {
	for ops != "" {
		o, size := nextBitOp(ops)
		ops = ops[size:]
		out = append(out, o.run(buf))
	}
	return out
}

func (o *BitOp) run(buf []byte) BitResult {
	old := o.extend(bitsAt(buf, o.Offset, o.Width))
	if o.Action == BitGet {
		return BitResult{Number: old}
	}
	from, by := o.Number, int64(0)
	if o.Action == BitIncrBy {
		from, by = old, o.Number
	}
	number, fits := o.fit(from, by)
	if !fits && o.Overflow == BitFail {
		return BitResult{None: true}
	}
	for i := range int64(o.Width) {
		putBit(buf, o.Offset+i, uint64(number)>>(int64(o.Width)-1-i)&1)
	}
	if o.Action == BitSet {
		return BitResult{Number: old}
	}
	return BitResult{Number: number}
}

// fit returns from+by as the field holds it, and whether it held without wrapping or saturating. An unsigned
// field takes a negative number that is to be set as the large number with the same bits, as Redis does.
func (o *BitOp) fit(from, by int64) (number int64, fits bool) {
	low, high := o.bounds()
	sum := int64(uint64(from) + uint64(by))
	over := by > 0 && from > math.MaxInt64-by || sum > high && by >= 0 || !o.Signed && by == 0 && from < 0
	under := !over && (by < 0 && from < math.MinInt64-by || sum < low)
	over = over || !under && sum > high
	switch {
	case !over && !under:
		return sum, true
	case o.Overflow != BitSaturate:
		return o.extend(uint64(sum)), false
	case over:
		return high, false
	default:
		return low, false
	}
}

func (o *BitOp) bounds() (low, high int64) {
	if !o.Signed {
		return 0, int64(uint64(1)<<o.Width - 1)
	}
	return -1 << (o.Width - 1), int64(uint64(1)<<(o.Width-1) - 1)
}

// extend makes a number of the low bits of u.
func (o *BitOp) extend(u uint64) int64 {
	shift := 64 - o.Width
	if o.Signed {
		return int64(u<<shift) >> shift
	}
	return int64(u << shift >> shift)
}

// bitsAt reads width bits; those behind the end are 0.
func bitsAt[T string | []byte](value T, offset int64, width uint8) (u uint64) {
	for i := range int64(width) {
		u <<= 1
		if at := (offset + i) >> 3; offset <= math.MaxInt64-i && at < int64(len(value)) {
			u |= uint64(value[at]>>(7-uint(offset+i)&7)) & 1
		}
	}
	return u
}

func putBit(buf []byte, offset int64, bit uint64) {
	mask := byte(0x80) >> (offset & 7)
	if bit == 0 {
		buf[offset>>3] &^= mask
	} else {
		buf[offset>>3] |= mask
	}
}

func (b *Batch) setBit(op *Op, r *OpResult, c *chain, old Record) {
	if op.Delta >= MaxValueBytes*8 {
		r.Err = ErrValueTooLong
		return
	}
	value := valueOf(old)
	r.N = int64(bitsAt(value, op.Delta, 1))
	if int64(len(op.Value)) == r.N && op.Delta>>3 < int64(len(value)) {
		return
	}
	f, size := b.successor(op.Span.From, old), max(int64(len(value)), op.Delta>>3+1)
	if !b.permits(op, r, old, &f, int(size)) {
		return
	}
	buf := make([]byte, size)
	copy(buf, value)
	putBit(buf, op.Delta, uint64(len(op.Value)))
	f.value = string(buf)
	b.store(op, r, c, old, &f)
}
