package main

import (
	"sync/atomic"
	"time"
)

// probe writes through a member that is not the leader, one write after the other, and measures the longest
// time without an acknowledgement.
type probe struct {
	conn     conn
	warm     chan struct{} // closed after the first writes
	watching atomic.Bool   // measure from now on
	lost     atomic.Bool   // the leader is gone: the next acknowledged write ends it
}

const (
	probeLimit = 100 * time.Millisecond // of one try: some systems never answer what the lost leader had taken
	probeWarm  = 100                    // writes before the leader is lost
	probeAfter = 200                    // and after
)

func newProbe(s *system) (*probe, error) {
	c, err := dialProbe(s, s.addrs[1])
	return &probe{conn: c, warm: make(chan struct{})}, err
}

func (p *probe) close() { p.conn.close() }

// run returns the longest interruption.
func (p *probe) run() (worst time.Duration) {
	last := time.Now()
	after := 0
	for written := 0; after < probeAfter; {
		if writeOnce(p.conn, probeLimit) != nil {
			continue
		}
		now := time.Now()
		if written++; written == probeWarm {
			close(p.warm)
		}
		if p.watching.Load() {
			worst = max(worst, now.Sub(last))
		}
		if last = now; p.lost.Load() {
			after++
		}
	}
	return worst
}
