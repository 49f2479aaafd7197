// Package puppet plays the other members of a cluster, message by message, beside one real node.
//
// A fault injector finds the schedules that break a promise by chance. Some of them are so narrow that chance
// needs hours: an answer that was on its way while a new leader was elected, an entry that was committed but
// not known to be. A puppet makes such a schedule on purpose, every time, and against the very binary that
// people run: it speaks the peer port's two protocols, and the test decides what it answers and when.
//
// Types to know:
//   - Stage: a real node and the puppets that complete its cluster.
//   - Puppet: one played member; its strings are Votes, HoldAppends, HoldHeartbeats, Term and Asked.
//   - Log: what the puppets, when they lead, replicate to the real node.
//   - Entry: a log entry, built or taken from the real node, with header fields that can be changed.
//
// What is known here of the protocols is written down anew from their drawings (cluster/mux.go,
// cluster/frames.go, raftfsm/codec.go), and shares no code with them: a change of the formats that breaks
// old peers breaks these tests.
//
// Goroutines: per puppet one that accepts, one per connection and one that answers raft's messages; Stage
// ends and waits for them when the test ends. Locks: one per puppet, for its strings, not held while waiting.
// The package refuses to be a member: a puppet stores nothing, and promises what the test wants it to.
package puppet
