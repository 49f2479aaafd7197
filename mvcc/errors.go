package mvcc

import (
	"errors"
	"fmt"
)

// Errors of one operation, or of several that are linked. They stand in OpResult.Err: these changed nothing,
// the others ran.
var (
	ErrNotInteger   = errors.New("mvcc: value is not a canonical 64-bit integer")
	ErrOverflow     = errors.New("mvcc: increment overflows a 64-bit integer")
	ErrValueTooLong = errors.New("mvcc: value is longer than MaxValueBytes")
	ErrKeyNotFound  = errors.New("mvcc: operation needs an existing key")
	ErrNoSuchKey    = errors.New("mvcc: there is no key to move")
	ErrNotFloat     = errors.New("mvcc: value is not a floating point number")
	ErrNotFinite    = errors.New("mvcc: increment would produce a number that is not finite")
	ErrSourcesLong  = errors.New("mvcc: the values to be combined are too long together")

	ErrNoLease     = errors.New("mvcc: no such lease")
	ErrLeaseExists = errors.New("mvcc: lease exists")
	ErrQueueKey    = errors.New("mvcc: key is a place in the queue of a lock or an election")
	ErrPlaceTaken  = errors.New("mvcc: the key of the place is in use")
	ErrQueuedTwice = errors.New("mvcc: one transaction enters the same queue twice")
	ErrNotHolder   = errors.New("mvcc: token does not hold the lock or lead the election")
)

// ErrQuota: the state may not grow. In Result.Err it is the fate of a whole transaction, in OpResult.Err that
// of one operation.
var ErrQuota = errors.New("mvcc: state is above its quota")

// ErrCopied: the entry of the log has copied as much of long values as it may. It stands where ErrQuota does.
var ErrCopied = errors.New("mvcc: one log entry copies too much of long values")

// ErrBadModify means an operation that no node writes to the log.
var ErrBadModify = errors.New("mvcc: malformed modification")

// Errors of reads and of compaction.
var (
	// ErrFutureRevision means the revision asked for is above the store's.
	ErrFutureRevision = errors.New("mvcc: revision is in the future")
)

// CompactedError means the revision asked for is no longer there (a read), or was compacted before (Compact).
type CompactedError struct {
	Revision Revision // the compacted revision: the oldest one that can be read
}

func (e *CompactedError) Error() string {
	return fmt.Sprintf("mvcc: revision is compacted; the oldest is %d", e.Revision)
}

// Errors of restoring: the input is not what a store wrote.
var (
	ErrBadRecord = errors.New("mvcc: malformed record")
	ErrBadOrder  = errors.New("mvcc: records contradict each other or are out of order")
)
