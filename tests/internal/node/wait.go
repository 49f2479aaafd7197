package node

import (
	"testing"
	"time"
)

// Eventually waits until cond returns nil, and fails the test with the last error when d has passed.
func Eventually(t testing.TB, d time.Duration, what string, cond func() error) {
	t.Helper()
	if err := Poll(d, cond); err != nil {
		t.Fatalf("after %v still waiting: %s: %v", d, what, err)
	}
}

// Poll calls cond until it returns nil or d has passed, and returns its last answer.
func Poll(d time.Duration, cond func() error) error {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-tick.C:
		}
	}
}
