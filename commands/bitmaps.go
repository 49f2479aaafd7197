package commands

import (
	"math/bits"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var (
	bitUnitArg = argOneOf("index_unit", argToken("BYTE"), argToken("BIT")).opt().from("7.0.0")
	bitEncArgs = []Arg{argString("encoding"), argInteger("offset")}
)

var bitmapRows = []Command{
	{Name: "setbit", Arity: 4, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("RW access update"),
		Group: "bitmap", Since: "2.2.0", Complexity: "O(N) where N is the length of the value.",
		Summary: "Sets or clears one bit of a value.",
		Args:    args(argKey("key"), argInteger("offset"), argInteger("value")), plan: setBit},
	{Name: "getbit", Arity: 3, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "bitmap",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Returns one bit of a value.",
		Args: args(argKey("key"), argInteger("offset")), read: keyRead(getBit).read,
		planRead: keyRead(getBit).plan},
	{Name: "bitcount", Arity: -2, Kind: KindRead, Keys: oneKey("RO access"), Group: "bitmap", Since: "2.6.0",
		Complexity: "O(N) where N is the length of the range.", Summary: "Counts the set bits of a value.",
		Args: args(argKey("key"), argBlock("index", argInteger("start"), argInteger("end"), bitUnitArg).opt()),
		read: keyRead(bitCount).read, planRead: keyRead(bitCount).plan},
	{Name: "bitpos", Arity: -3, Kind: KindRead, Keys: oneKey("RO access"), Group: "bitmap", Since: "2.8.7",
		Complexity: "O(N) where N is the length of the range.",
		Summary:    "Finds the first set or the first clear bit of a value.",
		Args: args(argKey("key"), argInteger("bit"), argBlock("index", argInteger("start"),
			argBlock("end_index", argInteger("end"), bitUnitArg).opt()).opt()),
		read: keyRead(bitPos).read, planRead: keyRead(bitPos).plan},
	{Name: "bitop", Arity: -4, Kind: KindWrite, Flags: FlagDenyOOM, Group: "bitmap",
		Keys:  Keys{First: 2, Last: -1, Step: 1, Access: "OW update", Later: "RO access"},
		Since: "2.6.0", Complexity: "O(N) where N is the sum of the lengths of the values.",
		Summary: "Writes the bits of several values, combined, to a key.",
		Args:    args(argString("operation"), argKey("destkey"), argKey("key").many()), plan: bitOp},
	{Name: "bitfield", Arity: -2, Kind: KindWrite, Flags: FlagDenyOOM, Group: "bitmap",
		Keys: Keys{First: 1, Last: 1, Step: 1, Access: "RW access update variable_flags",
			Notes: "This command allows both access and modification of the key"},
		Since: "3.2.0", Complexity: "O(M) where M is the number of operations.",
		Summary: "Reads and writes integers of any width inside a value.",
		Args: args(argKey("key"), argOneOf("operation", argBlock("encoding_offset", bitEncArgs...).after("GET"),
			argBlock("write", argOneOf("wrap_sat_fail", argToken("WRAP"), argToken("SAT"), argToken("FAIL")).
				after("OVERFLOW").opt(), argOneOf("write_operation",
				argBlock("encoding_offset_value", append(bitEncArgs[:2:2], argInteger("value"))...).after("SET"),
				argBlock("encoding_offset_increment", append(bitEncArgs[:2:2], argInteger("increment"))...).
					after("INCRBY")))).opt().many()), plan: bitfield},
	{Name: "bitfield_ro", Arity: -2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"),
		Group: "bitmap", Since: "6.0.0", Complexity: "O(M) where M is the number of operations.",
		Summary: "Reads integers of any width inside a value.",
		Args: args(argKey("key"),
			argBlock("encoding_offset", bitEncArgs...).after("GET").opt().many()),
		read: keyRead(bitfieldRO).read, planRead: keyRead(bitfieldRO).plan},
}

// bitOffset reads the position of a bit; width above 0 allows "#n", the n-th field of that width.
func bitOffset(word []byte, width int64) (int64, error) {
	unit := int64(1)
	if width > 0 && len(word) > 0 && word[0] == '#' {
		word, unit = word[1:], width
	}
	n, ok := parseInt(word)
	if !ok || n < 0 || n > (mvcc.MaxValueBytes*8-1)/unit {
		return 0, errBitOffset
	}
	return n * unit, nil
}

func setBit(c *call) (render, error) {
	offset, err := bitOffset(c.args[2], 0)
	switch {
	case err != nil:
		return nil, err
	case offset>>3 >= c.d.longestBulk():
		return nil, errBitOffset
	}
	bit := c.str(3)
	switch bit {
	case "0":
		bit = ""
	case "1":
	default:
		return nil, errBitValue
	}
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifySetBit, Span: mvcc.KeySpan(c.str(1)),
		Delta: offset, Value: bit})
	return firstNumber, nil
}

func getBit(c *call, found seen) (resp.Value, error) {
	offset, err := bitOffset(c.args[2], 0)
	if err != nil {
		return resp.Value{}, err
	}
	value := found.value(0)
	if offset>>3 >= int64(len(value)) {
		return resp.Int(0), nil
	}
	return resp.Int(int64(value[offset>>3]>>(7-offset&7)) & 1), nil
}

// bitRange is the range of BITCOUNT and BITPOS, in bits, both ends included; first > last means empty.
type bitRange struct{ first, last int64 }

