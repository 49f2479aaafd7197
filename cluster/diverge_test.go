package cluster

import (
	"fmt"
	"testing"
	"time"
)

// TestDivergedLeader: a leader without followers stores entries that nobody else has. When it comes back
// the others have gone on: its suffix is replaced, for good, in either log store.
func TestDivergedLeader(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			c := newCluster(t, 3, func(c *Config) { c.LogStore = store })
			old := c.leader()
			c.nodes[old].put(t, "shared")
			c.converge("shared")
			c.stop((old + 1) % 3)
			c.stop((old + 2) % 3)
			f := c.nodes[old].Apply([]byte("lonely"))
			select {
			case <-f.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("a leader without a quorum never gives up")
			}
			if f.Err() == nil || DefinitelyNotLogged(f.Err()) && c.nodes[old].Stats().LastIndex > 3 {
				t.Errorf("outcome: %v", f.Err())
			}
			c.stop(old)
			c.start((old + 1) % 3)
			c.start((old + 2) % 3)
			for i := range 20 {
				c.nodes[c.leader()].put(t, fmt.Sprint("new ", i))
			}
			c.start(old)
			c.converge("new 19")
			c.stop(old)
			c.start(old)
			c.nodes[c.leader()].put(t, "end")
			c.converge("end")
			if got := c.nodes[old].fsm.all(); len(got) != 22 || got[1] != "new 0" {
				t.Errorf("the old leader has %q", got)
			}
		})
	}
}
