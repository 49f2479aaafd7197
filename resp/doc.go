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
//   - outbox    pushes from other goroutines, between replies; head of push.go has the design
//   - parser    bytes to commands; head of parser.go has the design
//   - workspace all buffers of a batch, borrowed from a pool only while there is something to do
//
// Goroutines. Serve runs redcon's accept loop on the caller's goroutine. Each connection has one goroutine
// (Conn.run) that reads, calls the handler and writes, and while a command waits long, a second one with
// one pending Read (background.go); while it rests and pushes wait, one that writes them (push.go).
// Server.Close ends and waits for all of them; a connection waits for its
// background read and its writer.
//
// Locks. Server.mu, around the registry and totals, handshakes.mu, around the list of those under way, and
// outbox.mu, around one connection's queue of pushes; never held together, over I/O or over a callback.
// Everything of a connection belongs to its goroutine; what others may read is atomic.
//
// redcon is the listener and the encoder (guard.go, encode.go); loop.go says why its connection loop is not
// used.
//
// Refused here: commands, authentication rules (only the size limits that depend on it), sub-protocols
// other than RESP, writing to a client while its goroutine serves it, waiting for a slow client beyond
// the write timeout (pushes, whose queue is bounded, may wait longer).
package resp
