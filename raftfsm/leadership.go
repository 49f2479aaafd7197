package raftfsm

import (
	"encoding/binary"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// leadership follows who leads. When this node has won a term it proposes LeaderStart: until that is
// applied, here and on every other member, the term serves nothing. It also keeps this member's
// record in the log up to date, and watches the free space of the disk.
func (e *Engine) leadership() {
	defer e.wg.Done()
	changes := e.node.LeaderChanges()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var seen leaderSeen
	var looked time.Time
	for {
		e.startTerm()
		e.note(&seen)
		e.introduce()
		e.settle()
		if now := time.Now(); now.Sub(looked) >= time.Second {
			looked = now
			e.diskFree.Store(e.node.DiskFree())
		}
		select {
		case <-changes:
			wake(e.proposer.kick)
		case <-tick.C:
		case <-e.stop:
			return
		}
	}
}

// startTerm proposes LeaderStart in a term that this node leads and has not started yet. If its outcome
// does not show in time it is repeated at the next tick; a second one in the same term starts nothing
// (machine.announce).
func (e *Engine) startTerm() {
	term := e.node.Term()
	if !e.node.IsLeader() || e.machine.ready.Load() == uint64(term) {
		return
	}
	data := appendRequest(make([]byte, headerSize), ReqLeaderStart, func(b []byte) []byte {
		return binary.BigEndian.AppendUint64(b, uint64(e.node.Self()))
	})
	putHeader(data, Header{Term: term, Time: e.Now(), Count: 1})
	future := e.node.Apply(data)
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case <-future.Done():
	case <-limit.C:
	case <-e.stop:
	}
}

// leaderSeen is the leader last noted, to count changes.
type leaderSeen struct {
	id   cluster.MemberID
	term cluster.Term
}

func (e *Engine) note(seen *leaderSeen) {
	id, _, ok := e.node.Leader()
	term := e.node.Term()
	if !ok || uint64(term) != e.machine.ready.Load() {
		return
	}
	e.readyOnce.Do(func() { close(e.readyCh) })
	if now := (leaderSeen{id, term}); now != *seen {
		e.stats.LeaderChanges.Add(1)
		*seen = now
		e.log.Info("leader", "member", id.String(), "term", uint64(term), "self", id == e.node.Self())
	}
}

// introduce proposes this member's name and client address if the log has others.
func (e *Engine) introduce() {
	if _, ok := e.ownEntry(); !ok || e.IsRemoved() {
		return
	}
	own := memberRecord{ID: e.node.Self(), Name: e.cfg.Name, ClientAddr: e.cfg.ClientAddr}
	for _, m := range *e.machine.members.Load() {
		if m == own {
			return
		}
	}
	if e.introducing != nil {
		select {
		case <-e.introducing.Done():
			e.introducing = nil
		default:
		}
		return
	}
	e.introducing = e.NewSubmission()
	e.introducing.addMember(own)
	e.Submit(e.introducing)
}
