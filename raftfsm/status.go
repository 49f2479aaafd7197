package raftfsm

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Status is a moment's view of this member. Its fields are read one after the other, not atomically.
type Status struct {
	ClusterID        cluster.ClusterID
	MemberID         cluster.MemberID
	Name             string
	Leader           cluster.MemberID
	LeaderClientAddr string
	HasLeader        bool // and its term has started here
	IsLeader         bool
	IsLearner        bool
	IsRemoved        bool // from the cluster: it serves no more

	Term                                 cluster.Term
	CommitIndex, AppliedIndex, LastIndex cluster.Index
	Revision, CompactRevision            mvcc.Revision
	Keys, Expiring                       int64
	StateBytes, HistoryBytes, QuotaBytes int64
	LogBytes, DiskFree                   int64
	LastSnapshotIndex                    cluster.Index
	LastSnapshotTime                     time.Time // zero: there is none
	Snapshots                            int64
	LastContact                          time.Duration
	ExpiredKeys                          uint64
}

// Status needs no quorum. REQUIRES: Start was called.
func (e *Engine) Status() Status {
	n, store := e.node.Stats(), e.machine.store
	leader, _, ok := e.node.Leader()
	s := Status{
		IsRemoved: e.IsRemoved(),
		ClusterID: e.node.ClusterID(), MemberID: e.node.Self(), Name: e.cfg.Name, Leader: leader,
		HasLeader: ok && e.machine.ready.Load() == uint64(n.Term), IsLeader: e.node.IsLeader(), Term: n.Term,
		CommitIndex: n.CommitIndex, AppliedIndex: cluster.Index(e.machine.applied.Load()), LastIndex: n.LastIndex,
		Revision: store.Revision(), CompactRevision: store.CompactRevision(),
		Keys: store.Len(), Expiring: store.Expiring(),
		StateBytes: store.StateBytes(), HistoryBytes: store.HistoryBytes(), QuotaBytes: e.cfg.QuotaBytes,
		LogBytes: n.LogBytes, DiskFree: n.DiskFree, LastSnapshotIndex: n.LastSnapshotIndex,
		LastSnapshotTime: n.LastSnapshotTime,
		Snapshots:        n.Snapshots, LastContact: n.LastContact, ExpiredKeys: e.stats.Expired.Load(),
	}
	for _, m := range e.node.Members() {
		if m.ID == s.MemberID {
			s.IsLearner = !m.Voter
		}
	}
	for _, m := range *e.machine.members.Load() {
		if m.ID == leader && ok {
			s.LeaderClientAddr = m.ClientAddr
		}
	}
	return s
}

// AppliedIndex is the index of the last entry that is visible in the store. It takes no lock.
func (e *Engine) AppliedIndex() cluster.Index { return cluster.Index(e.machine.applied.Load()) }

// Statuses of a member.
const (
	MemberStarted     = "started"     // it answers
	MemberUnstarted   = "unstarted"   // it has never introduced itself
	MemberUnreachable = "unreachable" // it has, but does not answer now
	MemberRemoved     = "removed"     // it is this node, and was removed from the cluster
)

// Member is one member as this node sees it.
type Member struct {
	ID         cluster.MemberID
	Name       string
	PeerAddr   string
	ClientAddr string // "" until the member has introduced itself
	Learner    bool
	Leader     bool
	Status     string
	Applied    cluster.Index // what it has applied; 0 when it does not answer
}

// memberTimeout bounds how long Members waits for the others' answers.
const memberTimeout = 500 * time.Millisecond

// Members asks every other member how it is and returns the list in the order of the ids. It needs no quorum.
func (e *Engine) Members() []Member {
	records := map[cluster.MemberID]memberRecord{}
	for _, rec := range *e.machine.members.Load() {
		records[rec.ID] = rec
	}
	leader, _, _ := e.node.Leader()
	list := make([]Member, 0, 5)
	for _, m := range e.node.Members() {
		rec, known := records[m.ID]
		member := Member{
			ID: m.ID, Name: or(rec.Name, m.Name), PeerAddr: m.Addr, ClientAddr: rec.ClientAddr,
			Learner: !m.Voter, Leader: m.ID == leader, Status: MemberUnstarted,
		}
		if known && rec.ClientAddr != "" {
			member.Status = MemberUnreachable
		}
		list = append(list, member)
	}
	if e.IsRemoved() {
		return e.onlyRemoved(list)
	}
	e.askMembers(list)
	return list
}

// onlyRemoved is the list as a removed member knows it: what it says of the others is out of date.
func (e *Engine) onlyRemoved(list []Member) []Member {
	list = slices.DeleteFunc(list, func(m Member) bool { return m.ID == e.node.Self() })
	for i := range list {
		list[i].Status, list[i].Leader = MemberUnreachable, false
	}
	list = append(list, Member{ID: e.node.Self(), Name: e.cfg.Name, PeerAddr: e.node.PeerAddr(),
		ClientAddr: e.cfg.ClientAddr, Status: MemberRemoved})
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// askMembers fills in who answers.
func (e *Engine) askMembers(list []Member) {
	type answer struct {
		i       int
		applied uint64
	}
	answers, open := make(chan answer, len(list)), 0
	for i := range list {
		if list[i].ID == e.node.Self() {
			list[i].Status, list[i].Applied = MemberStarted, cluster.Index(e.machine.applied.Load())
			continue
		}
		open++
		e.node.Send(list[i].ID, kindStatus, nil, func(reply []byte, err error) {
			if err != nil || len(reply) != 8 {
				answers <- answer{i: -1}
				return
			}
			answers <- answer{i: i, applied: binary.BigEndian.Uint64(reply)}
		})
	}
	limit := time.NewTimer(memberTimeout)
	defer limit.Stop()
	for ; open > 0; open-- {
		select {
		case a := <-answers:
			if a.i >= 0 {
				list[a.i].Status, list[a.i].Applied = MemberStarted, cluster.Index(a.applied)
			}
		case <-limit.C:
			return
		}
	}
}

// answerStatus is the cluster.Handler of kindStatus.
func (e *Engine) answerStatus(_ cluster.MemberID, _ []byte, reply func([]byte)) {
	reply(binary.BigEndian.AppendUint64(nil, e.machine.applied.Load()))
}
