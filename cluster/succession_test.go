package cluster

import (
	"testing"
	"time"
)

// patient opens three nodes whose election timeouts no test waits for, and makes one of them lead.
func patient(t *testing.T) (c *testCluster, lead int) {
	c = newCluster(t, 3, func(cfg *Config) { cfg.HeartbeatTimeout = time.Minute })
	eventually(t, "the first leads", func() bool {
		c.nodes[0].campaign() // a vote may be asked for before the others listen
		return within(100*time.Millisecond, c.nodes[0].IsLeader)
	})
	c.nodes[0].put(t, "x")
	c.converge("x")
	return c, 0
}

// TestDeadLeaderIsSucceeded: the process of a leader ends without a word; long before an election timeout
// another leads, and what was written is there.
func TestDeadLeaderIsSucceeded(t *testing.T) {
	c, lead := patient(t)
	c.stop(lead)
	eventually(t, "another leads", func() bool { return c.nodes[1].IsLeader() || c.nodes[2].IsLeader() })
	next := 1
	if c.nodes[2].IsLeader() {
		next = 2
	}
	c.nodes[next].put(t, "y")
	eventually(t, "the third has it all", func() bool {
		applied := c.nodes[3-next].fsm.all()
		return len(applied) == 2 && applied[0] == "x" && applied[1] == "y"
	})
}

// TestLivingLeaderIsLeftInPeace: lines end, but the leader listens.
func TestLivingLeaderIsLeftInPeace(t *testing.T) {
	c, lead := patient(t)
	term := c.nodes[lead].Term()
	c.nodes[lead].mux.cutLines()
	for _, n := range c.nodes[1:] {
		eventually(t, "the followers have looked", func() bool { return n.succession.probes.Load() > 0 })
	}
	c.nodes[lead].put(t, "y")
	c.converge("y")
	for i, n := range c.nodes {
		if n.Term() != term {
			t.Errorf("node %d is in term %d, not %d: somebody stood for election", i, n.Term(), term)
		}
	}
}

// cutLines breaks all connections and leaves the port open.
func (m *peerMux) cutLines() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.mu.open {
		_ = c.raw.Close()
	}
}

// TestTurns: the voters that are left stand in a line, the dead leader does not.
func TestTurns(t *testing.T) {
	c, lead := patient(t)
	dead, turns := c.nodes[lead].Self(), map[int]bool{}
	for i, n := range c.nodes {
		if turn, ok := n.turn(dead); ok != (i != lead) {
			t.Errorf("node %d has a turn: %v", i, ok)
		} else if ok {
			turns[turn] = true
		}
	}
	if !turns[0] || !turns[1] {
		t.Errorf("turns %v", turns)
	}
}
