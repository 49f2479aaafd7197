package raftfsm

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

var noExpiry mvcc.Expiry

func unixMilli(ms int64) mvcc.UnixMilli { return mvcc.UnixMilli(ms) }

// naiveFault is findFault in the words of its promise: someone is accused iff more than half of the voters
// have one footprint and he has another.
func naiveFault(
	prints map[cluster.MemberID]footprint, voters []cluster.MemberID,
) (bad []cluster.MemberID, ok bool) {
	for _, f := range prints {
		with := 0
		for _, id := range voters {
			if prints[id] == f {
				with++
			}
		}
		if 2*with > len(voters) {
			for id, g := range prints {
				if g != f {
					bad = append(bad, id)
				}
			}
			slices.Sort(bad)
			return bad, true
		}
	}
	return nil, false
}

func TestFindFaultAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		n := 1 + rng.IntN(7)
		prints := map[cluster.MemberID]footprint{}
		var voters []cluster.MemberID
		for i := range n {
			id := cluster.MemberID(i + 1)
			if rng.IntN(4) > 0 || i == 0 {
				voters = append(voters, id)
			}
			if rng.IntN(5) > 0 {
				prints[id] = footprint{index: 5, revision: 3, hash: uint64(1 + rng.IntN(3))}
			}
		}
		want, decided := naiveFault(prints, voters)
		at, ok := findFault(prints, voters)
		var got []cluster.MemberID
		for _, a := range at {
			got = append(got, a.member)
		}
		if ok != decided || !slices.Equal(got, want) {
			t.Fatalf("voters %v of %v: accused %v (%v), want %v (%v)", voters, prints, got, ok, want, decided)
		}
	}
}

func TestVitalsRoundTrip(t *testing.T) {
	v := vitals{print: footprint{1, 2, 3}, list: []Alarm{{AlarmNoSpace, 4, 5, "why", false}}}
	got, err := decodeVitals(v.encode())
	if err != nil || got.print != v.print || !slices.Equal(got.list, v.list) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {2}, v.encode()[:20], append(v.encode(), 0)} {
		if _, err := decodeVitals(bad); err == nil {
			t.Errorf("%x was taken", bad)
		}
	}
}

// clocks are a wall clock and a monotonic one that a test moves.
type clocks struct {
	wall, mono time.Duration
	stamped    atomic.Int64
}

func (c *clocks) pass(d time.Duration) { c.wall, c.mono = c.wall+d, c.mono+d }

func newClocks() (*clocks, *clock) {
	c := &clocks{wall: time.Hour}
	return c, newClock(Config{
		Clock:     func() time.Time { return time.Unix(0, int64(c.wall)) },
		Monotonic: func() time.Duration { return c.mono },
	}.withDefaults(), &c.stamped)
}

// Time is the wall clock's; it never goes back, and goes on when that is set back, until that has caught up.
func TestClockGoesOn(t *testing.T) {
	c, clock := newClocks()
	rng := rand.New(rand.NewPCG(3, 4))
	last := clock.now()
	for range 50_000 {
		jumped := rng.IntN(100) == 0
		if jumped {
			c.wall += time.Duration(rng.Int64N(int64(2*time.Minute))) - time.Minute
			c.stamped.Store(max(c.stamped.Load(), int64(last)-100+rng.Int64N(200)))
		}
		step := time.Duration(rng.IntN(int(20 * time.Millisecond)))
		c.pass(step)
		now, wall := clock.now(), mvcc.UnixMilli(c.wall.Milliseconds())
		if now < last || now < wall || int64(now) < c.stamped.Load() {
			t.Fatalf("%d after %d, by the wall clock %d, stamped %d", now, last, wall, c.stamped.Load())
		}
		went := time.Duration(now-last) * time.Millisecond
		if !jumped && (went < step*8/10-2*time.Millisecond || went > step+2*time.Millisecond) {
			t.Fatalf("time went on by %v in %v", went, step)
		}
		last = now
	}
}

// While the wall clock is behind, a second lasts a second and a ninth, and no more.
func TestClockSetBack(t *testing.T) {
	c, clock := newClocks()
	before := clock.now()
	c.stamped.Store(int64(before))
	c.wall -= 30 * time.Minute
	clock.now()
	c.pass(10 * time.Second)
	if went := clock.now() - before; went < 8990 || went > 9010 {
		t.Errorf("time went on by %d ms in 10 s", went)
	}
	c.pass(6 * time.Hour)
	if now := clock.now(); now != mvcc.UnixMilli(c.wall.Milliseconds()) {
		t.Errorf("after hours it is %d, by the wall clock %d", now, c.wall.Milliseconds())
	}
}

