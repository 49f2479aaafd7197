package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// A watcher follows all keys of the partitions and records what it is told. It breaks off by itself in the
// middle of anything, and is broken off by faults; each time it goes on at the revision after the last one
// it has whole, most often at its own node, at times at another, and now and then it goes back and is told
// a stretch again. What it was told is judged at the end, against the archive (check_watch.go).
type watcher struct {
	run   *run
	rng   *rand.Rand
	form  *watchForm
	addrs []string // the first is its own node
	conn  *wire.Conn
	first int64        // the first revision that it ever asks for
	next  atomic.Int64 // the first revision that it does not have whole
	log   []told

	until   time.Time // when it breaks off by itself
	frames  int
	problem error
}

// The pace of slow watchers, and how long a connection lasts.
const (
	slowFrames = 100
	slowPause  = 600 * time.Millisecond
	slowSpread = 2000 * time.Millisecond
	slowBuffer = 16 << 10 // two packets: below that, TCP waits for its timers
	leastLife  = 500 * time.Millisecond
	lifeSpread = 6 * time.Second
	lookBack   = 5000 // revisions; several chunks of history, as the hub reads it
)

// follow starts watchers at every node. They go on after the load has ended, until the returned function
// is called, which waits for them. REQUIRES: no write of this segment was sent yet.
func (r *run) follow(t testing.TB, nodes []*node.Node) (end func()) {
	t.Helper()
	var from int64
	node.Eventually(t, 20*time.Second, "the revision to watch from", func() error {
		reply, err := wire.Once(nodes[0].ClientAddr, clientTimeout, "KV.RANGE", "p", "COUNTONLY")
		rev, ok := reply.Field("revision")
		if from = rev.Int() + 1; err == nil && !ok {
			err = fmt.Errorf("KV.RANGE: %s", reply)
		}
		return err
	})
	r.hurry = make(chan struct{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range nodes {
		var addrs []string
		for j := range nodes {
			addrs = append(addrs, nodes[(i+j)%len(nodes)].ClientAddr)
		}
		for _, f := range watchForms {
			w := &watcher{run: r, form: f, addrs: addrs, first: from,
				rng: rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, uint64(7000+len(r.watchers))))}
			w.next.Store(from)
			r.watchers = append(r.watchers, w)
			wg.Go(func() { w.drive(stop) })
		}
	}
	var once sync.Once
	return func() { once.Do(func() { close(stop); wg.Wait() }) }
}

func (w *watcher) drive(stop <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := w.ask(); err == nil {
			w.listen(stop)
		}
		w.close()
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

func (w *watcher) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
		w.log = append(w.log, told{kind: broke})
	}
}

var errRefused = errors.New("the watch was refused")

// ask opens a connection and a watch from where the watcher is.
func (w *watcher) ask() error {
	addr := w.addrs[0]
	if w.rng.IntN(3) == 0 {
		addr = w.addrs[w.rng.IntN(len(w.addrs))]
	}
	conn, err := wire.Dial(addr)
	if err != nil {
		return err
	}
	w.conn = conn
	w.until = time.Now().Add(leastLife + time.Duration(w.rng.Int64N(int64(lifeSpread))))
	w.conn.Timeout = clientTimeout / time.Duration(1+w.rng.IntN(3))
	if w.form.slow {
		if err := conn.TCP().SetReadBuffer(slowBuffer); err != nil {
			return err
		}
	}
	if w.form.resp3 {
		if r, err := conn.Do("HELLO", "3"); err != nil || r.IsErr() {
			return errors.Join(errRefused, err)
		}
	}
	from := w.next.Load()
	if w.rng.IntN(4) == 0 {
		from = max(w.first, from-w.rng.Int64N(lookBack))
	}
	w.log = append(w.log, told{kind: asked, revision: from})
	r, err := conn.Do(w.form.args(from)...)
	if err == nil && r.IsErr() {
		err = w.refused(r.Text)
	}
	return err
}

// refused files the refusal of a watch: that its history is compacted is an answer.
func (w *watcher) refused(text string) error {
	var compacted int64
	if _, err := fmt.Sscanf(text, "COMPACTED %d ", &compacted); err == nil {
		w.note(told{kind: canceled, revision: compacted})
		return errRefused
	}
	for _, prefix := range definite {
		if strings.HasPrefix(text, prefix) {
			return errRefused
		}
	}
	w.problem = fmt.Errorf("%s was refused: %s", w.form.name, text)
	return errRefused
}

// listen records until the connection breaks or has lasted its time.
func (w *watcher) listen(stop <-chan struct{}) {
	for time.Now().Before(w.until) {
		select {
		case <-stop:
			return
		default:
		}
		w.dawdle()
		r, err := w.conn.Read()
		if err != nil {
			return
		}
		all, err := w.form.read(r)
		if err != nil {
			w.problem = err
			return
		}
		for _, t := range all {
			if w.note(t); t.kind == canceled {
				return
			}
		}
	}
}

// dawdle lets a slow watcher stop reading for a while; when the load has ended it hurries.
func (w *watcher) dawdle() {
	if w.frames++; !w.form.slow || w.frames%slowFrames != 0 {
		return
	}
	pause := time.NewTimer(slowPause + time.Duration(w.rng.Int64N(int64(slowSpread))))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-w.run.hurry:
	}
}

// note records one thing and keeps the place to resume from.
func (w *watcher) note(t told) {
	w.log = append(w.log, t)
	next := w.next.Load()
	switch {
	case t.kind == event && t.end, t.kind == progress:
		next = max(next, t.revision+1)
	case t.kind == canceled:
		next = max(next, t.revision)
	}
	w.next.Store(next)
}

// setFacts derives from the archive, which is complete up to a revision, what watchers must be told.
func (r *run) setFacts(n *node.Node, through int64) error {
	reply, err := wire.Once(n.ClientAddr, clientTimeout, "KV.HASH")
	compacted, ok := reply.Field("compact_revision")
	if err == nil && !ok {
		err = fmt.Errorf("KV.HASH: %s", reply)
	}
	r.facts = r.archive.facts(r.first, r.partitions(), through, compacted.Int())
	return err
}

// awaitWatchers lets slow watchers hurry, waits until each watcher has been told everything that the
// archive has, and returns how long that took.
func (r *run) awaitWatchers(t testing.TB) time.Duration {
	t.Helper()
	close(r.hurry)
	from, revision := time.Now(), r.facts.through
	node.Eventually(t, 30*time.Second, "every watcher is told everything", func() error {
		for _, w := range r.watchers {
			if next := w.next.Load(); next <= revision {
				return fmt.Errorf("%s at %s waits for revision %d of %d", w.form.name, w.addrs[0], next, revision)
			}
		}
		return nil
	})
	return time.Since(from)
}
