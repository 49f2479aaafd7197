package acl

// Access is what is done with a key.
type Access uint8

// Read and Write are the rights that a pattern can give. The zero Access is a question about the key's
// existence or kind: any pattern that matches lets it pass, as in Redis.
const (
	Read Access = 1 << iota
	Write
)

// Kind tells one key, a bounded range and an open range apart. Nothing converts one into another.
type Kind uint8

const (
	One     Kind = iota // the key From
	Bounded             // From <= key < End
	Open                // From <= key, without an end
)

// Reach is keys that a command uses, or channels.
type Reach struct {
	From, End string
	Kind      Kind
	Access    Access
}

// interval is the keys from <= key < end, all with the rights of access. An interval without an end is the
// only one that can cover an open reach.
type interval struct {
	from, end string
	endless   bool
	access    Access
}

// intervalOf is the keys that a pattern matches for certain, if they are an interval: a pattern of plain
// bytes is one key, one of plain bytes and a star at the end is a prefix. Of other patterns ok is false: they
// say nothing about ranges.
func intervalOf(prefix string, exact, starred bool) (i interval, ok bool) {
	switch {
	case exact:
		return interval{from: prefix, end: prefix + "\x00"}, true
	case starred:
		end, bounded := after(prefix)
		return interval{from: prefix, end: end, endless: !bounded}, true
	default:
		return interval{}, false
	}
}

// after is the first key behind all that begin with prefix; ok is false if there is none.
func after(prefix string) (end string, ok bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			b := []byte(prefix[:i+1])
			b[i]++
			return string(b), true
		}
	}
	return "", false
}

// covers reports whether the intervals together have every key of a range, each with the access wanted. It
// goes from the beginning of the range to its end; at each point the interval that leads furthest counts.
func covers(intervals []interval, r Reach) bool {
	at := r.From
	for {
		far, endless, found := furthest(intervals, at, r.Access)
		switch {
		case !found:
			return false
		case endless:
			return true
		case r.Kind == Bounded && far >= r.End:
			return true
		}
		at = far
	}
}

// furthest is the greatest end of the intervals that have the key at.
func furthest(intervals []interval, at string, access Access) (far string, endless, found bool) {
	for i := range intervals {
		in := &intervals[i]
		if in.access&access != access || at < in.from || !in.endless && at >= in.end {
			continue
		}
		if in.endless {
			return "", true, true
		}
		if !found || in.end > far {
			far, found = in.end, true
		}
	}
	return far, false, found
}
