package faults

import (
	"testing"
	"time"
)

// A leader whose disk hangs must not keep leadership: heartbeats need no disk, so nobody else would notice.
func TestLeaderWithAHungDiskGivesLeadershipUp(t *testing.T) {
	p := &Profile{Name: "hang", Nodes: 3, Clients: 2, Pace: 5 * time.Millisecond}
	w := newWorld(t, p)
	w.run = newRun(theSeed(), p)
	end := w.run.load(w.cluster.Nodes)
	defer end()
	w.awaitWrites(100, 30*time.Second)
	old := w.leader()
	old.Fault("disk hang")
	from := time.Now()
	w.awaitWrites(300, 10*time.Second) // more than could have been under way
	t.Logf("writes went on %v after the disk began to hang", time.Since(from).Round(time.Millisecond))
	if now := w.cluster.Leader(); now == old {
		t.Errorf("%s still leads", old.Name)
	}
	old.Fault("disk heal")
	w.awaitWrites(100, 30*time.Second)
	end()
	w.cluster.WaitSame()
}
