package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// The garbage collector's pace follows the size of the live heap.
//
// Go collects when the heap has grown by GOGC per cent (100) since the last collection. That is wrong at
// both ends here. A fresh node lives in a few megabytes and would collect dozens of times a second under
// load, for nothing. A node with a million keys would use twice the memory of its data. So the room for
// garbage is chosen in bytes:
//
//	room = max(smallRoom, live * largeShare)
//	GOGC = room / live, within [lowest, highest]
//
// The measured live heap changes only with a collection, so the pace is set once per collection, by an object
// whose only purpose is to be collected each time.
//
// A node that has become idle would keep its last garbage for two minutes, and free memory for longer. So
// every idleTick, if next to nothing was allocated since the last and much of the heap is garbage or free, it
// is collected and given back. Not sooner: memory that is taken again costs a page fault for each 4 KiB, and
// a node whose load comes in bursts would pay that with each of them.
//
// Rejected: a memory limit (debug.SetMemoryLimit). It makes the collector run without end when the data
// alone comes near the limit; the quota of the store is the limit that can say no to a client.
//
// Drawback: at a large heap a collection comes after 80 % growth instead of 100 %, so marking costs a quarter
// more, and a busy node may hold nearly twice its live heap; once it is idle, that is given back. The live
// heap is more than what the quota and the history's bound count: docs/OPERATIONS.md, "Sizing", has figures.
const (
	smallRoom   = 192 << 20
	largeShare  = 0.8
	lowestGOGC  = 80
	highestGOGC = 4800

	idleTick   = 15 * time.Second
	idleAllocs = 32 << 20 // per tick
	idleWaste  = 16 << 20
	wasteShare = 0.05 // of the live heap
)

// gcTuner runs from startGCTuner to stop.
type gcTuner struct {
	percent atomic.Int64 // in force
	over    chan struct{}
	ended   chan struct{} // the goroutine of collectWhenIdle has
}

// startGCTuner returns nil, and changes nothing, when the operator has set GOGC or GOMEMLIMIT.
func startGCTuner() *gcTuner {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	t := &gcTuner{over: make(chan struct{}), ended: make(chan struct{})}
	t.adapt()
	t.arm()
	go t.collectWhenIdle()
	return t
}

// stop leaves the pace as it is. A nil tuner may be stopped.
func (t *gcTuner) stop() {
	if t != nil {
		close(t.over)
		<-t.ended
	}
}

// arm makes the next collection call adapt.
func (t *gcTuner) arm() {
	sentinel := new([16]byte)
	runtime.SetFinalizer(sentinel, func(*[16]byte) {
		select {
		case <-t.over:
		default:
			t.adapt()
			t.arm()
		}
	})
}

// adapt sets the pace for the live heap of now. Small changes are left alone: setting it stops the world
// briefly.
func (t *gcTuner) adapt() {
	want := gcPercent(readHeap().live)
	if have := t.percent.Load(); want*10 < have*9 || want*9 > have*10 {
		t.percent.Store(want)
		debug.SetGCPercent(int(want))
	}
}

func (t *gcTuner) collectWhenIdle() {
	defer close(t.ended)
	tick := time.NewTicker(idleTick)
	defer tick.Stop()
	last := readHeap()
	for {
		select {
		case <-t.over:
			return
		case <-tick.C:
		}
		now := readHeap()
		if now.worthCollecting(last) {
			debug.FreeOSMemory()
			now = readHeap()
		}
		last = now
	}
}

// heap is a look at the memory, in bytes.
type heap struct {
	live      uint64 // found by the last collection
	objects   uint64 // live and garbage
	free      uint64 // held for later
	allocated uint64 // since the process began
}

func readHeap() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(s)
	return heap{
		live: s[0].Value.Uint64(), objects: s[1].Value.Uint64(),
		free: s[2].Value.Uint64(), allocated: s[3].Value.Uint64(),
	}
}

// worthCollecting reports whether the process has been idle since last and holds much that is of no use.
func (h heap) worthCollecting(last heap) bool {
	limit := float64(h.live) + max(idleWaste, float64(h.live)*wasteShare)
	return h.allocated-last.allocated < idleAllocs && float64(h.objects+h.free) > limit
}

// gcPercent is the GOGC for a live heap of so many bytes.
func gcPercent(live uint64) int64 {
	room := max(smallRoom, float64(live)*largeShare)
	percent := room / float64(max(live, 1)) * 100
	return int64(min(max(percent, lowestGOGC), highestGOGC))
}
