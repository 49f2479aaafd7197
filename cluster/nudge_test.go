package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// TestNudgeInvariant drives replica with random traffic and checks each request against the invariants,
// with a model of what the follower has acknowledged.
func TestNudgeInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &replica{id: "x"}
		var term, commit uint64
		match := map[uint64]uint64{} // by term: what the follower has acknowledged
		newest := uint64(0)          // term of the last request
		check := func() {
			if !p.begin() {
				t.Fatal("the right to send was not given back")
			}
			for {
				_, req := p.next()
				if req == nil {
					return
				}
				switch {
				case req.Term < newest:
					t.Fatalf("N4: term %d after %d", req.Term, newest)
				case req.PrevLogEntry == 0 || req.PrevLogEntry > match[req.Term]:
					t.Fatalf("N1: %d is no match point of term %d, %d is", req.PrevLogEntry, req.Term, match[req.Term])
				case req.LeaderCommitIndex > req.PrevLogEntry:
					t.Fatalf("N2: commit %d beyond %d", req.LeaderCommitIndex, req.PrevLogEntry)
				case req.LeaderCommitIndex > commit:
					t.Fatalf("N3: commit %d, only %d is", req.LeaderCommitIndex, commit)
				case len(req.Entries) > 0:
					t.Fatal("a nudge carries entries")
				}
				newest = req.Term
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"term": func(t *rapid.T) { term += rapid.Uint64Range(0, 2).Draw(t, "d"); check() },
			"append": func(t *rapid.T) {
				a := &raft.AppendEntriesRequest{
					Term: term - min(term, rapid.Uint64Range(0, 1).Draw(t, "old")), LeaderCommitIndex: commit,
					PrevLogEntry: rapid.Uint64Range(0, 40).Draw(t, "prev"), PrevLogTerm: 1,
				}
				for i := range rapid.Uint64Range(0, 4).Draw(t, "n") {
					a.Entries = append(a.Entries, &raft.Log{Index: a.PrevLogEntry + 1 + i, Term: a.Term})
				}
				p.sending("addr", a)
				r := &raft.AppendEntriesResponse{Term: a.Term, Success: rapid.Bool().Draw(t, "ok")}
				var err error
				if rapid.IntRange(0, 9).Draw(t, "err") == 0 {
					err = errDisk
				}
				p.answered(a, r, err)
				if last, _ := endOf(a); r.Success && err == nil {
					match[a.Term] = max(match[a.Term], last)
				}
				check()
			},
			"commit": func(t *rapid.T) {
				commit += rapid.Uint64Range(0, 6).Draw(t, "d")
				p.wants(term, commit)
				check()
			},
		})
	})
}

// TestNudgeLatency measures what a write forwarded by a follower waits for: Apply on the leader until the
// follower's state machine has it.
func TestNudgeLatency(t *testing.T) {
	with, without := nudgeLatency(t, false), nudgeLatency(t, true)
	t.Logf("median until the follower has applied: %v with nudges, %v without", with, without)
	if with >= without {
		t.Errorf("nudges do not help: %v with, %v without", with, without)
	}
}

func nudgeLatency(t *testing.T, off bool) time.Duration {
	c := newCluster(t, 3, func(c *Config) { c.DisableNudge = off })
	at := c.leader()
	lead, follower := c.nodes[at], c.nodes[(at+1)%3]
	lead.put(t, "first")
	c.converge("first")
	var took []time.Duration
	for i := range 60 {
		data := fmt.Sprint("entry ", i)
		start := time.Now()
		f := lead.Apply([]byte(data))
		<-f.Done()
		if f.Err() != nil {
			t.Fatal(f.Err())
		}
		lead.Nudge(follower.Self(), f.Index())
		follower.fsm.await(t, data)
		done, _ := follower.fsm.appliedAt(data)
		took = append(took, done.Sub(start))
	}
	if sent := lead.Stats().NudgesSent; off != (sent == 0) {
		t.Errorf("%d nudges sent", sent)
	}
	for i := range c.nodes {
		c.stop(i)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// await waits without polling.
func (f *testFSM) await(t testing.TB, data string) {
	t.Helper()
	end := time.After(10 * time.Second)
	for {
		f.mu.Lock()
		_, ok := f.mu.times[data]
		changed := f.mu.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("%q is not applied", data)
		}
	}
}

// TestNudgeWhenNotLeading: a follower that is asked to nudge sends nothing.
func TestNudgeWhenNotLeading(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	c.nodes[lead].put(t, "x")
	n := c.nodes[(lead+1)%3]
	n.Nudge(c.nodes[(lead+2)%3].Self(), 1000)
	n.Nudge(n.Self(), 1000)
	if got := n.Stats().NudgesSent; got != 0 {
		t.Errorf("%d sent", got)
	}
}

// TestHeartbeatsAreNotFast: raft's handler for the bypass is never installed.
func TestHeartbeatsAreNotFast(t *testing.T) {
	called := false
	tr := &transport{addressee: addressee{&raft.NetworkTransport{}}}
	tr.SetHeartbeatHandler(func(raft.RPC) { called = true })
	var asRaftSeesIt raft.Transport = tr
	asRaftSeesIt.SetHeartbeatHandler(func(raft.RPC) { called = true })
	if v := fmt.Sprintf("%+v", tr.NetworkTransport); called || !strings.Contains(v, "heartbeatFn:<nil>") {
		t.Error("the bypass is installed")
	}
	if _, err := tr.AppendEntriesPipeline("x", "y"); err != raft.ErrPipelineReplicationNotSupported {
		t.Errorf("pipelining: %v", err)
	}
}
