package raftfsm

import (
	"sync/atomic"
	"time"
)

// Stats are counters since the start of the process, for INFO and metrics. All are safe for concurrent use.
type Stats struct {
	Batches       atomic.Uint64 // sealed here
	Requests      atomic.Uint64 // in those batches
	BatchBytes    atomic.Uint64
	Forwarded     atomic.Uint64 // batches sent to a leader elsewhere
	Busy          atomic.Uint64 // submissions refused for too much waiting
	Uncertain     atomic.Uint64 // submissions whose outcome did not show in time
	Rounds        atomic.Uint64 // read-barrier rounds
	Reads         atomic.Uint64 // reads that shared them
	Entries       atomic.Uint64 // log entries applied
	ApplyNanos    atomic.Uint64 // time spent applying them
	Expired       atomic.Uint64 // keys whose deadline passed
	LeaderChanges atomic.Uint64 // seen by this node

	// OnBatch and OnApply, when set before Start, observe each batch sealed and each group of entries
	// applied. They must be quick.
	OnBatch func(requests, bytes int)
	OnApply func(entries int, took time.Duration)
}

func (s *Stats) batch(requests, bytes int) {
	s.Batches.Add(1)
	s.Requests.Add(uint64(requests))
	s.BatchBytes.Add(uint64(bytes))
	if s.OnBatch != nil {
		s.OnBatch(requests, bytes)
	}
}

func (s *Stats) applied(entries int, took time.Duration) {
	s.Entries.Add(uint64(entries))
	s.ApplyNanos.Add(uint64(took))
	if s.OnApply != nil {
		s.OnApply(entries, took)
	}
}
