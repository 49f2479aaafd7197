package rdb

// What values other than strings look like. They are passed over, not understood; but to find the next key
// each byte has to be accounted for. So each type has a shape, in a language of one letter per field:
//
//	s       a string, in any of its encodings: most compact forms (ziplist, listpack, intset …) are one
//	l       a length
//	d       a number as text: one byte that is its length, or 253 to 255 for NaN and the infinities
//	8 R     8 bytes, 16 bytes
//	{…}     a length, and what is in braces so many times
//	m       what a module wrote: fields, each behind a number that says its kind, up to number 0
//
// Rejected: a function per type, which is forty times the code for the same knowledge. Drawback: what is
// inside a compact form is not checked; the file's checksum has to do.

type shape struct{ name, fields string }

// shapes are the types of values, by their number in the file; numbers without a name are not in use.
var shapes = [...]shape{
	1: {"list", "{s}"}, 2: {"set", "{s}"}, 3: {"zset", "{sd}"}, 4: {"hash", "{ss}"}, 5: {"zset", "{s8}"},
	7: {"module", "lm"}, 9: {"hash", "s"}, 10: {"list", "s"}, 11: {"set", "s"}, 12: {"zset", "s"},
	13: {"hash", "s"}, 14: {"list", "{s}"}, 15: {"stream", "{ss}lll{sll{R8l}{s8{R}}}"}, 16: {"hash", "s"},
	17: {"zset", "s"}, 18: {"list", "{ls}"}, 19: {"stream", "{ss}llllllll{slll{R8l}{s8{R}}}"}, 20: {"set", "s"},
	21: {"stream", "{ss}llllllll{slll{R8l}{s88{R}}}"},
	22: {"hash", "{lss}"}, 23: {"hash", "s"}, 24: {"hash", "8{lss}"}, 25: {"hash", "8s"},
}

// pass passes over the fields of a shape.
func (r *reader) pass(fields string) {
	for i := 0; i < len(fields) && !r.bad; i++ {
		switch fields[i] {
		case 's':
			r.skipString()
		case 'l':
			r.length()
		case 'd':
			r.passNumber()
		case '8':
			r.skip(8)
		case 'R':
			r.skip(16)
		case 'm':
			r.passModule()
		case '{':
			inner := group(fields[i+1:])
			r.passMany(r.length(), inner)
			i += len(inner) + 1
		}
	}
}

// passMany passes over a shape so many times; each takes a byte at least, so a lie about the number ends
// with the file.
func (r *reader) passMany(times uint64, fields string) {
	for ; times > 0 && !r.bad; times-- {
		r.pass(fields)
	}
}

// group returns what stands before the brace that closes.
func group(fields string) string {
	depth := 1
	for i := range fields {
		switch fields[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return fields[:i]
		}
	}
	return fields
}

func (r *reader) passNumber() {
	if n := r.byte(); n < 253 {
		r.skip(uint64(n))
	}
}

// passModule passes over a module's fields: integers, floats, doubles, strings.
func (r *reader) passModule() {
	for !r.bad {
		switch r.length() {
		case 0:
			return
		case 1, 2:
			r.length()
		case 3:
			r.skip(4)
		case 4:
			r.skip(8)
		case 5:
			r.skipString()
		default:
			r.spoil()
		}
	}
}
