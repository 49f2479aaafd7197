package raftfsm

import (
	"errors"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
)

// When writes have filled the queue, renewals and changes of users still get in.
func TestReservedLane(t *testing.T) {
	p := &proposer{stats: &Stats{}, limits: limits{queueBytes: 64 << 10, maxRequest: 64 << 10}}
	write := func(size int) error {
		s := &Submission{done: make(chan struct{}, 1)}
		s.AddTxn(put("k", strings.Repeat("v", size), mvcc.Expiry{}))
		return p.enqueue(s)
	}
	for write(1000) == nil {
	}
	if err := write(10); !errors.Is(err, ErrBusy) {
		for write(10) == nil {
		}
	}
	for name, fill := range map[string]func(*Submission){
		"renewal": func(s *Submission) { s.addLeaseRenew([]lease.Ref{{ID: 1}}) },
		"revoke":  func(s *Submission) { s.AddLeaseRevoke(1) },
		"expire":  func(s *Submission) { s.AddExpire([]mvcc.ExpireKey{{Key: "k", Mod: 1}}) },
		"users":   func(s *Submission) { s.AddUsers(0, []UserChange{setUser("u", "on")}) },
	} {
		s := &Submission{done: make(chan struct{}, 1)}
		if fill(s); p.enqueue(s) != nil {
			t.Errorf("%s found no room", name)
		}
	}
}