// newBitRange resolves positions in the given unit.
func newBitRange(start, end int64, inBits bool, bytes int64) bitRange {
	size := bytes
	if inBits {
		size *= 8
	}
	if end < 0 {
		end = max(end+size, 0)
	}
	start, end = clip(start, end, size)
	switch {
	case start > end:
		return bitRange{1, 0}
	case inBits:
		return bitRange{start, end}
	default:
		return bitRange{start * 8, end*8 + 7}
	}
}

// bitUnit reads BYTE or BIT.
func bitUnit(word []byte) (inBits bool, err error) {
	switch {
	case is(word, "BIT"):
		return true, nil
	case is(word, "BYTE"):
		return false, nil
	default:
		return false, errSyntax
	}
}

// part is byte i of value without the bits outside the range.
func (r bitRange) part(value string, i int64) byte {
	b := value[i]
	if i == r.first>>3 {
		b &= 0xff >> (r.first & 7)
	}
	if i == r.last>>3 {
		b &= 0xff << (7 - r.last&7)
	}
	return b
}

func bitCount(c *call, found seen) (resp.Value, error) {
	value := found.value(0)
	if !found.one().Exists() {
		return resp.Int(0), nil
	}
	within, err := parseBitCount(c, int64(len(value)))
	if err != nil || within.first > within.last {
		return resp.Int(0), err
	}
	n := 0
	for i := within.first >> 3; i <= within.last>>3; i++ {
		n += bits.OnesCount8(within.part(value, i))
	}
	return resp.Int(int64(n)), nil
}

func parseBitCount(c *call, size int64) (within bitRange, err error) {
	switch len(c.args) {
	case 2:
		return newBitRange(0, -1, false, size), nil
	case 4, 5:
	default:
		return within, errSyntax
	}
	start, err := integer(c.args[2])
	if err != nil {
		return within, err
	}
	end, err := integer(c.args[3])
	if err != nil || start < 0 && end < 0 && start > end {
		return bitRange{1, 0}, err
	}
	inBits := false
	if len(c.args) == 5 {
		if inBits, err = bitUnit(c.args[4]); err != nil {
			return within, err
		}
	}
	return newBitRange(start, end, inBits, size), nil
}

// bitPos takes a missing key, and a value whose end was not given, to go on with zeros for ever.
func bitPos(c *call, found seen) (resp.Value, error) {
	bit, err := integer(c.args[2])
	switch {
	case err != nil:
		return resp.Value{}, err
	case bit != 0 && bit != 1:
		return resp.Value{}, errBitArgument
	case !found.one().Exists():
		return resp.Int(-bit), nil
	}
	value := found.value(0)
	within, err := parseBitPos(c, int64(len(value)))
	if err != nil || within.first > within.last {
		return resp.Int(-1), err
	}
	at := firstBit(value, within, bit == 1)
	if at < 0 && bit == 0 && len(c.args) < 5 {
		at = within.last + 1
	}
	return resp.Int(at), nil
}

func parseBitPos(c *call, size int64) (within bitRange, err error) {
	start, end, inBits := int64(0), size-1, false
	if len(c.args) > 6 {
		return within, errSyntax
	}
	if len(c.args) > 3 {
		if start, err = integer(c.args[3]); err != nil {
			return within, err
		}
	}
	if len(c.args) == 6 {
		if inBits, err = bitUnit(c.args[5]); err != nil {
			return within, err
		}
	}
	if len(c.args) > 4 {
		if end, err = integer(c.args[4]); err != nil {
			return within, err
		}
	}
	if end < 0 && len(c.args) < 5 {
		return bitRange{1, 0}, nil // an empty value
	}
	return newBitRange(start, end, inBits, size), nil
}

// firstBit finds the first set or clear bit of a range; -1 for none.
func firstBit(value string, within bitRange, set bool) int64 {
	skip := byte(0)
	if !set {
		skip = 0xff
	}
	for i := within.first >> 3; i <= within.last>>3; i++ {
		if value[i] == skip {
			continue
		}
		for at := max(i*8, within.first); at <= min(i*8+7, within.last); at++ {
			if (value[i]>>(7-at&7)&1 == 1) == set {
				return at
			}
		}
	}
	return -1
}

// combinations are the operations of BITOP with the least number of their sources.
var combinations = [...]struct {
	word string
	kind mvcc.Combine
	min  int
}{
	{"AND", mvcc.CombineAnd, 1}, {"OR", mvcc.CombineOr, 1}, {"XOR", mvcc.CombineXor, 1},
	{"NOT", mvcc.CombineNot, 1}, {"DIFF", mvcc.CombineDiff, 2}, {"DIFF1", mvcc.CombineDiff1, 2},
	{"ANDOR", mvcc.CombineAndOr, 2}, {"ONE", mvcc.CombineOne, 1},
}

func bitOp(c *call) (render, error) {
	sources := c.args[3:]
	for _, o := range combinations {
		switch {
		case !is(c.args[1], o.word):
			continue
		case o.kind == mvcc.CombineNot && len(sources) != 1:
			return nil, errBitNot
		case len(sources) < o.min:
			return nil, errBitSources(o.word)
		}
		var keys []byte
		for _, key := range sources {
			keys = mvcc.AppendKey(keys, alias(key))
		}
		c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyBitOp, Span: mvcc.KeySpan(c.str(2)),
			Delta: int64(o.kind), Value: alias(keys)})
		return firstNumber, nil
	}
	return nil, errSyntax
}
