// Package lease keeps time: which keys end when.
//
// Deadlines is the index of keys that have a deadline, kept on every member from the events that the
// state machine hands over, so that a new leader starts with it complete. It is pure state: it never
// reads a clock, it is told the time. Who asks (the leader's expiry loop in raftfsm) proposes what is
// due through the log; nothing ends here by itself.
//
// Locks: Deadlines has one, held for a bounded number of steps. Goroutines: none. The package refuses
// to decide: whether a key is still the one that was seen is decided when the log entry is applied.
package lease
