package cluster

import (
	"slices"

	"github.com/hashicorp/raft"
)

// The entry that a snapshot ends with.
//
// Before a follower takes entries, raft compares the term of the one in front of them with the leader's. It
// looks for that one at the end of what it has, and else in the log. A log that was emptied when a snapshot
// was installed begins right behind it: from its first entry on, the snapshot's own is neither here nor
// there. A leader asks for it all the same, when the answer to its first message was lost, or when its own
// log ends there. Refused, it goes back to before its log and sends the snapshot; raft empties the log and
// still believes in its old end (sentry.go), refuses again, and so on until the process ends.
//
// Idea: the log store answers for that one entry. It is committed, and the snapshot's description has its
// term, which is all that raft compares.
//
// Invariants. The answer is no entry, and must never become one.
//
//	E1  It is given for the index of the newest snapshot only, when the log lacks that and begins right
//	    behind it. An empty log gives none, for raft may be wrong about where it ended.
//	E2  It is not applied. raft applies what follows the state that it has, which is never older than a
//	    snapshot with a log right behind it. Should it try, it ends the process: the type is none of its own.
//	E3  It is not sent. It is not given while this node leads: a leader knows the end of its snapshot, and
//	    must miss the entry to send the snapshot instead. What still asks for a moment after it was deposed is
//	    stopped by the transport.
//
// Rejected: an entry in the log that stands for the snapshot's, which would be on disk, where nothing tells
// it from a real one; keeping entries that a snapshot is installed over, for they may be another leader's.
// Drawback: a follower whose disk failed as it wrote the first entry behind its snapshot has said that it
// lacks it. If it is there after the restart, a snapshot is sent, and the sentry ends the process once more.

// noEntry is the type of what stands for the entry that a snapshot ends with. raft has no such type.
const noEntry raft.LogType = 255

// snapshotEnd returns the term of the entry that the newest snapshot ends with; ok is false if index is
// another one's, or this node leads.
func (n *Node) snapshotEnd(index Index) (term Term, ok bool) {
	last := n.snapshots.last()
	return last.Term, index > 0 && index == last.Index && !n.IsLeader()
}

// endOfSnapshot fills in what stands for the entry that the snapshot ends with; it returns false if index is
// another one's. REQUIRES: the log lacks the entry.
func (s *logStore) endOfSnapshot(index uint64, l *raft.Log) bool {
	end := s.snapshotEnd.Load()
	first, err := s.inner.FirstIndex()
	if end == nil || err != nil || first != index+1 {
		return false
	}
	term, ok := (*end)(Index(index))
	if ok {
		*l = raft.Log{Index: index, Term: uint64(term), Type: noEntry}
	}
	return ok
}

// hasNoEntry reports whether there is something among the entries that is none.
func hasNoEntry(entries []*raft.Log) bool {
	return slices.ContainsFunc(entries, func(l *raft.Log) bool { return l.Type == noEntry })
}
