package raftfsm

import (
	"testing"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// quietMember leads a cluster of one, and has nothing of its own to write any more.
func quietMember(t *testing.T, cfg Config) *member {
	m := newGroup(t, 1, cfg).leader()
	await(t, "the node's own entries", func() bool { return len(*m.machine.members.Load()) == 1 })
	return m
}

// A patient submission shares the round that another begins, in front of it if it came first; alone it begins
// its own when its patience is over.
func TestPatientSubmissionsShareARound(t *testing.T) {
	m := quietMember(t, Config{patience: time.Hour})
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

	m = quietMember(t, Config{})
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
