package cluster

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
)

// Term is a raft term. Index is a position in the raft log; the first entry is 1.
type (
	Term  uint64
	Index uint64
)

// MemberID names a member for good: a hash of the cluster id and the member's name. 0 names nobody.
type MemberID uint64

// ClusterID names a cluster for good. Nodes of different clusters refuse to talk to each other.
type ClusterID uint64

// String returns the 16 hex digits that are also the member's raft.ServerID.
func (id MemberID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// String returns 16 hex digits.
func (id ClusterID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

func (id MemberID) serverID() raft.ServerID { return raft.ServerID(id.String()) }

// parseMember returns 0 iff s is not the id of a member.
func parseMember(s raft.ServerID) MemberID {
	v, err := strconv.ParseUint(string(s), 16, 64)
	if err != nil {
		return 0
	}
	return MemberID(v)
}

// Peer is one element of the initial list of members.
type Peer struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// Member is one server of the latest configuration, which may not be committed yet.
type Member struct {
	ID    MemberID
	Name  string // "" when this node has not learned it
	Addr  string
	Voter bool
}

// Stats is a moment's view for status pages and metrics. Its fields are read one after the other, not
// atomically.
type Stats struct {
	State              string // Leader, Follower, Candidate or Shutdown
	Term               Term
	FirstIndex         Index
	LastIndex          Index
	CommitIndex        Index
	HandedIndex        Index // handed to the FSM, not necessarily applied by it
	LastSnapshotIndex  Index
	LastSnapshotTime   time.Time     // zero: there is none
	LogBytes           int64         // encoded bytes of the entries appended since the last snapshot
	CacheBytes         int64         // entries held in memory
	LastContact        time.Duration // since the leader was last heard; 0 on the leader; -1 never
	StoreRunningFor    time.Duration // how long the running StoreLogs has taken; 0 when none runs
	Snapshots          int64         // taken by this process
	SnapshotsInstalled int64         // received from a leader by this process
	DiskFree           int64         // bytes free on the file system of the data directory; -1 unknown
	HeartbeatsWithheld int64         // by the disk-stall gate
	NudgesSent         int64
	HeadStarts         int64 // requests sent to followers while this node still wrote the entries
}

// SnapshotInfo describes a snapshot in the data directory. The zero value means there is none.
type SnapshotInfo struct {
	ID    string
	Index Index
	Term  Term
	Size  int64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
