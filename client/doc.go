// Package client is what a Go program needs beside an ordinary Redis client: a watch that survives the loss
// of its connection and of its node; locks, elections, leases and transactions over any go-redis client.
//
// Types to know:
//
//   - Client    the endpoints of a cluster and how to reach them; Client.Watch, with Response, Event, Option
//   - Lease     kept alive in the background until it is closed or lost
//   - Mutex, RWMutex, Semaphore, Election   each holds something by a lease of its own
//   - Txn       a transaction of guards and two branches
//
// What is held by a lease can be lost: by a pause of this process, or a network that is down for longer than
// the TTL. Each type tells it by a context that is done, and gives a token, which fences writes: SET … FENCE
// and the guard Locked are refused once the token's time has passed, whatever this process believes.
//
// Goroutines: one per watch, which ends with the watch's context and which Client.Close waits for; one per
// Lease, which Close waits for as long as its context allows. Locks: one in each Lease.
//
// The package refuses to: hide that history was compacted or that something was lost, tell a part of a
// revision, repeat a transaction or a release whose outcome is not known, whatever the client's MaxRetries.
package client
