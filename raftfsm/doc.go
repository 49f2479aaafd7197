// Package raftfsm is the replicated store: it takes requests to the log and applies what comes back.
//
// The way of a write: a Submission (one connection's run of requests) waits in the proposer, is sealed
// with others into a batch, becomes one log entry here or at the leader (forward.go), is applied on
// every member (machine.go), and is finished where it came from. The way of a read: join a Round of
// the barrier, then read the Store.
//
// Types to know: Engine (the whole), Submission, Round, Header and the codec (codec.go draws the log
// format), machine (apply), leaseDesk (leases.go: renewals, and what is left of a lease), SnapshotHeader
// (snapshot.go draws the file format), guard (alarms, and the comparison of the members' states), Change
// (members.go: the membership; joining.go: what a member asks for itself), Capture and Replay (backup.go:
// backups, and what a new cluster starts from).
//
// Goroutines, all owned by Engine, whose Close waits for them: proposer (and one short-lived one per batch
// in flight on the leader), barrier, leadership, expiry, guard, the compactor's two and the lease desk's
// two (and one per batch of renewals that waits for the log), one that asks the other members how they are
// (roster.go), and one per change of the membership and per question that leadership asks for this member.
// Apply runs on raft's goroutine. Locks: proposer, barrier, compactor, lease desk, contacts, guard, trail
// and clock have one each, held for a few steps; none is held while another is taken, except the store's own
// inside Update, and all inside the machine's, which is held while a batch is applied.
//
// The package refuses to know commands or connections, and to answer from anything but the log: no
// reply is given before the entry is applied here.
package raftfsm
