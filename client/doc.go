// Package client is what a Go program uses beside go-redis: locks, elections, leases and transactions of
// Redkeep, over any go-redis client.
//
// Types to know: Lease, kept alive in the background until it is closed or lost; Mutex, RWMutex, Semaphore
// and Election, each holding something by a lease of its own; Txn, a transaction of guards and two branches.
//
// What is held by a lease can be lost: by a pause of this process, or a network that is down for longer than
// the TTL. Each type tells it by a context that is done, and gives a token, which fences writes: SET … FENCE
// and the guard Locked are refused once the token's time has passed, whatever this process believes.
//
// Goroutines: each Lease has one, and Close waits for it. Locks: one in each Lease. The package refuses to
// repeat a write whose outcome is not known, and to hide that something was lost.
package client
