package cluster

import (
	"sort"
	"sync"

	"github.com/hashicorp/raft"
)

// byteCounts remembers how many bytes the log held up to each index, so that snapshots can be triggered,
// and the log kept behind them be measured, by bytes. It samples: one mark per countEvery bytes is enough
// for both.
type byteCounts struct {
	mu struct {
		sync.Mutex
		marks []byteMark // ascending
		total int64      // bytes appended since the process started
		last  uint64
	}
}

type byteMark struct {
	index uint64
	total int64
}

const countEvery = 64 << 10

func (c *byteCounts) add(logs []*raft.Log) (bytes int) {
	for _, l := range logs {
		bytes += len(l.Data) + recordHeader + frameHeader
	}
	last := logs[len(logs)-1].Index
	c.mu.Lock()
	defer c.mu.Unlock()
	if last <= c.mu.last { // a suffix was rewritten
		c.cutLocked(logs[0].Index)
	}
	c.mu.total += int64(bytes)
	c.mu.last = last
	if n := len(c.mu.marks); n == 0 || c.mu.total-c.mu.marks[n-1].total >= countEvery {
		c.mu.marks = append(c.mu.marks, byteMark{last, c.mu.total})
	}
	return bytes
}

func (c *byteCounts) cutLocked(from uint64) {
	n := sort.Search(len(c.mu.marks), func(i int) bool { return c.mu.marks[i].index >= from })
	c.mu.marks = c.mu.marks[:n]
}

// since returns about how many bytes were appended after index. Of what was there before the process
// started, only what follows the last snapshot is counted (logStore.warm).
func (c *byteCounts) since(index Index) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := sort.Search(len(c.mu.marks), func(i int) bool { return c.mu.marks[i].index > uint64(index) })
	if n == 0 {
		return c.mu.total
	}
	return c.mu.total - c.mu.marks[n-1].total
}

// entriesFor returns how many of the newest entries hold about the given bytes.
func (c *byteCounts) entriesFor(bytes int64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := c.mu.total - bytes
	n := sort.Search(len(c.mu.marks), func(i int) bool { return c.mu.marks[i].total > want })
	switch {
	case n > 0:
		return c.mu.last - c.mu.marks[n-1].index
	case len(c.mu.marks) > 0:
		return c.mu.last - c.mu.marks[0].index + 1
	}
	return 0
}

// forget drops the marks before index.
func (c *byteCounts) forget(index Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := sort.Search(len(c.mu.marks), func(i int) bool { return c.mu.marks[i].index >= uint64(index) })
	c.mu.marks = append([]byteMark(nil), c.mu.marks[max(n-1, 0):]...)
}
