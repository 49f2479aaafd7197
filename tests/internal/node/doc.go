// Package node runs real redkeep processes (and, beside them, real redis-server processes) for black-box
// tests.
//
// The types to know:
//   - Cluster: N nodes with their own loopback ports and data directories; Start makes one that answers.
//   - Node: one redkeep process that can be killed, paused, resumed, stopped and started again.
//   - Process: any child process with captured output; Node stands on it.
//   - Options: what differs from the defaults.
//   - MainIsolated: Main in network and mount namespaces of its own, where nodes have machines of their own.
//
// A test package calls Main from its TestMain. Main gives the run one temporary folder, builds the binary at
// most once (Binary), and on a signal kills what was started and undoes what was mounted before it lets go. A
// child is also killed by the kernel when the test process ends in any other way (Pdeathsig), so nothing is
// left behind by a panic, a timeout or a kill -9 of the tests. Only processes started here are ever
// signalled, by their handle.
//
// Goroutines: one per child that waits for its end, ended by Process.Kill, which waits for it; and one that
// owns the thread all children are started from and lives as long as the process. Locks: Process.mu (output),
// and the registry's mu (what to undo on a signal). No lock is held while waiting.
//
// Nothing here sleeps: Eventually waits for a condition with a deadline and names what it waited for. The
// package refuses to know anything about the inside of the product: a node is its flags, its sockets and its
// output.
package node
