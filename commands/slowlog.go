package commands

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	slowLogRoom      = 128
	slowLogMostRoom  = 1 << 20
	slowLogWords     = 32
	slowLogWordBytes = 128
)

// slowEntry is one command of the slow log.
type slowEntry struct {
	id         int64
	at         time.Time
	took       time.Duration
	addr, name string

	text []byte // its words, one behind the other
	ends []int  // of each word
}

// slowLog holds the newest entries. On an overloaded node every command is slow, so an entry is written into
// the memory of the one that it drives out. threshold is in microseconds: negative is off, 0 everything.
type slowLog struct {
	threshold, room atomic.Int64

	mu struct {
		sync.Mutex
		next    int64
		entries []slowEntry // a ring once it is full
		oldest  int         // its first entry; 0 until it is full
	}
}

// add notes a command. It copies args, cut as Redis cuts them.
func (l *slowLog) add(e slowEntry, args [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.mu.next
	l.mu.next++
	room := int(l.room.Load())
	switch {
	case room == 0:
		return
	case len(l.mu.entries) < room:
		l.mu.entries = append(l.mu.entries, slowEntry{})
		l.fillLocked(len(l.mu.entries)-1, e, args)
	default:
		l.fillLocked(l.mu.oldest, e, args)
		l.mu.oldest = (l.mu.oldest + 1) % room
	}
}

func (l *slowLog) fillLocked(i int, e slowEntry, args [][]byte) {
	old := &l.mu.entries[i]
	e.text, e.ends = old.text[:0], old.ends[:0]
	n := min(len(args), slowLogWords)
	for i, word := range args[:n] {
		switch {
		case i == n-1 && n < len(args):
			e.text = append(e.text, moreOf(len(args)-n+1, "arguments")...)
		case len(word) > slowLogWordBytes:
			e.text = append(append(e.text, word[:slowLogWordBytes]...), moreOf(len(word)-slowLogWordBytes, "bytes")...)
		default:
			e.text = append(e.text, word...)
		}
		e.ends = append(e.ends, len(e.text))
	}
	*old = e
}

// args are the entry's words.
func (e *slowEntry) args() []string {
	out, from := make([]string, len(e.ends)), 0
	for i, end := range e.ends {
		out[i] = string(e.text[from:end])
		from = end
	}
	return out
}

// resize makes room for so many entries and keeps the newest.
func (l *slowLog) resize(room int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Concat(l.mu.entries[l.mu.oldest:], l.mu.entries[:l.mu.oldest])
	l.mu.entries, l.mu.oldest = slices.Clip(all[max(0, len(all)-int(room)):]), 0
	l.room.Store(room)
}

// newest returns at most n entries, newest first.
func (l *slowLog) newest(n int64) (out []slowEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(l.mu.entries)
	for i := range int(min(n, int64(size))) {
		e := l.mu.entries[(l.mu.oldest+size-1-i)%size]
		e.text, e.ends = slices.Clone(e.text), slices.Clone(e.ends)
		out = append(out, e)
	}
	return out
}

func (l *slowLog) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.mu.entries))
}

func (l *slowLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.entries, l.mu.oldest = nil, 0
}
