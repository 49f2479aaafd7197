package directed

import (
	"os"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/faults/puppet"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// moment is long enough for an answer that should not come.
const moment = 500 * time.Millisecond

func ok(t *testing.T, s *puppet.Stage, args ...string) wire.Reply {
	t.Helper()
	r := s.Real.Do(args...)
	if r.IsErr() {
		t.Fatalf("%v: %v", args, r)
	}
	return r
}

func begin(t *testing.T, s *puppet.Stage, args ...string) *wire.Pending {
	t.Helper()
	return wire.Begin(t, s.Real.ClientAddr, args...)
}

// noOldValue demands that a read shows no value that was overwritten before it began. An error is fine, and
// so is silence.
func noOldValue(t *testing.T, read *wire.Pending) {
	t.Helper()
	if r, err := read.Within(2 * time.Second); err == nil && !r.IsErr() {
		t.Fatalf("a deposed leader answered a read: %v", r)
	}
}

// A leader is deposed without noticing, and writes are acknowledged elsewhere. Acknowledgements that its
// followers had given it before are still on their way, and arrive after a read has come. They prove nothing.
func TestLateAnswersDoNotConfirmARead(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "20s", "--heartbeat-interval", "1s")
	term := s.Elect()
	ok(t, s, "SET", "k", "old")
	if r := ok(t, s, "GET", "k"); r.Text != "old" {
		t.Fatalf("k = %v", r)
	}
	for _, p := range s.Puppets {
		p.Hold(puppet.Heartbeats)
	}
	for _, p := range s.Puppets {
		s.Await("an answer of "+p.Name+" on its way", func() bool { return p.Held() > 0 })
		p.Hold(puppet.Everything)
		p.SetTerm(term + 1)
	}
	read := begin(t, s, "GET", "k")
	read.Silent(moment)
	for _, p := range s.Puppets {
		p.Deliver()
	}
	noOldValue(t, read)
}

// Those who elect somebody else are silent; only a learner, which has no vote, still agrees.
func TestALearnerDoesNotConfirmARead(t *testing.T) {
	s := puppet.SetWith(t, 1, "--request-timeout", "20s")
	a, learner := s.Puppets[0], s.Puppets[2]
	s.Log.Start(a, 2)
	s.Log.AddLearner(a, 2, learner)
	term := s.Elect()
	ok(t, s, "SET", "k", "old")
	if r := ok(t, s, "GET", "k"); r.Text != "old" {
		t.Fatalf("k = %v", r)
	}
	for _, voter := range s.Puppets[:2] {
		voter.Mute(true)
		voter.Hold(puppet.Everything)
		voter.SetTerm(term + 1)
	}
	noOldValue(t, begin(t, s, "GET", "k"))
}

// The new leader has a write in its log that was acknowledged by the old one, but was never told that it is
// committed. Until an entry of its own term is committed it must not answer reads.
func TestANewLeaderReadsNothingBeforeItsTermHasStarted(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "20s")
	a := s.Puppets[0]
	s.Log.Introduce(a, 2)
	first := begin(t, s, "SET", "k", "old")
	s.Log.Append(a, 2, true, a.Next())
	if r := first.Wait(); r.Text != "OK" {
		t.Fatalf("SET = %v", r)
	}
	second := begin(t, s, "SET", "k", "new")
	// The others have it, too: it is committed, and only this node does not know.
	s.Log.Append(a, 2, false, a.Next())
	for _, p := range s.Puppets {
		p.Hold(puppet.HasEntries)
	}
	s.Campaign()
	s.Await("the election", func() bool { return s.Puppets[1].Held() > 0 })
	read := begin(t, s, "GET", "k")
	read.Silent(moment)
	for _, p := range s.Puppets {
		p.Release()
	}
	if r := read.Wait(); r.Text != "new" {
		t.Errorf("k = %v", r)
	}
	if r := second.Wait(); r.Text != "OK" {
		t.Errorf("the write that the old leader had taken: %v", r)
	}
}

// Whether a key has expired is decided by the leader's clock, also for a follower's read.
func TestTheLeadersClockDecidesExpiry(t *testing.T) {
	s := puppet.Set(t)
	a := s.Puppets[0]
	s.Log.SetClock(-time.Minute)
	s.Log.Introduce(a, 2)
	write := begin(t, s, "SET", "k", "v", "PX", "30000")
	s.Log.Append(a, 2, true, a.Next().At(s.Log.Now()))
	if r := write.Wait(); r.Text != "OK" {
		t.Fatalf("SET = %v", r)
	}
	if r := ok(t, s, "GET", "k"); r.Text != "v" {
		t.Errorf("half a minute before its deadline by the leader's clock: k = %v", r)
	}
	s.Log.SetClock(0)
	read := begin(t, s, "GET", "k")
	s.Log.Append(a, 2, true, a.Next().At(s.Log.Now())) // the expiry that the reader asks for
	if r := read.Wait(); !r.Null {
		t.Errorf("half a minute after it: k = %v", r)
	}
}
