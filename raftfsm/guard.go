package raftfsm

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// The guard watches this member and, when it leads, compares the members' states.
//
// Idea. Once a second each member examines itself and asks every other for its vitals. The leader's
// question names the last entry it has applied; each answer brings the footprint of that entry, or of an
// earlier one if the member is not so far. The leader holds it against its own at the same entry. State is
// a function of the log, so a difference is a defect: of memory, of a disk that lies, of our code. Then it
// asks all members once more, for that very entry, and counts (verdict.go).
//
// The comparison costs one small message per member and second, and a few numbers per log entry: always on.
//
// Invariants.
//  1. Only footprints of the same entry are compared. An entry is the same everywhere once it is applied.
//  2. Nobody is accused without a majority of the voters having one footprint.
//  3. At most one question per member is under way, so that a member that does not answer costs nothing.
//
// Rejected: asking for the hash at a revision (a member that differs may not have that revision at all), and
// comparing while entries are applied (it would need an entry of its own in the log each time). Drawback: a
// member that is further behind than the trail reaches is not compared until it has caught up; and up to a
// second passes in which a member that differs is still served from.
type guard struct {
	engine  *Engine
	answers chan vitals
	changed chan struct{} // replicated alarms were raised or disarmed
	fenced  bool          // OnFence has run; of the guard's goroutine
	seen    []Alarm       // all that was up when the guard last looked; of its goroutine

	agreed    atomic.Uint64 // index at which a member was last found equal
	differing atomic.Uint64 // comparisons that found a difference
	leaderLow atomic.Bool   // the leader's disk is nearly full

	doubts    doubts    // of the guard's goroutine
	handedOff time.Time // when leadership was last given up

	mu struct {
		sync.Mutex
		list   []Alarm // own
		others map[cluster.MemberID]vitals
		asking map[cluster.MemberID]bool
	}
}

const (
	guardTick = time.Second
	// vitalsAge is how long a member's word holds after it was heard.
	vitalsAge = 5 * time.Second
	// handOffPause is how long a leader that should not lead waits before it tries again to be rid of it.
	handOffPause = 10 * time.Second
)

func newGuard(e *Engine) *guard {
	g := &guard{engine: e, answers: make(chan vitals, 16), changed: make(chan struct{}, 1)}
	g.mu.others, g.mu.asking = map[cluster.MemberID]vitals{}, map[cluster.MemberID]bool{}
	return g
}

// run is the guard's goroutine.
func (g *guard) run() {
	e := g.engine
	defer e.wg.Done()
	tick := time.NewTicker(guardTick)
	defer tick.Stop()
	g.look(time.Now())
	for {
		select {
		case now := <-tick.C:
			g.doubts.nextRound()
			g.look(now)
			g.askAll()
			g.yield(now)
		case v := <-g.answers:
			g.compare(v)
		case <-g.changed:
			g.look(time.Now())
		case <-e.stop:
			return
		}
	}
}

// alarmed is called by the state machine.
func (g *guard) alarmed() { wake(g.changed) }

// look examines this member, says in the log what began and what ended, and fences the member off or lets it
// serve again.
func (g *guard) look(now time.Time) {
	e := g.engine
	list := e.examine(now, g.own())
	g.mu.Lock()
	g.mu.list = list
	g.mu.Unlock()
	g.say(append(slices.Clone(e.replicatedAlarms()), list...))
	leader, _, ok := e.node.Leader()
	said := g.heard(leader, now)
	g.leaderLow.Store(ok && containsAlarm(said.list, Alarm{Kind: AlarmDiskFull, Member: leader}))
	fenced := e.Fenced() != nil
	if fenced && !g.fenced && e.cfg.OnFence != nil {
		e.cfg.OnFence()
	}
	g.fenced = fenced
}

func (g *guard) say(list []Alarm) {
	for _, a := range list {
		if !containsAlarm(g.seen, a) {
			g.engine.log.Warn("alarm", "alarm", a.Kind.String(), "member", a.Member.String(), "detail", a.Detail)
		}
	}
	for _, a := range g.seen {
		if !containsAlarm(list, a) {
			g.engine.log.Info("alarm is over", "alarm", a.Kind.String(), "member", a.Member.String())
		}
	}
	g.seen = list
}

