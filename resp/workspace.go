package resp

import (
	"sync"
	"time"
)

const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	keepEntries = 8 << 10 // slices with more room than this are not kept for the next user
)

// workspace is all the memory that serving a batch needs. A connection borrows one from a pool when bytes
// arrive and gives it back when it has nothing pending, so that an idle connection owns no buffer at all.
type workspace struct {
	buf   []byte      // bytes read; the unread part is the parser's [begin, end)
	spans []span      // arguments of the command being parsed
	args  [][]byte    // argument lists of all commands of the batch, back to back
	batch []Command   // the batch
	out   []byte      // replies not written yet
	timer *time.Timer // for Wait; stopped when not in use
}

var (
	smallPool = sync.Pool{New: func() any { return &workspace{buf: make([]byte, smallBuffer)} }}
	largePool = sync.Pool{New: func() any { return &workspace{buf: make([]byte, largeBuffer)} }}
)

// borrow returns an empty workspace; large chooses the size of its buffer.
func borrow(large bool) *workspace {
	if large {
		return largePool.Get().(*workspace)
	}
	return smallPool.Get().(*workspace)
}

// giveBack ends the use of w and of every slice of it. One that grew for a big request is left to the garbage
// collector: in the pool it would stay big for ever.
func giveBack(w *workspace) {
	w.spans = emptied(w.spans)
	w.args = emptied(w.args)
	w.batch = emptied(w.batch)
	if cap(w.out) > largeBuffer {
		w.out = nil
	}
	w.out = w.out[:0]
	switch len(w.buf) {
	case smallBuffer:
		smallPool.Put(w)
	case largeBuffer:
		largePool.Put(w)
	}
}

func emptied[T any](s []T) []T {
	if cap(s) > keepEntries {
		return nil
	}
	return s[:0]
}

// alarm returns a channel that fires after d. REQUIRES: stopAlarm before the next call.
func (w *workspace) alarm(d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

func (w *workspace) stopAlarm() { w.timer.Stop() }
