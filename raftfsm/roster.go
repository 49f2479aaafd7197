package raftfsm

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// The roster: what this member tells clients of the cluster, so that they find the leader and the replicas.
//
// Idea. Clients ask for it when they connect and when something has gone wrong, which is when members hang
// and a question to them would wait. So nothing is asked on their behalf: one goroutine asks every other
// member once a second how it is, and the roster is put together from the newest answers, the replicated
// records of the members and raft's own view of who leads.
//
// Invariants.
//  1. Roster never waits and sends nothing.
//  2. Leader is the member this one follows as soon as the start of its term is applied here; while none is
//     known it is the one before. So a client that asks in an election gets a list it can keep trying.
//  3. At most one question to a member is under way.
//  4. A member counts as up while it answers: a refused question ends that at once, silence after
//     contactTimeout. The first answers are waited for as long, so that a fresh node does not call the
//     others down.
//
// What is learned here is not replicated: the address of a member's Sentinel listener is known once the
// member has answered, and is remembered for as long as this process runs.
//
// Rejected: asking at each call, as Members does (half a second with one member paused); taking raft's last
// contact (only the leader has it).
//
// Drawback: a member that dies is listed for up to a second more, and a paused one for three.

// How often the others are asked, and how long silence counts as health.
const (
	contactInterval = time.Second
	contactTimeout  = 3 * time.Second
)

// Roster is a moment's view of the cluster for clients.
type Roster struct {
	Cluster   cluster.ClusterID
	Self      cluster.MemberID
	Term      cluster.Term
	Leader    cluster.MemberID // the last one known; 0: none was yet
	HasLeader bool             // it leads now, as far as this member knows, and its term has begun here
	Members   []RosterMember   // in the order of the ids
}

// RosterMember is one of them.
type RosterMember struct {
	ID           cluster.MemberID
	Name         string
	PeerAddr     string
	ClientAddr   string // "" until the member has introduced itself
	SentinelAddr string // "" if it has no such listener, or has not answered yet
	Learner      bool
	Up           bool
	Applied      cluster.Index // as of its last answer
	Seen         time.Duration // since its last answer, or since this process began to ask
}

// Find returns the member with this id; nil iff there is none.
func (r *Roster) Find(id cluster.MemberID) *RosterMember {
	for i := range r.Members {
		if r.Members[i].ID == id {
			return &r.Members[i]
		}
	}
	return nil
}

// contacts is what the others have answered.
type contacts struct {
	mu struct {
		sync.Mutex
		began  time.Time
		known  map[cluster.MemberID]contact
		leader cluster.MemberID
	}
}

// contact is what one of them has answered.
type contact struct {
	asking   bool // a question is under way
	refused  bool // the last question failed
	answered time.Time
	applied  cluster.Index
	sentinel string
}

func newContacts() *contacts {
	c := &contacts{}
	c.mu.began, c.mu.known = time.Now(), map[cluster.MemberID]contact{}
	return c
}

// Roster needs no quorum and does not wait. REQUIRES: Start was called.
func (e *Engine) Roster() Roster {
	id, ok := e.knownLeader()
	r := Roster{
		Cluster: e.node.ClusterID(), Self: e.node.Self(), Term: e.node.Term(), HasLeader: ok,
		Leader: e.contacts.lastLeader(id, ok),
	}
	records := *e.machine.members.Load()
	for _, m := range e.node.Members() {
		member := RosterMember{ID: m.ID, Name: m.Name, PeerAddr: m.Addr, Learner: !m.Voter}
		for _, rec := range records {
			if rec.ID == m.ID {
				member.Name, member.ClientAddr = or(rec.Name, m.Name), rec.ClientAddr
			}
		}
		e.contacts.fill(&member)
		if m.ID == r.Self {
			member.Up, member.Seen, member.Applied = true, 0, e.AppliedIndex()
			member.ClientAddr, member.SentinelAddr = e.cfg.ClientAddr, e.cfg.SentinelAddr
		}
		member.Up = member.Up && !e.alarmed(AlarmCorrupt, m.ID)
		r.Members = append(r.Members, member)
	}
	return r
}

