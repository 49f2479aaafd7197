// Package resp speaks the Redis protocol (RESP2, RESP3, inline) to clients: it accepts connections, turns
// their bytes into batches of commands for a Handler, and writes the replies. It knows nothing of what
// commands mean.
//
// Types to know:
//
//   - Server    listeners, the registry of connections, totals
//   - Conn      one client: its replies, its limits, waiting, being cut
//   - Handler   what the server calls; supplied by the caller
//   - Value     one reply, independent of the protocol version
//   - parser    bytes to commands; head of parser.go has the design
//   - workspace all buffers of a batch, borrowed from a pool only while there is something to do
//
// Goroutines. Serve runs redcon's accept loop on the caller's goroutine. Each connection has one goroutine
// (Conn.run) that reads, calls the handler and writes, and while a command waits long, a second one with
// one pending Read (background.go). Server.Close ends and waits for all of them; a connection waits for its
// background read.
//
// Locks. One: Server.mu, around the registry and totals, held for a few map operations and never over I/O
// or a callback. Everything of a connection belongs to its goroutine; what others may read is atomic.
//
// redcon is the listener and the encoder (guard.go, encode.go); loop.go says why its connection loop is not
// used.
//
// Pushes. Messages from other goroutines to a client (pub/sub, watches) are not built yet; Push values are.
// Their place is a bounded queue in Conn with its own mutex, filled by the publisher without blocking
// (overflow is the publisher's to decide), and emptied into workspace.out by flush in loop.go, between
// replies and never inside one (writeOut, which flush calls, also writes the beginning of a long reply). A
// connection at rest has no workspace and is blocked in fill; so the first push to an empty queue must hand
// the write to a goroutine that the connection owns, with one mutex around write for it and flush.
//
// Refused here: commands, authentication rules (only the size limits that depend on it), sub-protocols
// other than RESP, writing to a client from anywhere but its goroutine, waiting for a slow client beyond
// the write timeout.
package resp
