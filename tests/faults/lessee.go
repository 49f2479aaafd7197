package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// tenancy is the life of one lease with one key on it, as its client saw it.
type tenancy struct {
	id, key  string
	ttl      time.Duration
	promised int64 // until when it may not end: its TTL after the last acknowledged renewal was asked for
	latest   int64 // when the last renewal was over; forever if one is of unknown outcome
	refused  int64 // when a renewal was answered NOLEASE; 0 if none was
	sights   []sight
}

// sight is a look at the key.
type sight struct {
	call, ret int64
	there     bool
}

// lessee is a client that takes leases, puts a key on each, renews them for a while, stops, and looks when
// the keys go.
type lessee struct {
	run     *run
	rng     *rand.Rand
	id      int
	addr    string
	conn    *wire.Conn
	serial  int
	all     []*tenancy
	problem error
}

// ended is the list of leases that are known to have ended, for those who ask a node that may not know.
type ended struct {
	mu struct {
		sync.Mutex
		ids []string
	}
}

func (e *ended) add(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.ids = append(e.mu.ids, id)
}

// newest returns at most n, the newest ones.
func (e *ended) newest(n int) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.mu.ids[max(len(e.mu.ids)-n, 0):]...)
}

func (r *run) newLessee(addr string) *lessee {
	id := len(r.lessees)
	l := &lessee{run: r, addr: addr, id: id,
		rng: rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, uint64(9000+id)))}
	r.lessees = append(r.lessees, l)
	return l
}

// drive serves one lease after the other until the run ends.
func (l *lessee) drive() {
	defer l.close()
	for !l.stopped(l.run.profile.Pace) {
		l.serial++
		t := &tenancy{ttl: time.Duration(400+l.rng.IntN(1400)) * time.Millisecond}
		t.key = fmt.Sprintf("leased:%d.%d.%d", l.run.first, l.id, l.serial)
		if l.begin(t) {
			l.all = append(l.all, t)
			l.live(t)
			l.watchEnd(t)
		}
	}
}

// stopped waits, and tells whether the run has ended meanwhile.
func (l *lessee) stopped(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.run.stop:
		return true
	case <-timer.C:
		return false
	}
}

func (l *lessee) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

func (l *lessee) do(args ...string) (r wire.Reply, f fate) {
	if l.conn == nil {
		conn, err := wire.Dial(l.addr)
		if err != nil {
			return r, refused
		}
		conn.Timeout = clientTimeout
		l.conn = conn
	}
	r, err := l.conn.Do(args...)
	if err != nil {
		l.close()
	}
	return r, fateOf(r, err == nil)
}

// begin grants the lease and writes the key; false if either is not certain.
func (l *lessee) begin(t *tenancy) bool {
	call := l.run.now()
	r, f := l.do("LEASE.GRANT", millis(t.ttl))
	if f != done {
		return false
	}
	t.id, t.promised, t.latest = r.Text, call+int64(t.ttl), l.run.now()
	_, f = l.do("SET", t.key, "v", "LEASE", t.id)
	return f == done
}

// live renews the lease a few times, and looks at the key between.
func (l *lessee) live(t *tenancy) {
	for range l.rng.IntN(6) {
		if l.stopped(t.ttl / 3) {
			return
		}
		call := l.run.now()
		r, f := l.do("LEASE.KEEPALIVE", t.id)
		switch now := l.run.now(); {
		case f == done && r.Int() != t.ttl.Milliseconds():
			l.problem = fmt.Errorf("a renewal of %v was answered %s", t.ttl, r)
		case f == done:
			t.promised = call + int64(t.ttl)
			t.latest = max(t.latest, now)
		case strings.HasPrefix(r.Text, "NOLEASE "):
			t.refused = now
			l.look(t)
			return
		case f == unknown:
			t.latest = forever
		}
		l.look(t)
	}
}

// look reads the key; gone is true iff it is known to be gone.
func (l *lessee) look(t *tenancy) (gone bool) {
	call := l.run.now()
	r, f := l.do("GET", t.key)
	if f != done {
		return false
	}
	t.sights = append(t.sights, sight{call, l.run.now(), !r.Null})
	return r.Null
}

// watchEnd looks at the key until it is gone.
func (l *lessee) watchEnd(t *tenancy) {
	for !l.look(t) {
		if l.stopped(25 * time.Millisecond) {
			return
		}
	}
	l.run.ended.add(t.id)
}

// askEnded sends renewals of ended leases to a node that was paused, and may have led when it was; sent is
// done when they are on their way, and all when they are answered.
func (r *run) askEnded(n *node.Node, all, sent *sync.WaitGroup) {
	for _, id := range r.ended.newest(4) {
		l := r.newLessee(n.ClientAddr)
		sent.Add(1)
		all.Go(func() {
			defer l.close()
			conn, err := wire.Dial(n.ClientAddr)
			if err == nil {
				conn.Timeout, l.conn = clientTimeout, conn
				err = conn.Send(wire.Encode("LEASE.KEEPALIVE", id))
			}
			sent.Done()
			if err != nil {
				return
			}
			if reply, err := conn.Read(); err == nil && !reply.IsErr() {
				l.problem = fmt.Errorf("%s renewed lease %s, which had ended before: %s", n.Name, id, reply)
			}
		})
	}
}
