package directed

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/faults/puppet"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// local reads a key from the real node's own state.
func local(t *testing.T, s *puppet.Stage, key string) (value string, exists bool) {
	t.Helper()
	r := ok(t, s, "KV.GET", key, "SERIALIZABLE")
	v, exists := r.Field("value")
	return v.Text, exists
}

// A batch whose acknowledgement got lost comes again under its number; it is taken once. An older one that
// turns up late is refused.
func TestARepeatedBatchIsLoggedOnce(t *testing.T) {
	s := puppet.Set(t)
	term := s.Elect()
	p := s.Puppets[0]
	ok(t, s, "INCR", "n")
	incr := p.LastReceived()
	first, second := incr.Foreign(77, 1, term), incr.Foreign(77, 2, term)
	for i, tc := range []struct {
		batch puppet.Entry
		want  byte
	}{{first, puppet.Accepted}, {first, puppet.Accepted}, {second, puppet.Accepted}, {second, puppet.Accepted},
		{first, puppet.Refused}} {
		answer, err := p.Ask(puppet.AskForward, tc.batch)
		if err != nil || len(answer) != 1 || answer[0] != tc.want {
			t.Fatalf("message %d was answered %v, %v, want %d", i, answer, err, tc.want)
		}
	}
	if r := ok(t, s, "INCR", "n"); r.Int() != 4 { // one here, two batches, and this one
		t.Errorf("n = %d, want 4", r.Int())
	}
}

// A batch meant for one term that ends up in the log of a later one changes nothing, on any member: its
// origin has been told that it is not done, and has sent it again.
func TestAnEntryMeantForAnotherTermIsVoid(t *testing.T) {
	s := puppet.Set(t)
	a, b := s.Puppets[0], s.Puppets[1]
	s.Log.Introduce(a, 2)
	write := begin(t, s, "SET", "k", "v")
	batch := a.Next()
	s.Log.Append(b, 3, true, batch.Foreign(77, 1, 2)) // logged by a leader of term 3, meant for term 2
	s.Log.Start(b, 3)
	s.Await("the new leader", func() bool { return s.Term() == 3 })
	again := b.Next() // waits until the node has applied what was committed
	if v, exists := local(t, s, "k"); exists {
		t.Errorf("the void entry is visible: k = %q", v)
	}
	s.Log.Append(b, 3, true, again)
	if r := write.Wait(); r.Text != "OK" {
		t.Errorf("SET = %v", r)
	}
	if v, _ := local(t, s, "k"); v != "v" {
		t.Errorf("k = %q after the write was acknowledged", v)
	}
}

// That the leader has a write is not enough to answer it: the member that was asked shows it first.
func TestAForwardedWriteIsAnsweredWhenItIsVisible(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "20s")
	a := s.Puppets[0]
	s.Log.Introduce(a, 2)
	write := begin(t, s, "SET", "k", "v")
	batch := a.Next()
	write.Silent(moment) // accepted, and in no log yet
	s.Log.Append(a, 2, false, batch)
	write.Silent(moment) // in the log here, and not committed
	s.Log.Append(a, 2, true)
	if r := write.Wait(); r.Text != "OK" {
		t.Fatalf("SET = %v", r)
	}
	if v, _ := local(t, s, "k"); v != "v" {
		t.Errorf("k = %q on the member that acknowledged it", v)
	}
}

// A client that was told UNCERTAIN decides itself whether to repeat; the node does not do it behind its back.
func TestAnUncertainWriteIsNotRepeated(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "3s")
	a, b := s.Puppets[0], s.Puppets[1]
	s.Log.Introduce(a, 2)
	lost := begin(t, s, "INCR", "n")
	first := a.Next() // accepted, and never heard of again
	if r := lost.Wait(); !strings.HasPrefix(r.Text, "UNCERTAIN ") {
		t.Fatalf("INCR = %v", r)
	}
	s.Log.Start(b, 3)
	probe := begin(t, s, "INCR", "other")
	batch := b.Next()
	if strings.Contains(batch.Requests(), first.Requests()) {
		t.Error("the uncertain write was sent again")
	}
	s.Log.Append(b, 3, true, batch)
	if r := probe.Wait(); r.Int() != 1 {
		t.Errorf("INCR other = %v", r)
	}
	if v, exists := local(t, s, "n"); exists {
		t.Errorf("n = %q, though nobody asked again", v)
	}
}

// Batches that a change of leader has made void are sent again in the order of their writes.
func TestWritesKeepTheirOrderAcrossALeaderChange(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "20s")
	a, b := s.Puppets[0], s.Puppets[1]
	s.Log.Introduce(a, 2)
	one := begin(t, s, "INCR", "n")
	first := a.Next()
	s.Log.Start(a, 2) // something is stored here, which lets the next batch go
	two := begin(t, s, "INCRBY", "n", "10")
	second := a.Next()
	s.Log.Start(b, 3)
	both := b.Next()
	if both.Requests() != first.Requests()+second.Requests() {
		t.Errorf("sent again: %x, want %x and %x", both.Requests(), first.Requests(), second.Requests())
	}
	s.Log.Append(b, 3, true, both)
	if r1, r2 := one.Wait(), two.Wait(); r1.Int() != 1 || r2.Int() != 11 {
		t.Errorf("replies %v and %v, want 1 and 11", r1, r2)
	}
}

// A batch carries writes of several connections. When one of them has waited too long, and the batch is
// applied after all, each of the others gets its own reply.
func TestRepliesAreNotCrossedWhenOneWriteTimesOut(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "4s")
	a := s.Puppets[0]
	s.Log.Introduce(a, 2)
	before := begin(t, s, "SET", "x", "1")
	first := a.Next()
	early := begin(t, s, "INCRBY", "a", "100") // waits: the first batch has not been stored
	early.Silent(2 * time.Second)
	later := begin(t, s, "INCRBY", "b", "5")
	later.Silent(100 * time.Millisecond)
	s.Log.Append(a, 2, true, first)
	if r := before.Wait(); r.Text != "OK" {
		t.Fatalf("SET = %v", r)
	}
	both := a.Next()
	if r := early.Wait(); !strings.HasPrefix(r.Text, "UNCERTAIN ") {
		t.Fatalf("the first write of the batch: %v", r)
	}
	s.Log.Append(a, 2, true, both)
	if r := later.Wait(); r.Int() != 5 {
		t.Errorf("the second write was answered %v, want 5", r)
	}
	if v, _ := local(t, s, "a"); v != "100" {
		t.Errorf("a = %q: the batch does not hold both writes, or not as they were sent", v)
	}
}

// Heartbeats are not answered past a log that cannot be written: they go the way of all messages.
func TestAHungFollowerAnswersNoHeartbeat(t *testing.T) {
	s := puppet.Set(t)
	a := s.Puppets[0]
	s.Log.Introduce(a, 2)
	if err := s.Log.Heartbeat(a, 2, wire.DefaultTimeout); err != nil {
		t.Fatal(err)
	}
	s.Real.Fault("disk hang")
	write := begin(t, s, "SET", "k", "v")
	s.Log.Post(a, 2, a.Next())
	silent := node.Poll(5*time.Second, func() error {
		if s.Log.Heartbeat(a, 2, moment) == nil {
			return errors.New("it was answered")
		}
		return nil
	})
	if silent != nil {
		t.Errorf("a heartbeat beside the raft loop, which waits for the disk: %v", silent)
	}
	s.Real.Fault("disk heal")
	s.Log.Append(a, 2, true)
	if r := write.Wait(); r.Text != "OK" {
		t.Errorf("SET = %v", r)
	}
}
