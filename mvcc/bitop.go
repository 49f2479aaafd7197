package mvcc

// Combine is how ModifyBitOp makes one value of several. The values are part of the log format.
type Combine int64

const (
	CombineAnd   Combine = 1 + iota
	CombineOr            // in any
	CombineXor           // in an odd number
	CombineNot           // not in the only one
	CombineDiff          // in the first and in none of the others
	CombineDiff1         // not in the first and in any of the others
	CombineAndOr         // in the first and in any of the others
	CombineOne           // in exactly one
)

func (c Combine) valid() bool { return c >= CombineAnd && c <= CombineOne }

// AppendKey appends a source key to the Value of a ModifyBitOp: bytes with their length as a uvarint in
// front.
func AppendKey(b []byte, key string) []byte {
	return append(appendUvarint(b, uint64(len(key))), key...)
}

// nextKey splits the first key off s; size is 0 if it is malformed.
func nextKey(s string) (key string, size int) {
	n, width := uvarint(s)
	if width == 0 || n > uint64(len(s)-width) {
		return "", 0
	}
	size = width + int(n)
	return s[width:size], size
}

func validKeys(s string) bool {
	for first := true; first || s != ""; first = false {
		_, size := nextKey(s)
		if size == 0 {
			return false
		}
		s = s[size:]
	}
	return true
}

// bitOp writes the combination as a put does: deadline and lease of the key go.
func (b *Batch) bitOp(op *Op, r *OpResult, c *chain, old Record) {
	var values []string
	longest, all := 0, 0
	for s := op.Value; s != ""; {
		key, size := nextKey(s)
		s = s[size:]
		_, source := b.find(key)
		values = append(values, valueOf(source))
		longest, all = max(longest, len(valueOf(source))), all+len(valueOf(source))
	}
	switch {
	case all > bitOpBound:
		r.Err = ErrSourcesLong
		return
	case !b.mayCopy(int64(all)):
		r.Err = ErrCopied
		return
	}
	r.N = int64(longest)
	if longest == 0 {
		if old.Exists() {
			b.end(c, KindDelete)
		}
		return
	}
	f := b.successor(op.Span.From, old)
	f.deadline, f.lease = 0, 0
	if !b.permits(op, r, old, &f, longest) {
		return
	}
	f.value = string(Combine(op.Delta).combine(values, longest))
	b.store(op, r, c, old, &f)
	b.copying += int64(all)
}

// combine pads each value with zero bytes to size.
func (c Combine) combine(values []string, size int) []byte {
	out := make([]byte, size)
	copy(out, values[0])
	switch c {
	case CombineAnd, CombineOr, CombineXor:
		for _, v := range values[1:] {
			c.fold(out, v)
		}
	case CombineNot:
		for i := range out {
			out[i] = ^out[i]
		}
	case CombineOne:
		one, more := census(values, size)
		for i := range out {
			out[i] = one[i] &^ more[i]
		}
	default:
		others, _ := census(values[1:], size)
		c.against(out, others)
	}
	return out
}

func (c Combine) fold(out []byte, v string) {
	for i := range len(v) {
		switch c {
		case CombineAnd:
			out[i] &= v[i]
		case CombineOr:
			out[i] |= v[i]
		default:
			out[i] ^= v[i]
		}
	}
	if c == CombineAnd {
		clear(out[len(v):])
	}
}

// against combines the first value with the bits that are in any of the others.
func (c Combine) against(first, others []byte) {
	for i := range first {
		switch c {
		case CombineDiff:
			first[i] &^= others[i]
		case CombineDiff1:
			first[i] = others[i] &^ first[i]
		default:
			first[i] &= others[i]
		}
	}
}

// census returns the bits that are in at least one of the values, and in more than one.
func census(values []string, size int) (one, more []byte) {
	one, more = make([]byte, size), make([]byte, size)
	for _, v := range values {
		for i := range len(v) {
			more[i] |= one[i] & v[i]
			one[i] |= v[i]
		}
	}
	return one, more
}