func containsAlarm(list []Alarm, a Alarm) bool {
	return slices.ContainsFunc(list, func(b Alarm) bool { return compareAlarms(a, b) == 0 })
}

// own returns this member's conditions. The caller must not change them.
func (g *guard) own() []Alarm {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.list
}

// heard returns what a member said last; nothing if that is too long ago.
func (g *guard) heard(from cluster.MemberID, now time.Time) vitals {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.mu.others[from]; now.Sub(v.at) < vitalsAge {
		return v
	}
	return vitals{}
}

// conditions returns this member's conditions and those that others told of lately.
func (g *guard) conditions(now time.Time) []Alarm {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := slices.Clone(g.mu.list)
	for id, v := range g.mu.others {
		if now.Sub(v.at) < vitalsAge {
			list = append(list, v.list...)
		} else {
			delete(g.mu.others, id)
		}
	}
	return list
}

// askAll asks every other member for its vitals.
func (g *guard) askAll() {
	e := g.engine
	var wanted footprint
	if e.leading() {
		wanted = e.machine.trail.newest()
	}
	for _, m := range e.node.Members() {
		if m.ID != e.node.Self() && g.begin(m.ID) {
			g.ask(m.ID, wanted.index, g.take)
		}
	}
}

// begin claims the one question that may be under way.
func (g *guard) begin(id cluster.MemberID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.asking[id] {
		return false
	}
	g.mu.asking[id] = true
	return true
}

// ask asks one member; done gets its answer, or none (from is 0), on a goroutine of the connection.
func (g *guard) ask(id cluster.MemberID, index cluster.Index, done func(id cluster.MemberID, v vitals)) {
	question := binary.BigEndian.AppendUint64(nil, uint64(index))
	g.engine.node.Send(id, kindVitals, question, func(reply []byte, err error) {
		v, bad := decodeVitals(reply)
		if err != nil || bad != nil {
			done(id, vitals{})
			return
		}
		v.from, v.at = id, time.Now()
		done(id, v)
	})
}

// take notes an answer and hands it to the guard's goroutine.
func (g *guard) take(id cluster.MemberID, v vitals) {
	g.mu.Lock()
	delete(g.mu.asking, id)
	if v.from != 0 {
		g.mu.others[id] = v
	}
	g.mu.Unlock()
	if v.print.index == 0 {
		return
	}
	select {
	case g.answers <- v:
	default: // the next one comes in a second
	}
}

// yield gives leadership up when this member should not have it: its state is in doubt, or its disk is nearly
// full while another's is not. It goes to a voter that is well: raft would choose the first that has as much
// of the log, and between two members with full disks it would go to and fro.
func (g *guard) yield(now time.Time) {
	e := g.engine
	if !e.node.IsLeader() || now.Sub(g.handedOff) < handOffPause {
		return
	}
	var why error
	well := g.wellVoters(now)
	switch {
	case e.accused():
		why = ErrCorrupt
	case errors.Is(e.ownSpace(), ErrDiskFull) && len(well) > 0:
		why = ErrDiskFull
	default:
		return
	}
	g.handedOff = now
	e.log.Warn("leadership is given up", "why", why)
	if err := g.handOver(well); err != nil {
		e.log.Warn("leadership was not handed over", "error", err)
	}
}

// handOver hands leadership to the first of these that takes it; if there is none, to anybody.
func (g *guard) handOver(to []cluster.MemberID) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*guardTick)
	defer cancel()
	if len(to) == 0 {
		return g.engine.node.HandOver(ctx)
	}
	var errs []error
	for _, id := range to {
		err := g.engine.node.MoveLeader(ctx, id)
		if err == nil || !g.engine.node.IsLeader() {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// wellVoters returns the other voters that have said lately that they are well, and are not accused.
func (g *guard) wellVoters(now time.Time) (well []cluster.MemberID) {
	for _, id := range g.engine.node.Voters() {
		v := g.heard(id, now)
		ill := slices.ContainsFunc(v.list, func(a Alarm) bool { return a.Member == id })
		if v.from != 0 && !ill && !g.engine.alarmed(AlarmCorrupt, id) {
			well = append(well, id)
		}
	}
	return well
}
