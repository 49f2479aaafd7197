package raftfsm

import (
	"io"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A node that joins is in no hurry: what it does before it is a member that counts takes processor time from
// whoever shares its machine, and nobody waits for it. Building the state from the leader's snapshot is most
// of that. So it pauses between blocks: for longRest times as long as it has computed, and when that has gone
// on for restTime, for shortRest times, so that a node with much to load does not join much later.
//
// What counts is processor time of the thread, not time on the wall: on a busy machine the latter grows by
// what the others do, and the pauses would grow with it. So the whole takes at most restTime longer than
// 1+shortRest times as long as without pauses.
//
// Rejected: a lower priority of the process, which a process without privileges cannot take back. The
// drawback: on a machine of its own the node joins later than it could.
type pacedReader struct {
	io.ReadCloser
	used  func() time.Duration // processor time of this thread
	since func() time.Duration // it was opened
	pause func(time.Duration)
	last  time.Duration
	owed  time.Duration
}

const (
	longRest  = 6.0
	shortRest = 2.0
	restTime  = 8 * time.Second
	// leastPause is the shortest worth the change of threads.
	leastPause = 2 * time.Millisecond
)

// paced wraps the reader of a snapshot; free ends what it holds. The caller stays on its thread until then.
func paced(in io.ReadCloser) (r *pacedReader, free func()) {
	runtime.LockOSThread()
	opened := time.Now()
	since := func() time.Duration { return time.Since(opened) }
	r = &pacedReader{ReadCloser: in, used: threadTime, since: since, pause: rest}
	r.last = r.used()
	return r, runtime.UnlockOSThread
}

// Read first pauses for what has been computed since the last one.
func (r *pacedReader) Read(b []byte) (int, error) {
	now := r.used()
	times := longRest
	if r.since() > restTime {
		times = shortRest
	}
	r.owed += time.Duration(float64(now-r.last) * times)
	r.last = now
	if r.owed >= leastPause {
		r.pause(r.owed)
		r.owed = 0
	}
	return r.ReadCloser.Read(b)
}

func rest(d time.Duration) { <-time.NewTimer(d).C }

// threadTime is the processor time that the calling thread has used; 0 if the system does not tell.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
