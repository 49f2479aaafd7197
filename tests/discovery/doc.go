// Package discovery runs client libraries as their users do, unchanged, against a cluster whose leader is
// killed: go-redis, rueidis, redis-py and ioredis, each as a client of Redis Cluster and as one of Redis
// Sentinel. They must go on by themselves, lose nothing that was acknowledged, and read from replicas.
//
// The files: world (three nodes, each on a machine of its own, with nothing configured but addresses),
// tally (what a client has been told), loop (the libraries in Go), programs (redis-py and ioredis, whose
// programs are in testdata), follow (the fail-over), redirect (who is told MOVED, and when), sentinel (what
// its clients are told), address (host names and IPv6).
//
// Types to know:
//
//   - world    a cluster in namespaces of its own
//   - tally    what one client has written and what it was answered
//   - library  one way to be a client: how to make it, write and read
//
// Goroutines: one per client in Go, owned by the test, which waits for it; programs are children of the test
// process. tally.mu is the only lock. The package refuses to look inside the product, to retry on behalf of a
// client, and to configure clients beyond addresses and timeouts.
package discovery
