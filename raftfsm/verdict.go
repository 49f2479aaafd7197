package raftfsm

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// Who is at fault when members differ? Those who differ from a majority of the voters, learners and the
// leader included. Each of them gets the alarm CORRUPT with its id, through the log, and fences itself off
// when it applies that: it answers no command that shows or changes the state. A leader that is at fault
// raises the alarm against itself and hands over.
//
// If no footprint has a majority, as with two members, nobody knows who is right. After some rounds, a second
// apart, the alarm is raised with member 0 and all members fence themselves off: no service is better than
// one of two truths. The comparison goes on, and when a majority is back it replaces that alarm by those that
// it can decide.

const (
	// verdictWait bounds how long the members' answers are waited for.
	verdictWait = 500 * time.Millisecond
	// patience is how many rounds in a row may find no majority before all are fenced off.
	patience = 3
)

// doubts counts rounds in a row that found no majority for any footprint. Every member's answer is compared,
// but a round is a tick of the guard: however many members differ, it counts once. A round whose comparisons
// found nothing but agreement ends the row; one in which nobody answered says nothing.
type doubts struct {
	rounds          int
	doubted, agreed bool // in this round
}

func (d *doubts) nextRound() {
	if d.agreed && !d.doubted {
		d.rounds = 0
	}
	d.doubted, d.agreed = false, false
}

// add counts a comparison without a majority and returns for how many rounds that has been so.
func (d *doubts) add() int {
	if !d.doubted {
		d.doubted = true
		d.rounds++
	}
	return d.rounds
}

// compare holds one member's footprint against this leader's own.
func (g *guard) compare(v vitals) {
	e := g.engine
	own := e.machine.trail.at(v.print.index)
	if own.index == 0 || !e.leading() || e.accused() {
		return
	}
	if own == v.print {
		g.agreed.Store(max(g.agreed.Load(), uint64(own.index)))
		g.doubts.agreed = true
		if !containsAlarm(e.replicatedAlarms(), Alarm{Kind: AlarmCorrupt}) {
			return
		}
	} else {
		g.differing.Add(1)
	}
	if containsAlarm(e.replicatedAlarms(), Alarm{Kind: AlarmCorrupt, Member: v.from}) {
		return // known: it stays fenced off until it is disarmed
	}
	g.judge(g.gather(own))
}

// gather asks every member for its footprint at the entry of own.
func (g *guard) gather(own footprint) map[cluster.MemberID]footprint {
	e := g.engine
	members := e.node.Members()
	prints := map[cluster.MemberID]footprint{e.node.Self(): own}
	answers, open := make(chan vitals, len(members)), 0
	for _, m := range members {
		if m.ID != e.node.Self() {
			open++
			g.ask(m.ID, own.index, func(_ cluster.MemberID, v vitals) { answers <- v })
		}
	}
	limit := time.NewTimer(verdictWait)
	defer limit.Stop()
	for ; open > 0; open-- {
		select {
		case v := <-answers:
			if v.print.index == own.index {
				prints[v.from] = v.print
			}
		case <-limit.C:
			return prints
		case <-e.stop:
			return nil
		}
	}
	return prints
}

// accusation is one member to be fenced off, and why.
type accusation struct {
	member cluster.MemberID
	detail string
}

// findFault says who differs from the majority of the voters; ok is false iff no footprint has one.
func findFault(prints map[cluster.MemberID]footprint, voters []cluster.MemberID) (at []accusation, ok bool) {
	votes := map[footprint]int{}
	for _, id := range voters {
		if f := prints[id]; f.index != 0 {
			votes[f]++
		}
	}
	var right footprint
	for f, n := range votes {
		if n > len(voters)/2 {
			right = f
		}
	}
	if right.index == 0 {
		return nil, false
	}
	for _, id := range slices.Sorted(maps.Keys(prints)) {
		if f := prints[id]; f != right {
			at = append(at, accusation{id, fmt.Sprintf("at log index %d it has revision %d with hash %016x, "+
				"the majority revision %d with %016x", f.index, f.revision, f.hash, right.revision, right.hash)})
		}
	}
	return at, true
}

// judge turns footprints of one entry into alarms. Those that are up already change nothing.
func (g *guard) judge(prints map[cluster.MemberID]footprint) {
	e := g.engine
	if len(prints) == 0 {
		return
	}
	at, ok := findFault(prints, e.node.Voters())
	sub := e.NewSubmission()
	if !ok && allEqual(prints) {
		return // too few answered to tell anything
	}
	if !ok {
		if g.doubts.add() < patience {
			return
		}
		sub.addAlarmRaise(AlarmCorrupt, 0, "members differ, and no majority says which is right: "+describe(prints))
	} else if containsAlarm(e.replicatedAlarms(), Alarm{Kind: AlarmCorrupt}) {
		sub.addAlarmClear(AlarmCorrupt, 0)
	}
	g.doubts = doubts{}
	for _, a := range at {
		sub.addAlarmRaise(AlarmCorrupt, a.member, a.detail)
	}
	if sub.Len() == 0 {
		return
	}
	e.Submit(sub)
	<-sub.Done() // comes within the request timeout, and when the engine closes
	if err := sub.Err(); err != nil {
		e.log.Warn("the alarm could not be raised, it will be tried again", "error", err)
	}
}

func allEqual(prints map[cluster.MemberID]footprint) bool {
	seen := map[footprint]bool{}
	for _, f := range prints {
		seen[f] = true
	}
	return len(seen) <= 1
}

func describe(prints map[cluster.MemberID]footprint) (text string) {
	for _, id := range slices.Sorted(maps.Keys(prints)) {
		text += fmt.Sprintf("%s has revision %d with hash %016x; ", id, prints[id].revision, prints[id].hash)
	}
	return text
}

func (e *Engine) replicatedAlarms() []Alarm { return *e.machine.alarms.Load() }

// accused reports whether an alarm says that this very member is at fault.
func (e *Engine) accused() bool {
	return containsAlarm(e.replicatedAlarms(), Alarm{Kind: AlarmCorrupt, Member: e.node.Self()})
}

// Compared returns up to which log index another member was last found to have this leader's state, and how
// many comparisons found a difference. Both are 0 on a member that has not led.
func (e *Engine) Compared() (agreed cluster.Index, differing uint64) {
	return cluster.Index(e.guard.agreed.Load()), e.guard.differing.Load()
}
