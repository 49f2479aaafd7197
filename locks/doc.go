// Package locks has the rules of locks and elections: who of those that stand in a queue holds it.
//
// A queue is made of records in the store, one per client, each on a lease, in the order of their create
// revisions, which are the fencing tokens (mvcc/queues.go writes them). The rules: the first in line holds;
// if it is shared, so do the shared ones right behind it. A newcomer goes to the end, shared or not, so
// nobody is overtaken and a writer is not starved by readers. An election is the queue of exclusive places
// of which the holder is called leader.
//
// Types to know: Book, all queues of one member; Change, something that a watcher of a queue is told;
// Waiters, the connections of this node that wait for their turn; Holders, those that are told of a loss.
//
// Locks: Book, Waiters and Holders have one each, held for a few steps; Book's is taken under the store's. No
// goroutines. The package refuses to read a clock, to write to the store, and to wait.
package locks
