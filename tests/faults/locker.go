package faults

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// Times of those who take locks: no lease outlasts a round of faults by much.
const (
	lockNames = 3 // turn:a and on; elections are turn:m and on
	elections = 2
	lockTTL   = time.Second
	lockWait  = 2 * time.Second
)

// turn is one place that a client was told to hold, and what it did with it. Of an election, what it writes
// is what it proclaims.
type turn struct {
	election         bool
	name, key, lease string
	shared           bool
	token            int64
	call, got        int64
	writes           []fenced
	promised         int64 // until when its lease may not end, as far as the client knows
	lostAt           int64 // when it was answered LOCKLOST; 0 if it was not
	released         int64 // when its release was acknowledged
	giving           bool  // it has asked to release
}

// fenced is one write under a lock.
type fenced struct {
	value string
	fate  fate
}

// locker is a client that takes locks in turn, alone or together with others, writes under them with FENCE,
// and now and then behaves badly: it goes away while it waits, dies while it holds, sleeps for longer than
// its lease lasts and then writes, and uses tokens that are not its own any more.
type locker struct {
	run     *run
	rng     *rand.Rand
	id      int
	addr    string
	conn    *wire.Conn
	serial  int
	lease   string // of its own, for LEASE; empty for none
	last    *turn  // released for certain
	turns   []*turn
	late    int      // uses of old tokens that were refused
	gone    []string // values of places that it left by going away
	inVain  int      // waits that ended without the lock
	problem error
}

func (r *run) newLocker(addr string) *locker {
	id := len(r.lockers)
	l := &locker{run: r, addr: addr, id: id,
		rng: rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, uint64(7000+id)))}
	r.lockers = append(r.lockers, l)
	return l
}

// drive takes locks until the run ends.
func (l *locker) drive() {
	defer l.close()
	tick := time.NewTicker(l.run.profile.Pace)
	defer tick.Stop()
	for {
		select {
		case <-l.run.stop:
			return
		case <-tick.C:
			l.once()
		}
	}
}

func (l *locker) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
	l.lease = "" // whatever it is in, it ends by itself
}

// chance is true once in n times.
func (l *locker) chance(n int) bool { return l.rng.IntN(n) == 0 }

func (l *locker) complain(format string, args ...any) {
	if l.problem == nil {
		l.problem = fmt.Errorf("lock client %d: "+format, append([]any{l.id}, args...)...)
	}
}

// do sends one command; ok is false iff there is no answer, and then the connection is gone.
func (l *locker) do(args ...string) (r wire.Reply, ok bool) {
	if l.conn == nil {
		conn, err := wire.Dial(l.addr)
		if err != nil {
			return r, false
		}
		conn.Timeout = lockWait + clientTimeout
		l.conn = conn
	}
	r, err := l.conn.Do(args...)
	if err != nil {
		l.close()
	}
	return r, err == nil
}

// fateOf sorts an answer: done, refused (as LOCKLOST or another promise that nothing was done), unknown.
func fateOf(r wire.Reply, ok bool) fate {
	switch {
	case !ok:
		return unknown
	case !r.IsErr():
		return done
	case isLost(r):
		return refused
	}
	for _, prefix := range definite {
		if strings.HasPrefix(r.Text, prefix) {
			return refused
		}
	}
	return unknown
}

func isLost(r wire.Reply) bool {
	return r.IsErr() && (strings.HasPrefix(r.Text, "LOCKLOST ") || strings.HasPrefix(r.Text, "NOTLEADER "))
}

// once is one attempt at a lock.
func (l *locker) once() {
	l.serial++
	t := &turn{name: turnPrefix + string(rune('a'+l.rng.IntN(lockNames))), shared: l.chance(3)}
	if l.chance(4) {
		t.name, t.shared, t.election = turnPrefix+string(rune('m'+l.rng.IntN(elections))), false, true
	}
	args := l.request(t)
	t.call = l.run.now()
	r, ok := l.do(args...)
	t.got = l.run.now()
	switch {
	case fateOf(r, ok) == unknown && ok && !strings.HasPrefix(r.Text, "UNCERTAIN ") &&
		!strings.HasPrefix(r.Text, "NOLEASE "):
		l.complain("%q was answered %q", args, r.Text)
	case fateOf(r, ok) != done:
		l.close()
	case r.Null:
		l.inVain++
	case len(r.Elems) != 3:
		l.complain("%q was answered %s", args, r)
	default:
		t.key, t.token, t.lease = r.Elems[0].Text, r.Elems[1].Int(), r.Elems[2].Text
		if t.promised == 0 {
			t.promised = t.call + int64(lockTTL)
		}
		l.turns = append(l.turns, t)
		l.hold(t)
	}
}

// enter, write, keep and leave are the commands of a turn; enter lacks TTL or LEASE.
func (t *turn) enter(value string) []string {
	args := []string{"LOCK.ACQUIRE", t.name, "VALUE", value, "WAIT", millis(lockWait)}
	switch {
	case t.election:
		return []string{"ELECTION.CAMPAIGN", t.name, value, "WAIT", millis(lockWait)}
	case t.shared:
		return append(args, "SHARED")
	}
	return args
}

