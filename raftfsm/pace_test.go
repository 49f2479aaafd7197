package raftfsm

import (
	"io"
	"strings"
	"testing"
	"time"
)

// The pauses add up to paceRest times the processor time used, and none is shorter than is worth it.
func TestPacedReader(t *testing.T) {
	var used, paused time.Duration
	r := &pacedReader{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 1000))),
		used: func() time.Duration { return used }, pause: func(d time.Duration) {
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
		used += 300 * time.Microsecond
	}
	want := time.Duration(float64(used) * paceRest)
	if paused > want || paused < want-leastPause-time.Millisecond {
		t.Errorf("%v of work, %v of pauses, want %v", used, paused, want)
	}
	if threadTime() == 0 {
		t.Error("the system does not tell the processor time")
	}
}
