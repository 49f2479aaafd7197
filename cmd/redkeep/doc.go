// Command redkeep is the server and its client in one binary.
//
// `redkeep server` is a node; every other verb is a client that speaks the Redis protocol to a node, prints
// what etcdctl prints for the same verb and exits as it does: 0, 1 (failed), 3 (bad input), 4 (a flag's value
// that names nothing) or 128 (bad arguments); lock passes on the exit code of its command. Only snapshot
// status and restore, recover, check and cert work on files, without a node.
//
// To know first: option and options (one row per setting of the server: flag, environment variable and file
// key come from it), settings (the rows' parsed values), node (the parts of one running server, wired in
// request order), endpoints (a client's list of nodes with failover), output (the four ways to print a
// reply).
//
// Goroutines: runServer owns those of the signal watcher and of gcTuner, node those of the listeners for
// clients and for clients of Sentinel and of the HTTP server, bench one per client; client verbs ask several
// endpoints with one goroutine each. Every owner waits for its own. One lock, trust.mu, around the set of
// open connections to members.
//
// It refuses to know how a command works, what is in the log, or how a byte reaches the disk: it reads
// settings, hands each part what that part asks for, and tells the operator what happened in one line.
package main
