package cluster

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Snapshots on their way to followers.
//
// A follower that is given a snapshot needs the entries behind it when it has loaded it. If the leader
// takes further snapshots meanwhile and removes those entries, the follower needs another snapshot, and so
// on for ever. So from the first byte of an installation until the follower has caught up with where the
// log ended when the snapshot was loaded, the entries behind it are kept (pinned), whatever other snapshots
// are taken.
//
// That is bounded: a follower too slow for pinnedTimes as much log as is usually kept, or one that has not
// been heard of for pinnedFor, is on its own. If it is sent snapshots again and again, that is told
// (SnapshotLoops).
type install struct {
	term   uint64
	from   uint64 // index of the snapshot: entries behind it are needed
	goal   uint64 // when the follower has this entry it is up to date; 0 while the snapshot is on its way
	at     int64  // monotonic: last sign of life
	number int    // snapshots in a row
}

const (
	pinnedTimes = 8
	pinnedFor   = 10 * time.Minute
	// loopLeast is how many snapshots in a row are a loop.
	loopLeast = 3
)

// InstallSnapshot sends a snapshot, and keeps what the follower will need behind it.
func (t *transport) InstallSnapshot(
	id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader,
) error {
	p := t.peer(id)
	p.installing(args)
	err := t.addressee.InstallSnapshot(id, target, args, resp, data)
	p.installed(t.lastIndex())
	return err
}

func (p *replica) installing(a *raft.InstallSnapshotRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.install.term != a.Term {
		p.mu.install = install{term: a.Term}
	}
	p.mu.install.from, p.mu.install.goal, p.mu.install.at = a.LastLogIndex, 0, monotonic()
	p.mu.install.number++
}

func (p *replica) installed(last uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.install.goal, p.mu.install.at = max(last, 1), monotonic()
}

// reachedLocked is called when the follower has acknowledged more.
func (p *replica) reachedLocked() {
	in := &p.mu.install
	if in.number == 0 || in.term != p.mu.term {
		return
	}
	in.at = monotonic()
	if in.goal > 0 && p.mu.matchIndex >= in.goal {
		*in = install{}
	}
}

// pending returns what is under way in a term; number is 0 if nothing is.
func (p *replica) pending(term uint64) install {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.mu.install; in.term == term && time.Duration(monotonic()-in.at) < pinnedFor {
		return in
	}
	return install{}
}

func (t *transport) replicas() []*replica {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*replica, 0, len(t.mu.peers))
	for _, p := range t.mu.peers {
		list = append(list, p)
	}
	return list
}

// pinned returns the index behind which entries must be kept for followers; ok is false iff none needs any.
func (t *transport) pinned(term Term) (index uint64, ok bool) {
	for _, p := range t.replicas() {
		in := p.pending(uint64(term))
		if in.number > 0 && (!ok || in.from < index) {
			index, ok = in.from, true
		}
	}
	return index, ok
}

// InstallLoop is a follower that is sent one snapshot after the other.
type InstallLoop struct {
	Member   MemberID
	Installs int // since it was last up to date
}

// SnapshotLoops returns those followers of this leader, ordered by id.
func (n *Node) SnapshotLoops() (list []InstallLoop) {
	if !n.IsLeader() {
		return nil
	}
	for _, p := range n.trans.replicas() {
		if in := p.pending(uint64(n.Term())); in.number >= loopLeast {
			list = append(list, InstallLoop{parseMember(p.id), in.number})
		}
	}
	slices.SortFunc(list, func(a, b InstallLoop) int { return cmp.Compare(a.Member, b.Member) })
	return list
}

// trailing returns how many entries to keep behind a snapshot.
func (s *snapshotter) trailing() uint64 {
	keep := max(s.log.counts.entriesFor(s.keep), minTrailingEntries)
	pinned := s.pinned.Load()
	if pinned == nil {
		return keep
	}
	from, ok := (*pinned)()
	last, err := s.log.LastIndex()
	if !ok || err != nil || last <= from {
		return keep
	}
	// The snapshot's own entry, too: raft asks for it when it sends the one behind it.
	return max(keep, min(last-from+1, s.log.counts.entriesFor(pinnedTimes*max(s.keep, s.last().Size))))
}
