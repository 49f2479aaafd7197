// Package pubsub tells clients what happens: every change of the keys they watch, in order and once, from
// any revision that is still there; published messages; keyspace notifications; and which keys they had
// cached are stale.
//
// Types to know:
//
//   - Hub           follows one member's apply and serves the subscriptions of its clients; head of hub.go
//   - Spec          what a watch wants: keys, first revision, filters
//   - Subscription  one watch, channel or pattern of one client
//   - Sink          one client's queue, supplied by the caller; it may refuse
//   - Encoder       makes frames of events, once for all clients that want the same
//   - Tracker       the keys that clients have read and cache
//
// Where things are: hub.go the inbox and the goroutine, watch.go live delivery, catchup.go history,
// index.go which watches a key concerns, channels.go messages, notify.go the names of changes, json.go the
// payload, tracking.go invalidations.
//
// Goroutines: one, the hub's, started by Start and waited for by Close. Locks: Hub.mu (the inbox), held for
// an append; registry.mu (who listens, for counts); Tracker.mu. None is held while another is taken, while
// the store is read, or while a sink is called.
//
// The folder refuses to: make apply wait, keep a slow client's events in memory beyond its queue, drop an
// event of a watch without saying so, write to a socket, know the protocol or the names of commands.
package pubsub
