package raftfsm

import (
	"errors"
	"testing"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// Each member knows who leads, who answers and where the others' Sentinel listeners are; the last leader is
// remembered when it is gone, and a member that has gone is no longer up. It is the same after a restart.
func TestRoster(t *testing.T) {
	g := newGroup(t, 3, Config{SentinelAddr: "s:1"})
	lead := g.leader()
	for _, m := range g.members {
		await(t, "the roster of "+m.cfg.Name, func() bool {
			r := m.Roster()
			known := 0
			for i := range r.Members {
				one := &r.Members[i]
				if one.SentinelAddr == "s:1" && one.ClientAddr == "client-of-"+one.Name && one.Up && !one.Learner {
					known++
				}
			}
			return known == 3 && r.HasLeader && r.Leader == lead.node.Self() && r.Find(r.Self) != nil
		})
		addr, elsewhere := m.LeaderElsewhere()
		if elsewhere != (m != lead) || elsewhere && addr != "client-of-"+lead.cfg.Name {
			t.Errorf("%s: the leader is at %q, %v", m.cfg.Name, addr, elsewhere)
		}
	}
	other, last := g.follower(), lead.node.Self()
	var third *member
	for _, m := range g.members {
		if m != lead && m != other {
			third = m
		}
	}
	lead.halt()
	third.halt()
	await(t, "the loss of the leader", func() bool { r := other.Roster(); return !r.HasLeader })
	if _, elsewhere := other.LeaderElsewhere(); elsewhere {
		t.Error("a leader is known without a quorum")
	}
	await(t, "the others to be down", func() bool {
		r := other.Roster()
		return r.Leader == last && !r.Find(last).Up && r.Find(r.Self).Up
	})
	third.start(t)
	await(t, "a leader again, the third to be up", func() bool {
		r := other.Roster()
		return r.HasLeader && r.Leader != last && r.Find(third.node.Self()).Up && !r.Find(last).Up
	})
}

// One question to a member is under way at a time; an answer, good or bad, allows the next.
func TestContacts(t *testing.T) {
	c := newContacts()
	const id cluster.MemberID = 7
	look := func() (m RosterMember) { m.ID = id; c.fill(&m); return m }
	if !look().Up {
		t.Error("a member that was never asked counts as down")
	}
	if !c.begin(id) || c.begin(id) {
		t.Error("asked twice")
	}
	c.end(id, append(make([]byte, 7), 9, 's'), nil)
	if m := look(); !m.Up || m.Applied != 9 || m.SentinelAddr != "s" {
		t.Errorf("after an answer: %+v", m)
	}
	if !c.begin(id) {
		t.Error("not asked again")
	}
	c.end(id, nil, errors.New("refused"))
	if m := look(); m.Up || m.SentinelAddr != "s" || m.Applied != 9 {
		t.Errorf("after a refusal: %+v", m)
	}
	c.end(id, []byte("short"), nil)
	if m := look(); m.Up {
		t.Errorf("after nonsense: %+v", m)
	}
	c.end(id, make([]byte, 8), nil)
	c.mu.Lock()
	k := c.mu.known[id]
	k.answered = time.Now().Add(-contactTimeout)
	c.mu.known[id] = k
	c.mu.Unlock()
	if m := look(); m.Up || m.SentinelAddr != "" {
		t.Errorf("after silence: %+v", m)
	}
}
