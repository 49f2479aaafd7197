package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// entryCache keeps the newest log entries, bounded by bytes, so that replication and apply do not read the
// disk.
//
// raft.LogCache is not used: it is bounded by count (512 packed entries are 128 MB), keeps pointers into
// raft's futures and is dropped wholesale by every DeleteRange. This one copies the Log struct; the data is
// shared, nobody changes it.
//
// Invariants:
//
//	C1  entries are consecutive: ring[i].Index == first+i
//	C2  bytes == sum of their sizes, and <= limit unless there is a single entry
//	C3  every entry equals the one on disk: it is put after the write and removed before the deletion
type entryCache struct {
	limit int64 // fixed

	mu struct {
		sync.Mutex
		ring  []raft.Log // power of two
		head  int        // position of the oldest
		n     int
		bytes int64
	}
}

// entryOverhead counts the struct and the allocation beside an entry's data.
const entryOverhead = 128

func newEntryCache(limit int64) *entryCache { return &entryCache{limit: limit} }

func entryBytes(l *raft.Log) int64 { return int64(len(l.Data)+len(l.Extensions)) + entryOverhead }

func (c *entryCache) get(index uint64, l *raft.Log) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.n == 0 || index < c.firstLocked() || index > c.lastLocked() {
		return false
	}
	*l = *c.atLocked(int(index - c.firstLocked()))
	return true
}

func (c *entryCache) put(logs []*raft.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range logs {
		c.putLocked(l)
	}
}

func (c *entryCache) putLocked(l *raft.Log) {
	if c.mu.n > 0 && l.Index != c.lastLocked()+1 { // a rewrite or a gap
		c.truncateLocked(l.Index)
		if c.mu.n > 0 && l.Index != c.lastLocked()+1 {
			c.truncateLocked(0)
		}
	}
	if c.mu.n == len(c.mu.ring) {
		c.growLocked()
	}
	c.mu.n++
	*c.atLocked(c.mu.n - 1) = *l
	c.mu.bytes += entryBytes(l)
	for c.mu.bytes > c.limit && c.mu.n > 1 {
		c.dropOldestLocked()
	}
}

// deleteRange forgets [from, to].
func (c *entryCache) deleteRange(from, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.n == 0 || to < c.firstLocked() || from > c.lastLocked() {
		return
	}
	if to >= c.lastLocked() || from > c.firstLocked() {
		c.truncateLocked(from)
		return
	}
	for c.mu.n > 0 && c.firstLocked() <= to {
		c.dropOldestLocked()
	}
}

func (c *entryCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.bytes
}

func (c *entryCache) atLocked(i int) *raft.Log { return &c.mu.ring[(c.mu.head+i)&(len(c.mu.ring)-1)] }
func (c *entryCache) firstLocked() uint64      { return c.atLocked(0).Index }
func (c *entryCache) lastLocked() uint64       { return c.atLocked(c.mu.n - 1).Index }

func (c *entryCache) dropOldestLocked() {
	c.mu.bytes -= entryBytes(c.atLocked(0))
	*c.atLocked(0) = raft.Log{}
	c.mu.head = (c.mu.head + 1) & (len(c.mu.ring) - 1)
	c.mu.n--
}

// truncateLocked forgets every entry from index on.
func (c *entryCache) truncateLocked(index uint64) {
	for c.mu.n > 0 && c.lastLocked() >= index {
		c.mu.bytes -= entryBytes(c.atLocked(c.mu.n - 1))
		*c.atLocked(c.mu.n - 1) = raft.Log{}
		c.mu.n--
	}
}

func (c *entryCache) growLocked() {
	next := make([]raft.Log, max(64, 2*len(c.mu.ring)))
	for i := range c.mu.n {
		next[i] = *c.atLocked(i)
	}
	c.mu.ring, c.mu.head = next, 0
}
