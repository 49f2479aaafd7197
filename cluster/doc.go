// Package cluster runs one raft node: its data directory, its stores, its transport and the peer protocol.
// It knows nothing of keys, commands or clients; the state machine and all payloads are handed in by the
// caller.
//
// Types to know:
//
//	Node       everything a caller uses; made by Open, ended by Close
//	Config     what Open needs; the callbacks in it are the only way up
//	logStore   the stack raft writes to: clock, fatal switch, byte-bounded cache, WAL or bbolt
//	transport  hashicorp's NetworkTransport with six corrections and Nudge
//	sentry     what raft does not notice while it waits: a hung disk, a log it has lost track of
//	peerMux    the one listening port: 'R' connections go to raft, 'P' connections to the peer protocol
//	disk.go    every step that makes something durable; with the build tag "faults", faultdisk.go instead
//	plan       what a change of the membership is weighed against (members.go; join.go: how a node joins,
//	           founder.go: when a founder may not start)
//	Offline    a data directory that no node uses: CheckDataDir, Survey (recovery), Found (a new one)
//	link       one outgoing connection of the peer protocol, dialled on demand
//
// Goroutines and who waits for them. raft's own end with raft.Shutdown. peerMux owns the accept loop and
// one reader and one writer per accepted 'P' connection; link owns one goroutine that dials, reads and
// restarts, and one writer; Node owns the snapshot controller, the leader watcher, the sentry and one
// waiter per Apply. Node.Close waits for all of them. The transport owns at most one nudge and one head
// start per peer.
//
// Locks: each of entryCache, byteCounts, slowSyncs, peerMux, peerNet, link, frameWriter, transport, replica,
// proposals and changeWatch has its own; each guards memory only and none is held while another is taken,
// over I/O or over a callback.
//
// Refused here: changing an entry, answering reads, deciding what a failed write means to a client,
// carrying on after a failed sync, and guessing around a damaged file.
package cluster
