package cluster

import (
	"errors"

	"github.com/hashicorp/raft"
)

// Errors of Open. Each is wrapped with the directory, address or file it speaks of. Open has not changed what
// it refuses; see there for what it may have done before.
var (
	ErrDataDirInUse   = errors.New("data directory is in use by another process")
	ErrDataDirFormat  = errors.New("data directory has a format this version cannot read")
	ErrDataDirAccess  = errors.New("data directory cannot be written")
	ErrOtherLogStore  = errors.New("data directory was made with another log store")
	ErrOtherCluster   = errors.New("data directory belongs to another cluster")
	ErrOtherMember    = errors.New("data directory belongs to another member")
	ErrDataDirUsed    = errors.New("data directory is not empty")
	ErrJoinRefused    = errors.New("the cluster refuses this node")
	ErrNoSeed         = errors.New("no member of the cluster to join answers")
	ErrStopped        = errors.New("stopped before a member of the cluster to join answered")
	ErrPeerAddrInUse  = errors.New("peer address cannot be opened")
	ErrConfig         = errors.New("cluster configuration")
	ErrCorrupt        = errors.New("CORRUPT")
	errNoInitialState = errors.New("no configuration in the data directory")
)

// Errors of a running node.
var (
	// ErrShutdown: the node is closing or closed.
	ErrShutdown = errors.New("node is shut down")
	// ErrStoreFailed: an earlier write to the log or to the stable store failed. The node takes nothing more.
	ErrStoreFailed = errors.New("log store failed earlier")
	// ErrWedged: raft takes no entries after a snapshot was installed; a restart mends it.
	ErrWedged = errors.New("raft is stuck after a snapshot was installed; restart this node")
	// ErrNoHandOver: leadership was not transferred in time.
	ErrNoHandOver = errors.New("leadership was not handed over")
	// ErrHandOverFirst: a leader was asked to remove itself. Nothing was changed.
	ErrHandOverFirst = errors.New("the leader hands over before it is removed")
)

// Errors of the peer protocol.
var (
	// ErrPeerUnreachable: there is no connection, or it broke. Whether the request arrived is unknown.
	ErrPeerUnreachable = errors.New("peer is unreachable")
	// ErrPeerBusy: too many bytes wait for this peer. The request was not sent.
	ErrPeerBusy = errors.New("too much is waiting for this peer")
	// ErrUnknownMember: the id is not in the latest configuration, or is this node. The request was not sent.
	ErrUnknownMember = errors.New("no such peer in the configuration")
	// ErrFrameTooLarge: the payload exceeds MaxFrame. The request was not sent.
	ErrFrameTooLarge = errors.New("peer message is too large")
	// ErrPeerRefused: the peer has no handler for this kind. It has done nothing.
	ErrPeerRefused = errors.New("peer refused the request")

	errBadHello   = errors.New("peer handshake failed")
	errNoTrust    = errors.New("peer was not authenticated")
	errBadFrame   = errors.New("malformed peer frame")
	errDiskStall  = errors.New("heartbeat withheld: the log store has been busy for too long")
	errNoSuchConn = errors.New("connection is closed")
	errNoEntry    = errors.New("the end of a snapshot is no entry that could be sent: nothing was sent")
)

// DefinitelyNotLogged reports whether err, from an ApplyFuture, proves that the entry is in no log and
// never will be. Every other error, among them raft.ErrLeadershipLost, ErrShutdown after the entry was
// taken and a failed store, leaves the outcome unknown: the entry may be in this node's log already and a
// later leader may commit it.
//
// raft.ErrRaftShutdown is unknown too: raft gives it for an entry it never took and for one in flight
// alike.
func DefinitelyNotLogged(err error) bool {
	for _, sure := range []error{
		raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout, errRefused,
	} {
		if errors.Is(err, sure) {
			return true
		}
	}
	return false
}

// errRefused marks an Apply that was refused before raft saw it.
var errRefused = errors.New("not proposed")
