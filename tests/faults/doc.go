// Package faults makes life hard for real clusters and checks that every promise holds: nodes run on
// machines of their own (network namespaces) and disks of their own, clients load all of them, and a seed
// decides which faults strike them when. A seed replays the same faults in the same order, though not to
// the microsecond.
//
// The types to know:
//   - Profile: a few lines that say which faults, on how many nodes, under which load.
//   - Fault: one kind of misfortune, in a file fault_*.go.
//   - Kind: one sort of client operation, in a file op_*.go, with its rule for the checker.
//   - Op: one operation and what became of it; run collects them.
//   - archive: the history of each key as the nodes keep it, a second opinion on what clients were told.
//   - watcher: what a watch of all keys was told; it is judged by the archive, too.
//   - journal: every change of every lock, replayed by a naive model of the rules; turn, tenancy and
//     tenure are what clients of locks, leases and lock libraries were told.
//   - backup: a file that was saved under load; some are restored and held against the archive, and between
//     two segments the whole cluster may be lost and come back from one (comeback.go).
//   - world: everything that a fault can touch.
//
// What a reply means decides everything. An answered operation took effect between call and return. A
// refusal (CLUSTERDOWN, BUSY, OOM, …) promises that nothing was done: it leaves the history, and its
// unique value must not turn up in the archive. UNCERTAIN, a broken connection and a timeout are "maybe":
// the operation may take effect at any later time or never, which is the same as returning at the end of
// time. A read without an answer says nothing.
//
// Keys live in partitions of four, which the multi-key operations span; each partition is a history of
// its own. A partition is used for a short epoch, so that the maybes in it stay few and the search for a
// linear order ends.
//
// Goroutines: one per client and per local reader, lock, lease and library client, ended and waited for by
// the function that load returns; one per watcher, by the one that follow returns; the machines' own
// (tests/internal/network). Locks: meter.mu, the counts by the second; ended.mu, a list; a client owns its
// part of the history until it has ended. The package refuses to pass without work: too few operations of a
// kind, a fault that never struck or touched nothing, or a checker with nothing to check is a failure.
package faults