// alarmed reports whether a replicated alarm stands for a member. One whose state differs serves nothing.
func (e *Engine) alarmed(kind AlarmKind, member cluster.MemberID) bool {
	return slices.ContainsFunc(*e.machine.alarms.Load(), func(a Alarm) bool {
		return a.Kind == kind && a.Member == member
	})
}

// knownLeader returns the leader whose term has begun here.
func (e *Engine) knownLeader() (id cluster.MemberID, ok bool) {
	id, _, ok = e.node.Leader()
	return id, ok && e.machine.ready.Load() == uint64(e.node.Term())
}

// LeaderElsewhere returns the client address of the leader if it is another member than this one and its
// address is known. It takes no lock of ours and sends nothing.
func (e *Engine) LeaderElsewhere() (addr string, ok bool) {
	id, known := e.knownLeader()
	if !known || id == e.node.Self() {
		return "", false
	}
	for _, m := range *e.machine.members.Load() {
		if m.ID == id {
			return m.ClientAddr, m.ClientAddr != ""
		}
	}
	return "", false
}

// LeaderChanges returns a new one-slot channel with a token after each change of leader; tokens coalesce, and
// may come before the new leader's term has begun here. REQUIRES: Start was called.
func (e *Engine) LeaderChanges() <-chan struct{} { return e.node.LeaderChanges() }

// lastLeader notes the leader, if one is known, and returns the last one that was.
func (c *contacts) lastLeader(id cluster.MemberID, known bool) cluster.MemberID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known {
		c.mu.leader = id
	}
	return c.mu.leader
}

// fill adds to m what it has answered.
func (c *contacts) fill(m *RosterMember) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.mu.known[m.ID]
	since := k.answered
	if since.IsZero() {
		since = c.mu.began
	}
	m.Applied, m.SentinelAddr, m.Seen = k.applied, k.sentinel, time.Since(since)
	m.Up = !k.refused && m.Seen < contactTimeout
}

// contact asks the others until the engine is closed.
func (e *Engine) contact() {
	defer e.wg.Done()
	changes := e.node.LeaderChanges()
	tick := time.NewTicker(contactInterval)
	defer tick.Stop()
	for {
		id, ok := e.knownLeader()
		e.contacts.lastLeader(id, ok)
		for _, m := range e.node.Members() {
			if m.ID != e.node.Self() && e.contacts.begin(m.ID) {
				e.node.Send(m.ID, kindContact, nil, func(reply []byte, err error) {
					e.contacts.end(m.ID, reply, err)
				})
			}
		}
		select {
		case <-tick.C:
		case <-changes:
		case <-e.stop:
			return
		}
	}
}

// begin reports whether the member may be asked now, and notes that it is.
func (c *contacts) begin(id cluster.MemberID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.mu.known[id]
	if k.asking {
		return false
	}
	k.asking = true
	c.mu.known[id] = k
	return true
}

// end notes an answer: the applied index, then the address of the Sentinel listener.
func (c *contacts) end(id cluster.MemberID, reply []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.mu.known[id]
	k.asking, k.refused = false, err != nil || len(reply) < 8
	if !k.refused {
		k.answered, k.applied = time.Now(), cluster.Index(binary.BigEndian.Uint64(reply))
		k.sentinel = string(reply[8:])
	}
	c.mu.known[id] = k
}

// answerContact is the cluster.Handler of kindContact.
func (e *Engine) answerContact(_ cluster.MemberID, _ []byte, reply func([]byte)) {
	b := binary.BigEndian.AppendUint64(nil, e.machine.applied.Load())
	reply(append(b, e.cfg.SentinelAddr...))
}
