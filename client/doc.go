// Package client is what a Go program needs beside an ordinary Redis client: a watch that survives the
// loss of its connection and of its node.
//
// Types to know:
//
//   - Client    the endpoints of a cluster and how to reach them
//   - Response  the events of one revision, progress, or why a watch ended
//   - Event     one change of one key
//   - Option    what to watch and from when
//
// For everything else use go-redis, on which this package stands, or any other Redis client.
//
// Goroutines: one per watch. It ends when the watch's context does, and Client.Close waits for all of them.
// Locks: none.
//
// The package refuses to: hide that history was compacted, tell a part of a revision, repeat a command that
// changes something.
package client
