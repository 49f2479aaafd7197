package raftfsm

import "errors"

// The fate of a submission, of a read-barrier round or of a question about leases. Each says whether
// something may have been done: only ErrUncertain leaves a doubt, and ErrUnconfirmed about a renewal.
var (
	// ErrNoLeader: no leader was known, or none took the batch, within the request timeout. Definitely not done.
	ErrNoLeader = errors.New("no leader is known")
	// ErrBusy: too many bytes wait to be written, or they waited for longer than the request timeout; or the
	// requests may copy long values, and the history is far above its bound.
	// Definitely not done.
	ErrBusy = errors.New("too many writes are waiting")
	// ErrTooLarge: the requests exceed the limit of one log entry. Definitely not done.
	ErrTooLarge = errors.New("request is too large")
	// ErrClosed: the engine is closing and has not proposed the requests. Definitely not done.
	ErrClosed = errors.New("node is shutting down")
	// ErrUnconfirmed: a leader is known, but a majority did not confirm in time that it still leads, or did not
	// take what it was asked for. A read may be repeated; so may a renewal of a lease, which may have been made.
	ErrUnconfirmed = errors.New("not confirmed in time")
	// ErrBehind: the read was confirmed, but this member has not applied in time all that it has to show.
	ErrBehind = errors.New("this member is behind")
	// ErrUncertain: the requests were proposed and their outcome did not show within the request timeout.
	ErrUncertain = errors.New("outcome unknown")
)

// Why a node takes no writes that grow its state. Reads, deletes and compaction go on.
var (
	// ErrQuota: the live state is larger than the quota.
	ErrQuota = errors.New("memory quota reached")
	// ErrDiskFull: the file system of the data directory has less free space than the reserve.
	ErrDiskFull = errors.New("disk is nearly full")
	// ErrLeaderDiskFull: that of the leader, which every write goes to, has.
	ErrLeaderDiskFull = errors.New("the leader's disk is nearly full")
)

// ErrCorrupt: this member's state is in doubt; it serves nothing until the alarm is disarmed.
var ErrCorrupt = errors.New("state differs from the other members'")

// Errors of the formats.
var (
	// ErrCodec: a log entry cannot be decoded.
	ErrCodec = errors.New("bad log entry")
	// ErrSnapshot: a snapshot cannot be read; the text names the offset.
	ErrSnapshot = errors.New("bad snapshot")
)
