// Package lease keeps time: which keys end when, and which leases are left.
//
// Types to know: Table, the replicated state of the leases; Clock, which counts them down at the leader (the
// head of table.go has the design of both); Ref, one grant as of its last replicated renewal; Deadlines, the
// index of keys that have a deadline, kept on every member from the events that the state machine hands over.
//
// All of it is pure state: it never reads a clock, it is told the time, the wall's for deadlines and a
// monotonic one for leases. Who asks (the leader's loops in raftfsm) proposes what is due through the log;
// nothing ends here by itself.
//
// Locks: Table, Clock and Deadlines have one each, held for a bounded number of steps; Table's is taken under
// the store's and let go before Clock's is taken. Goroutines: none. The package refuses to decide: whether a
// key or a lease is still the one that was seen is decided when the log entry is applied.
package lease
