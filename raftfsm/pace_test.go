package raftfsm

import (
	"io"
	"strings"
	"testing"
	"time"
)

// The pauses add up to longRest times the processor time used, later to shortRest times, and none is shorter
// than is worth it.
func TestPacedReader(t *testing.T) {
	var used, paused time.Duration
	r := &pacedReader{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 1000))),
		used: func() time.Duration { return used }, since: func() time.Duration { return used + paused },
		pause: func(d time.Duration) {
			if d < leastPause {
				t.Errorf("paused for %v", d)
			}
			paused += d
		}}
	b := make([]byte, 1)
	for range 1000 {
		if _, err := r.Read(b); err != nil {
			t.Fatal(err)
		}
		used += 3 * time.Millisecond
	}
	gentle := time.Duration(restTime / (1 + longRest)) // of the work
	want := time.Duration(float64(gentle)*longRest + float64(used-gentle)*shortRest)
	if paused > want+50*time.Millisecond || paused < want-50*time.Millisecond {
		t.Errorf("%v of work, %v of pauses, want %v", used, paused, want)
	}
	if threadTime() == 0 {
		t.Error("the system does not tell the processor time")
	}
}
