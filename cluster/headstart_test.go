package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// TestHeadStartInvariant drives a replica as raft and the log store would, in every order that their two
// goroutines allow, and checks each early request against H1 and H3, and what raft is told against what the
// follower, a model, really has.
func TestHeadStartInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &replica{id: "x"}
		log := []*raft.Log{{Index: 1, Term: 1}} // the leader's; log[i] has index i+1
		term, stored, next := uint64(1), uint64(1), uint64(1)
		has := uint64(0) // what the follower has acknowledged in this term
		var early *headStart
		answer := func(a *raft.AppendEntriesRequest, ok bool) *raft.AppendEntriesResponse {
			ok = ok && a.PrevLogEntry <= has || a.PrevLogEntry == 0
			if last, _ := endOf(a); ok {
				has = max(has, last)
			}
			r := &raft.AppendEntriesResponse{Term: a.Term, Success: ok}
			p.answered(a, r, nil)
			return r
		}
		finish := func() {
			if early != nil {
				early.resp = *answer(early.req, rapid.Bool().Draw(t, "taken"))
				p.landed()
				close(early.done)
				early = nil
			}
		}
		send := func(a *raft.AppendEntriesRequest) (ok bool) {
			rest := a
			if h := p.claim(a); h != nil {
				finish()
				if rest = h.await(a); len(rest.Entries) == 0 {
					return h.resp.Success
				}
			}
			if last, _ := endOf(a); rest != a && rest.Entries[len(rest.Entries)-1].Index != last {
				t.Fatal("the rest ends elsewhere than raft's request")
			}
			p.sending("addr", rest)
			return answer(rest, true).Success
		}
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				var logs []*raft.Log
				for range rapid.IntRange(1, 3).Draw(t, "n") {
					l := &raft.Log{Index: uint64(len(log) + 1), Term: term}
					log, logs = append(log, l), append(logs, l)
				}
				if _, h := p.headStart(logs, stored); h != nil {
					switch r := h.req; {
					case early != nil:
						t.Fatal("H3: a second one under way")
					case r.PrevLogEntry != has || r.Entries[0].Index != has+1 || r.Term != term:
						t.Fatalf("H1: entries from %d at %d, the follower has %d", r.Entries[0].Index, r.PrevLogEntry, has)
					case r.LeaderCommitIndex > r.PrevLogEntry:
						t.Fatal("commit index beyond the match point")
					}
					early = h
				}
				stored = uint64(len(log))
			},
			"arrive": func(*rapid.T) { finish() },
			"raft": func(t *rapid.T) {
				a := &raft.AppendEntriesRequest{Term: term, PrevLogEntry: next - 1, LeaderCommitIndex: next - 1}
				if a.PrevLogEntry > 0 {
					a.PrevLogTerm = log[a.PrevLogEntry-1].Term
				}
				a.Entries = log[next-1 : min(stored, next+rapid.Uint64Range(0, 4).Draw(t, "max"))]
				last, _ := endOf(a)
				switch ok := send(a); {
				case ok && last > has:
					t.Fatalf("raft was told %d, the follower has %d", last, has)
				case ok:
					next = max(next, last+1)
				}
			},
			"term": func(*rapid.T) {
				finish()
				term, has, next = term+1, 0, 1
			},
		})
	})
}

// TestHeadStart: with the leader's disk held, an entry reaches the followers' disks but is not committed, for
// the leader does not count itself (H2), until the disk goes on.
func TestHeadStart(t *testing.T) {
	disks := map[string]*faultyLog{"n1": {}, "n2": {}, "n3": {}}
	c := newCluster(t, 3, func(c *Config) {
		c.wrapLog = disks[c.Name].wrap
		c.HeartbeatTimeout, c.ElectionTimeout = 2*time.Second, 2*time.Second // holding a disk calls no election
	})
	at := c.leader()
	lead, disk := c.nodes[at], disks[c.initial[at].Name]
	lead.put(t, "first")
	c.converge("first")
	hold := make(chan struct{})
	disk.block.Store(&hold)
	before := lead.Stats().LastIndex
	f := lead.Apply([]byte("early"))
	for _, other := range []int{(at + 1) % 3, (at + 2) % 3} {
		eventually(t, "the entry is in the followers' logs", func() bool {
			return c.nodes[other].Stats().LastIndex > before
		})
	}
	for i, n := range c.nodes {
		if _, applied := n.fsm.appliedAt("early"); applied {
			t.Errorf("node %d has applied an entry that its leader has not stored", i)
		}
	}
	if n := lead.Stats().HeadStarts; n < 2 {
		t.Errorf("%d head starts", n)
	}
	disk.block.Store(nil)
	close(hold)
	<-f.Done()
	if f.Err() != nil {
		t.Fatal(f.Err())
	}
	c.converge("early")
}
