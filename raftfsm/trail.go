package raftfsm

import (
	"sync"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// footprint is what the state was at the end of one log entry. Members that agree have equal footprints at
// equal indexes. The zero footprint says nothing.
type footprint struct {
	index    cluster.Index
	revision mvcc.Revision
	hash     uint64
}

// trailLength is how many entries back a member can say what its state was. Members are compared within
// milliseconds of each other; this is seconds of the heaviest load.
const trailLength = 1 << 14

// trail holds the footprints of the last entries applied. The state machine writes it, the guard reads it.
type trail struct {
	mu struct {
		sync.Mutex
		ring []footprint // that of entry i stands at i modulo its length
		last cluster.Index
	}
}

// mark notes what the state is after an entry.
func (m *machine) mark(index uint64) {
	revision, hash := m.store.Hash()
	m.trail.add(footprint{cluster.Index(index), revision, hash})
}

func (t *trail) add(f footprint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.ring == nil {
		t.mu.ring = make([]footprint, trailLength)
	}
	t.mu.ring[f.index%trailLength] = f
	t.mu.last = f.index
}

// at returns the footprint of an entry; the zero one if it is not known.
func (t *trail) at(index cluster.Index) footprint {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.ring == nil {
		return footprint{}
	}
	if f := t.mu.ring[index%trailLength]; f.index == index {
		return f
	}
	return footprint{}
}

// newest returns the footprint of the last entry; the zero one if there is none.
func (t *trail) newest() footprint {
	t.mu.Lock()
	last := t.mu.last
	t.mu.Unlock()
	return t.at(last)
}

// asOf returns the footprint of the entry, or the newest one if that is older.
func (t *trail) asOf(index cluster.Index) footprint {
	if f := t.newest(); f.index < index {
		return f
	}
	return t.at(index)
}

// forget drops everything: the state was replaced.
func (t *trail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.ring, t.mu.last = nil, 0
}