func (t *turn) write(value string) []string {
	token := strconv.FormatInt(t.token, 10)
	if t.election {
		return []string{"ELECTION.PROCLAIM", t.name, token, value}
	}
	return []string{"SET", t.name + writtenSuffix, value, "FENCE", t.name, token}
}

func (t *turn) keep() []string {
	if t.election {
		return []string{"LEASE.KEEPALIVE", t.lease}
	}
	return []string{"LOCK.KEEPALIVE", t.name, strconv.FormatInt(t.token, 10)}
}

func (t *turn) leave() []string {
	if t.election {
		return []string{"ELECTION.RESIGN", t.name, strconv.FormatInt(t.token, 10)}
	}
	return []string{"LOCK.RELEASE", t.name, strconv.FormatInt(t.token, 10)}
}

// request makes the command: on a lease of its own, which is granted first, or on one made for the lock.
func (l *locker) request(t *turn) []string {
	value := fmt.Sprintf("x%d.%d", l.id, l.serial)
	if t.shared {
		value = "s" + value[1:]
	}
	args := t.enter(value)
	if l.lease == "" && l.chance(2) {
		if r, ok := l.do("LEASE.GRANT", millis(lockTTL)); fateOf(r, ok) == done {
			l.lease = r.Text
		}
	}
	if l.lease != "" && l.chance(2) {
		call := l.run.now()
		if r, ok := l.do("LEASE.KEEPALIVE", l.lease); fateOf(r, ok) == done {
			t.promised = call + int64(lockTTL)
			return append(args, "LEASE", l.lease)
		}
		l.lease = ""
	}
	return append(args, "TTL", millis(lockTTL))
}

// vanish enters the queue behind itself over another connection, which goes away while it waits.
func (l *locker) vanish(t *turn) {
	conn, err := wire.Dial(l.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	l.serial++
	value := fmt.Sprintf("x%d.%d", l.id, l.serial)
	queue := turn{name: t.name, election: t.election}
	if conn.Send(wire.Encode(append(queue.enter(value), "TTL", millis(lockTTL))...)) == nil {
		l.gone = append(l.gone, value)
		hold(time.Duration(2+l.rng.IntN(20)) * time.Millisecond)
	}
}

// hold writes under the lock and gives it back.
func (l *locker) hold(t *turn) {
	defer func() {
		if t.released == 0 {
			l.lease = "" // it may hold still, and would be given the same place again
		}
	}()
	if l.last != nil && l.chance(4) {
		l.useOldToken()
	}
	if l.chance(10) {
		l.vanish(t)
	}
	for range 1 + l.rng.IntN(3) {
		if !l.write(t) {
			return
		}
	}
	switch {
	case l.chance(150): // it dies
		l.close()
		return
	case l.chance(150): // it sleeps for too long
		hold(lockTTL + 200*time.Millisecond)
		l.write(t)
	case l.chance(20): // it works for longer
		for range 3 {
			hold(time.Duration(10+l.rng.IntN(100)) * time.Millisecond)
			if !l.keep(t) || !l.write(t) {
				return
			}
		}
	}
	l.release(t)
}

// write returns false if the lock is lost, or nobody knows.
func (l *locker) write(t *turn) bool {
	if l.conn == nil {
		return false
	}
	l.serial++
	value := fmt.Sprintf("%d %d.%d", t.token, l.id, l.serial)
	r, ok := l.do(t.write(value)...)
	f := fateOf(r, ok)
	t.writes = append(t.writes, fenced{value, f})
	return !l.lost(t, r) && f == done
}

// lost notes that the place does not hold any more.
func (l *locker) lost(t *turn, r wire.Reply) bool {
	if isLost(r) && t.lostAt == 0 {
		t.lostAt = l.run.now()
		l.lease = ""
	}
	return isLost(r)
}

func (l *locker) keep(t *turn) bool {
	call := l.run.now()
	r, ok := l.do(t.keep()...)
	if t.election && strings.HasPrefix(r.Text, "NOLEASE ") {
		r.Text = "NOTLEADER " + r.Text // its place has gone with its lease
	}
	if fateOf(r, ok) == done {
		t.promised = call + int64(lockTTL)
	}
	return !l.lost(t, r) && ok
}

func (l *locker) release(t *turn) {
	if l.conn == nil {
		return
	}
	t.giving = true
	r, ok := l.do(t.leave()...)
	switch f := fateOf(r, ok); {
	case l.lost(t, r):
	case f == done:
		t.released, l.last = l.run.now(), t
	default:
		l.close() // the place may be there or not
	}
}

// useOldToken writes and releases with a token that was given back. Neither may be done.
func (l *locker) useOldToken() {
	t := l.last
	all := [][]string{t.write(strconv.FormatInt(t.token, 10) + " late"), t.leave()}
	if !t.election { // a lease may live on without the place
		all = append(all, t.keep())
	}
	for _, args := range all {
		r, ok := l.do(args...)
		if fateOf(r, ok) == done {
			l.complain("%q was answered %s although the token had been given back", args, r)
		}
		if isLost(r) {
			l.late++
		}
	}
}
