package raftfsm

import (
	"testing"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// A patient submission shares the round that another begins, in front of it if it came first; alone it begins
// its own when its patience is over.
func TestPatientSubmissionsShareARound(t *testing.T) {
	g := newGroup(t, 1, Config{patience: time.Hour})
	m := g.leader()
	await(t, "the node's own entries", func() bool { return len(*m.machine.members.Load()) == 1 })
	patient := m.NewSubmission()
	patient.Patient = true
	patient.AddTxn(put("place", "1", mvcc.Expiry{}))
	m.Submit(patient)
	m.proposer.mu.Lock()
	waiting := len(m.proposer.mu.queue)
	m.proposer.mu.Unlock()
	if waiting != 1 {
		t.Errorf("%d submissions wait: the patient one has begun a round", waiting)
	}
	if _, err := m.do(put("release", "1", mvcc.Expiry{})); err != nil {
		t.Fatal(err)
	}
	if _, over := fateNow(patient); !over {
		t.Fatal("the patient one was left behind")
	}

	g = newGroup(t, 1, Config{})
	m = g.leader()
	alone := m.NewSubmission()
	alone.Patient = true
	alone.AddTxn(put("place", "1", mvcc.Expiry{}))
	m.Submit(alone)
	select {
	case <-alone.Done():
	case <-time.After(4 * time.Second):
		t.Fatal("alone, it waits for ever")
	}
	if err := alone.Err(); err != nil {
		t.Error(err)
	}
}
