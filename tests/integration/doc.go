// Package integration runs whole flows against real nodes, one and three, through the client library that
// most users have (go-redis), through redis-cli, through `redkeep`, and through raw sockets where the input
// is bad.
//
// The files: flow (reads and writes through any node), failover (kill -9, restart, exactly once), snapshot
// (install to a node that was down), badinput (what a client can do wrong), badstart (what an operator can do
// wrong), corrupt (what a disk can do wrong), tls (certificates: who is let in, and how they change),
// migrate and mirror (keys of a real redis-server and a real etcd moved here, and from here elsewhere),
// walkthrough (the scripts of the README, from testdata).
//
// Each test starts its own nodes through package node and owns them; the only goroutines are clients that the
// test waits for. There are no locks. The package refuses to look inside the product: what cannot be seen
// from outside is tested where it is built.
package integration
