package raftfsm

import (
	"errors"
	"fmt"
	"testing"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
)

// A lease is said to be unknown only when it has ended: its key is gone then.
func TestUnknownMeansEnded(t *testing.T) {
	g := newGroup(t, 3, Config{})
	m := g.leader()
	const n = 40
	for id := range mvcc.LeaseID(n) {
		m.grant(t, id+1, 200)
	}
	ended := make(chan error, n)
	for id := range mvcc.LeaseID(n) {
		go func() { ended <- m.askAtTheEnd(id + 1) }()
	}
	for range n {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	g.sameState()
}

// askAtTheEnd renews a lease exactly when its time is over, until it is unknown.
func (m *member) askAtTheEnd(id mvcc.LeaseID) error {
	over := lease.Millis(1)
	for {
		a, err := m.ask(LeaseAsk{ID: id, Renew: over == 0})
		switch {
		case err != nil:
			return err
		case a[0].Found:
			over = a[0].Left
			continue
		case m.Leases().Granted(id) && m.leading(): // a follower may be behind
			return fmt.Errorf("lease %d is said to be unknown and is still granted", id)
		}
		if rec, err := m.read(fmt.Sprint("on", id)); err != nil || rec.Exists() {
			return errors.Join(err, fmt.Errorf("the key of lease %d is still there", id))
		}
		return nil
	}
}
