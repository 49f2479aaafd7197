// Package mvcc is the data of one member: a key-value store that numbers its states and keeps the past
// ones until they are compacted.
//
// Types to know: Store; Batch, through which one log entry changes it; Txn and Op, the closed vocabulary
// of changes; Record, a handle on one encoded version of one key; Pin, a moment held for reading;
// Loader, which builds a store from a snapshot; Scratch, the next transaction put together step by step.
//
// Where things are: record.go has the encoding, index.go the past of each key, keytable.go the way to it
// (warm.go for many at once), history.go all records by
// revision, txn.go the evaluation of transactions (modify.go, compare.go and range.go its parts; quota.go and
// copied.go what it refuses),
// compact.go the removal of the past, snapshot.go saving and restoring. leases.go has the keys of each lease
// and queues.go the places of clients in the queues of locks and elections; what is granted and who holds
// is decided above, through the two interfaces there.
//
// Locks: Store.mu is the only one. It guards everything but the published numbers; buntdb's own lock
// is taken inside it. Goroutines: none, but buntdb keeps one idle ticker until Store.Close.
//
// What it refuses to do: input, output, reading a clock, drawing random numbers, starting goroutines,
// calling up. The outcome of a batch depends on its bytes and its stamped time alone, so that every
// member that applies the same log holds the same state, byte for byte. It does not hide keys past
// their deadline from reads, propose their expiry, or decide when to compact: its callers do.
package mvcc