func TestClockTrouble(t *testing.T) {
	c, clock := newClocks()
	at := time.Unix(0, 0)
	look := func() string { at = at.Add(time.Second); c.pass(time.Second); return clock.trouble(at) }
	if why := look(); why != "" {
		t.Error(why)
	}
	c.wall += 400 * time.Millisecond
	if why := look(); why != "" {
		t.Error("a correction: " + why)
	}
	c.wall += time.Minute
	if why := look(); why != "the wall clock jumped by 1m0s" || clock.jumps.Load() != 1 {
		t.Errorf("%q, %d jumps", why, clock.jumps.Load())
	}
	if why := look(); why == "" {
		t.Error("forgotten at once")
	}
	c.stamped.Store(c.wall.Milliseconds())
	c.wall -= time.Minute
	if why := look(); why != "the wall clock is 59s behind the time in the log" || clock.jumps.Load() != 2 {
		t.Errorf("%q, %d jumps", why, clock.jumps.Load())
	}
	c.pass(time.Minute)
	at = at.Add(jumpShown)
	if why := look(); why != "" {
		t.Error(why)
	}
}

// Doubts are counted by rounds, not by answers, and a round of agreement ends them.
func TestDoubtsCountRounds(t *testing.T) {
	var d doubts
	for round := 1; round <= 3; round++ {
		d.nextRound()
		for range 4 { // as many members differ
			if got := d.add(); got != round {
				t.Fatalf("round %d counts as %d", round, got)
			}
		}
		d.agreed = true // another member does not
	}
	d.nextRound()
	if d.nextRound(); d.add() != 4 {
		t.Error("a round in which nobody answered ended the row")
	}
	d.nextRound()
	d.agreed = true
	if d.nextRound(); d.add() != 1 {
		t.Error("agreement did not end the row")
	}
}

// crowdedDisk restarts a member with more disk in reserve than there is.
func crowdedDisk(t *testing.T, m *member) {
	t.Helper()
	m.halt()
	m.ecfg.DiskReserveBytes = 1 << 62
	m.start(t)
	await(t, "the member is back", func() bool { return m.Status().HasLeader })
	await(t, "its disk is nearly full", func() bool { return errors.Is(m.ownSpace(), ErrDiskFull) })
}

// A leader whose disk is nearly full hands over, and not to another one whose disk is: raft, left to itself,
// would choose the first of those who have as much.
func TestALeaderWithAFullDiskHandsOver(t *testing.T) {
	g := newGroup(t, 3, Config{})
	var well *member
	var full []*member
	order := g.leader().node.Voters()
	for _, m := range g.members {
		if well = m; m.node.Self() == order[2] {
			break
		}
	}
	for _, m := range g.members {
		if m != well {
			crowdedDisk(t, m)
			full = append(full, m)
		}
	}
	for _, m := range full {
		await(t, "a member with a full disk leads", func() bool {
			_, err := g.leader().changed(Change{Kind: ChangeMove, ID: m.node.Self()})
			return err == nil
		})
		await(t, "the member leads whose disk is not full", well.leading)
	}
	well.mustPut(t, "a", "1")
}

// Where all disks are nearly full, and where the others were not heard of lately, nobody is better off.
func TestWellVoters(t *testing.T) {
	g := newGroup(t, 3, Config{})
	heard := func(m *member) (from, full int) {
		now := time.Now()
		for _, o := range g.members {
			v := m.guard.heard(o.node.Self(), now)
			if v.from != 0 {
				from++
			}
			if containsAlarm(v.list, Alarm{Kind: AlarmDiskFull, Member: o.node.Self()}) {
				full++
			}
		}
		return from, full
	}
	m := g.members[0]
	await(t, "the others are heard of", func() bool { from, _ := heard(m); return from == 2 })
	if got := m.guard.wellVoters(time.Now()); len(got) != 2 || slices.Contains(got, m.node.Self()) {
		t.Errorf("two others are well, not %v", got)
	}
	if got := m.guard.wellVoters(time.Now().Add(vitalsAge)); len(got) != 0 {
		t.Errorf("nobody was heard of lately, not %v", got)
	}
	crowdedDisk(t, g.members[1])
	await(t, "one of them says that it is full", func() bool { _, full := heard(m); return full == 1 })
	if got := m.guard.wellVoters(time.Now()); len(got) != 1 || got[0] != g.members[2].node.Self() {
		t.Errorf("the third member is well, not %v", got)
	}
	crowdedDisk(t, g.members[2])
	await(t, "both of them say that they are full", func() bool { _, full := heard(m); return full == 2 })
	if got := m.guard.wellVoters(time.Now()); len(got) != 0 {
		t.Errorf("all others are full, yet %v are well", got)
	}
}
