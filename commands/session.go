package commands

import (
	"cmp"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/resp"
)

// session is what a connection remembers between commands, and the scratch space it serves them in.
type session struct {
	id   uint64
	conn *resp.Conn // for the dispatcher and CLIENT LIST; a handler does not touch it

	// Only the goroutine that serves the connection uses these.
	proto   int
	local   bool // READONLY: reads answer from this node's state without a barrier
	follows bool // it is a cluster client's: see redirect.go
	closing bool // close the connection after this reply
	call    call // the command being gated or planned
	reading call // the read being run, while call already holds the command that ended its run
	view    view
	run     run
	tx      transaction
	who     identity
	subscriptions
	certificate string // the user that the connection's certificate names; "": none

	holds   []*locks.Hold // what it acquired in RESP3: see holding.go
	muted   muting        // CLIENT REPLY
	written cluster.Index // the log holds all writes of this connection up to here

	streaming *os.File // what the reply being written is made from

	waiter atomic.Pointer[waiter] // what CLIENT UNBLOCK wakes; nil: not waiting

	// Shown by CLIENT LIST to other connections.
	shownLocal atomic.Bool
	ended      atomic.Bool // the connection is closed
	noEvict    atomic.Bool
	noTouch    atomic.Bool
	last       atomic.Pointer[Command]
	queued     atomic.Int64 // commands queued by MULTI; -1 outside
	watching   atomic.Int64 // keys
	revising   atomic.Bool  // it changes users itself, and closes after its own reply

	mu struct {
		sync.Mutex
		labels
		claims []claim // what it listens to
	}
}

// labels are what a client tells of itself.
type labels struct{ name, libName, libVersion string }

func (s *session) labels() labels {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.labels
}

func (s *session) label(change func(*labels)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.mu.labels)
}

func (s *session) setLocal(local bool) {
	s.local = local
	s.shownLocal.Store(local)
}

// reset takes the session back to how the connection began.
func (s *session) reset() {
	s.proto = 2
	s.muted = replyAll
	s.setLocal(false)
	s.follows = false
	s.tx.drop()
	s.noEvict.Store(false)
	s.noTouch.Store(false)
	s.label(func(l *labels) { l.name = "" })
}

// session returns the session of a connection, making it at the connection's first command.
func (d *Dispatcher) session(conn *resp.Conn) *session {
	if s, ok := conn.Session.(*session); ok {
		return s
	}
	s := &session{id: conn.ID(), conn: conn, proto: conn.Proto()}
	s.run.owner = s.id
	s.call.d, s.reading.d = d, d
	s.call.tx, s.reading.tx, s.tx.s = &s.tx, &s.tx, s
	s.call.s, s.reading.s = s, s
	s.queued.Store(-1)
	s.view.leases.table = d.engine.Leases()
	conn.Session = s
	if named := d.cfg.CertificateName; named != nil {
		s.certificate = named(conn)
		s.arrive(d)
		s.who.changed = false
		conn.Authenticated(s.who.account != nil)
	}
	d.mu.Lock()
	d.mu.sessions[s.id] = s
	d.mu.Unlock()
	return s
}

// Closed forgets a connection.
func (d *Dispatcher) Closed(conn *resp.Conn) {
	d.monitors.remove(conn.ID())
	if s, ok := conn.Session.(*session); ok {
		s.ended.Store(true)
		s.endSubscriptions(d)
		s.endHolds(d)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.sessions, conn.ID())
}

// sessions returns the connections that have sent a command, oldest first.
func (d *Dispatcher) sessions() []*session {
	d.mu.Lock()
	all := make([]*session, 0, len(d.mu.sessions))
	for _, s := range d.mu.sessions {
		all = append(all, s)
	}
	d.mu.Unlock()
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	return all
}
