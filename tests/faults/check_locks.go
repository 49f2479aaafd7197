package faults

import (
	"fmt"
	"slices"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// lockWork is what the checks of locks had to work with.
type lockWork struct {
	turns, writes, lost, late, inVain int
	proclaims                         int
	left, kept                        int // places of those who went away while they waited: freed, or not
	handOvers                         []time.Duration
}

// The least that a run with lock clients must have done.
const (
	minTurns     = 200
	minLate      = 20
	minHandOvers = 50
	minLeft      = 5
	minProclaims = 20
	// handOverTime is what half of all hand-overs take at most, faults included. A waiter that is not woken
	// looks for itself when it renews its lease, three times in its TTL.
	handOverTime = 200 * time.Millisecond
)

// checkLocks checks what lock clients were told against the journal, and the journal against the rules: no
// fenced write of one who does not hold, tokens rise, who was told to hold held, and what was
// acknowledged or refused is in the journal or is not.
//
// REQUIRES: the journal is complete, and every lease has ended.
func checkLocks(j *journal, turns []*turn, gone []string) (work lockWork, err error) {
	w, err := j.replay()
	if err != nil {
		return work, err
	}
	for name, q := range w.queues {
		if len(q) > 0 {
			return work, fmt.Errorf("%s is stuck: %s with token %d is still in its queue", name, q[0].key, q[0].token)
		}
	}
	releases := map[int64]int64{}
	for _, t := range turns {
		if t.released != 0 {
			releases[t.token] = t.released
		}
		if err := w.checkTurn(t, &work); err != nil {
			return work, fmt.Errorf("%s, token %d: %w", t.key, t.token, err)
		}
	}
	for _, t := range turns {
		if from := releases[w.places[t.token].predecessor]; from != 0 && t.got > from {
			work.handOvers = append(work.handOvers, time.Duration(t.got-from))
		}
	}
	w.countGone(gone, &work)
	work.proclaims = w.proclaims
	return work, checkOrder(turns)
}

// checkTurn checks one place that a client was told to hold.
func (w *replayed) checkTurn(t *turn, work *lockWork) error {
	work.turns++
	p := w.places[t.token]
	switch {
	case p == nil || p.key != t.key:
		return fmt.Errorf("the place was never written")
	case !p.held:
		return fmt.Errorf("the client was told to hold, and never did")
	case t.released != 0 && p.ended != "delete":
		return fmt.Errorf("released, and yet it ended as %q", p.ended)
	case t.lostAt != 0 && !t.giving && p.ended != "expire":
		return fmt.Errorf("answered LOCKLOST before it was given back, and ended as %q", p.ended)
	case t.lostAt != 0 && t.lostAt < t.promised && p.ended == "expire":
		return fmt.Errorf("its lease ended %v before its time", time.Duration(t.promised-t.lostAt))
	}
	if t.lostAt != 0 {
		work.lost++
	}
	for _, f := range t.writes {
		revision, there := w.values[f.value]
		switch {
		case f.fate == done && !there:
			return fmt.Errorf("the write %q was acknowledged and is lost", f.value)
		case f.fate == refused && there:
			return fmt.Errorf("the write %q was refused and was done at revision %d", f.value, revision)
		case f.fate == done:
			work.writes++
		}
	}
	return nil
}

// countGone sorts the places of clients that went away while they waited.
func (w *replayed) countGone(gone []string, work *lockWork) {
	left := map[string]bool{}
	for _, value := range gone {
		left[value] = true
	}
	for _, p := range w.places {
		switch {
		case !left[p.value] || !p.waited:
		case !p.held && p.ended == "delete":
			work.left++
		case p.ended == "expire":
			work.kept++
		}
	}
}

// checkOrder demands that tokens rise in real time: who asks after another was told its token gets a greater
// one, if the place is a new one.
func checkOrder(turns []*turn) error {
	byCall := slices.Clone(turns)
	slices.SortFunc(byCall, func(a, b *turn) int { return compare(a.call, b.call) })
	byEnd := slices.Clone(turns)
	slices.SortFunc(byEnd, func(a, b *turn) int { return compare(a.got, b.got) })
	highest := map[string]int64{}
	for _, t := range byCall {
		for len(byEnd) > 0 && byEnd[0].got < t.call {
			highest[byEnd[0].name] = max(highest[byEnd[0].name], byEnd[0].token)
			byEnd = byEnd[1:]
		}
		if t.token <= highest[t.name] {
			return fmt.Errorf("%s: token %d was given after token %d", t.name, t.token, highest[t.name])
		}
	}
	return nil
}

// lack says what was too little to mean anything, or too slow.
func (work *lockWork) lack() (out []error) {
	say := func(format string, args ...any) { out = append(out, fmt.Errorf(format, args...)) }
	if work.turns < minTurns || work.writes < minTurns || work.late < minLate {
		say("too little work: %d turns at locks, %d fenced writes, %d uses of old tokens", work.turns, work.writes,
			work.late)
	}
	if len(work.handOvers) < minHandOvers {
		say("too little work: %d hand-overs, want %d", len(work.handOvers), minHandOvers)
	} else if p50 := work.handOver(2); p50 > handOverTime {
		say("half of %d hand-overs took longer than %v", len(work.handOvers), p50)
	}
	if work.proclaims < minProclaims {
		say("too little work: %d proclamations, want %d", work.proclaims, minProclaims)
	}
	if work.left < minLeft || work.kept > work.left {
		say("of the places of clients that went away while they waited %d were freed, %d were not", work.left,
			work.kept)
	}
	return out
}

// handOver is the quantile 1/n from above.
func (work *lockWork) handOver(n int) time.Duration {
	if len(work.handOvers) == 0 {
		return 0
	}
	slices.Sort(work.handOvers)
	return work.handOvers[len(work.handOvers)-1-len(work.handOvers)/n]
}

func (work *lockWork) String() string {
	return fmt.Sprintf("%d turns at locks and elections, %d fenced writes and %d proclamations, %d locks lost, "+
		"%d uses of old tokens refused, %d waits in vain, %d places freed by clients that went away (%d kept); "+
		"hand-over p50 %v, p95 %v",
		work.turns, work.writes-work.proclaims, work.proclaims, work.lost, work.late, work.inVain, work.left,
		work.kept,
		work.handOver(2).Round(10*time.Microsecond), work.handOver(20).Round(10*time.Microsecond))
}

// settleLocks waits until every lease and every borrowed lock has ended and every lock is free, takes each
// once more, each through another node, and completes the journal.
func (r *run) settleLocks(w *world) {
	w.t.Helper()
	first := w.cluster.Nodes[0].ClientAddr
	node.Eventually(w.t, 20*time.Second, "no lease and no borrowed lock is left", func() error {
		for _, args := range [][]string{{"LEASE.LIST"}, {"KEYS", "borrowed:*"}} {
			if r, err := wire.Once(first, clientTimeout, args...); err != nil || r.IsErr() || len(r.Elems) > 0 {
				return fmt.Errorf("%v: %s, %v", args, r, err)
			}
		}
		return nil
	})
	for i := range max(lockNames, len(w.cluster.Nodes)) {
		name := turnPrefix + string(rune('a'+i%lockNames))
		node.Eventually(w.t, 5*time.Second, name+" is free", func() error {
			return lockIsFree(w.cluster.Nodes[i%len(w.cluster.Nodes)].ClientAddr, name)
		})
	}
	for i := range elections {
		name := turnPrefix + string(rune('m'+i))
		node.Eventually(w.t, 5*time.Second, name+" has no leader", func() error {
			if r, err := wire.Once(first, clientTimeout, "ELECTION.LEADER", name); err != nil || !r.Null {
				return fmt.Errorf("ELECTION.LEADER: %s, %v", r, err)
			}
			return nil
		})
	}
	node.Eventually(w.t, 20*time.Second, "the journal of the locks", func() error {
		return r.journal.collect(first)
	})
}

func lockIsFree(addr, name string) error {
	r, err := wire.Once(addr, clientTimeout, "LOCK.INFO", name)
	if err != nil {
		return err
	}
	for _, field := range []string{"holders", "waiters"} {
		if list, ok := r.Field(field); !ok || len(list.Elems) > 0 {
			return fmt.Errorf("%s: %s", field, r)
		}
	}
	r, err = wire.Once(addr, clientTimeout, "LOCK.ACQUIRE", name, "VALUE", "x")
	if err != nil || len(r.Elems) != 3 {
		return fmt.Errorf("LOCK.ACQUIRE: %s, %v", r, err)
	}
	r, err = wire.Once(addr, clientTimeout, "LOCK.RELEASE", name, r.Elems[1].Text)
	if err == nil && r.Text != "OK" {
		err = fmt.Errorf("LOCK.RELEASE: %s", r)
	}
	return err
}
