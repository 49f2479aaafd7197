package pubsub

import (
	"slices"

	"github.com/redkeep/redkeep/mvcc"
)

// index finds the feeds that a key concerns: those of one key by a map, those of ranges by an interval tree.
//
// The tree is a treap ordered by the start of the interval, each node with the largest end below it, so a
// subtree whose intervals all end before the key is not entered: a lookup costs the matches and a
// logarithm. A sorted list of starts, which a B-tree of the libraries would give, has to look at every
// interval that starts before the key; rebuilding a static tree costs its size at every subscription.
// Priorities are a hash of a counter: the shape has to be random, not secret.
type index struct {
	exact map[string][]*feed
	root  *node
	seed  uint64
}

// node is one interval [from, end); open tells that it has no end. feeds all have exactly this interval.
type node struct {
	from, end   string
	open        bool
	maxEnd      string // of the subtree
	maxOpen     bool
	priority    uint64
	left, right *node
	feeds       []*feed
}

func (x *index) add(f *feed) {
	span := f.spec.Span
	if span.Kind == mvcc.SpanKey {
		x.exact[span.From] = append(x.exact[span.From], f)
		return
	}
	x.seed += 0x9e3779b97f4a7c15
	x.root = x.root.insert(f, scramble(x.seed))
}

func (x *index) remove(f *feed) {
	span := f.spec.Span
	if span.Kind != mvcc.SpanKey {
		x.root = x.root.remove(f)
		return
	}
	if rest := without(x.exact[span.From], f); len(rest) > 0 {
		x.exact[span.From] = rest
	} else {
		delete(x.exact, span.From)
	}
}

// match calls fn with every feed whose interval holds key.
func (x *index) match(key string, fn func(*feed)) {
	for _, f := range x.exact[key] {
		fn(f)
	}
	x.root.match(key, fn)
}

func (n *node) match(key string, fn func(*feed)) {
	for n != nil && (n.maxOpen || key < n.maxEnd) {
		n.left.match(key, fn)
		if key < n.from {
			return
		}
		if n.open || key < n.end {
			for _, f := range n.feeds {
				fn(f)
			}
		}
		n = n.right
	}
}

// scramble is the finalizer of SplitMix64.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// compare orders intervals by start, then end; an open one is last.
func (n *node) compare(from, end string, open bool) int {
	switch {
	case n.from != from:
		return order(n.from < from)
	case n.open != open:
		return order(open)
	case n.end != end:
		return order(n.end < end)
	}
	return 0
}

func order(before bool) int {
	if before {
		return -1
	}
	return 1
}

func interval(s mvcc.Span) (from, end string, open bool) {
	return s.From, s.End, s.Kind == mvcc.SpanFrom
}

func (n *node) insert(f *feed, priority uint64) *node {
	from, end, open := interval(f.spec.Span)
	if n == nil {
		n = &node{from: from, end: end, open: open, priority: priority, feeds: []*feed{f}}
		n.update()
		return n
	}
	switch c := n.compare(from, end, open); {
	case c == 0:
		n.feeds = append(n.feeds, f)
	case c > 0:
		if n.left = n.left.insert(f, priority); n.left.priority > n.priority {
			n = n.rotateRight()
		}
	default:
		if n.right = n.right.insert(f, priority); n.right.priority > n.priority {
			n = n.rotateLeft()
		}
	}
	n.update()
	return n
}

func (n *node) remove(f *feed) *node {
	if n == nil {
		panic("pubsub: a feed is not in the index")
	}
	switch c := n.compare(interval(f.spec.Span)); {
	case c > 0:
		n.left = n.left.remove(f)
	case c < 0:
		n.right = n.right.remove(f)
	default:
		if n.feeds = without(n.feeds, f); len(n.feeds) == 0 {
			return join(n.left, n.right)
		}
	}
	n.update()
	return n
}

// join makes one tree of two, all of whose intervals are in order.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		a.right = join(a.right, b)
		a.update()
		return a
	default:
		b.left = join(a, b.left)
		b.update()
		return b
	}
}

func (n *node) rotateRight() *node {
	l := n.left
	n.left, l.right = l.right, n
	n.update()
	return l
}

func (n *node) rotateLeft() *node {
	r := n.right
	n.right, r.left = r.left, n
	n.update()
	return r
}

// update computes what follows from the children.
func (n *node) update() {
	n.maxEnd, n.maxOpen = n.end, n.open
	for _, child := range [...]*node{n.left, n.right} {
		if child != nil {
			n.maxEnd = max(n.maxEnd, child.maxEnd)
			n.maxOpen = n.maxOpen || child.maxOpen
		}
	}
}

// without returns the list without one of its members, in no particular order.
func without[T comparable](list []T, x T) []T {
	i := slices.Index(list, x)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i] = list[last]
	clear(list[last:])
	return list[:last]
}
