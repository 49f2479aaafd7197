package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// turnPrefix begins every lock's name; what is written under a lock has the lock's name and writtenSuffix.
const (
	turnPrefix    = "turn:"
	writtenSuffix = "=written"
)

// entry is one event of a place in a queue or of a fenced value, as the nodes keep it.
type entry struct {
	kind            string // put, delete, expire
	key, value      string
	revision, token int64 // token is the create revision of a put
}

// journal is every change of every lock of a segment, in the order of the log. It is read with KV.WATCH from
// the past, before a compaction and at the end. Since who holds is not written anywhere but follows from the
// places, a naive replay of the journal says who held at each revision (checkJournal).
type journal struct {
	entries []entry
	through int64
}

// collect adds what has happened since the last call.
func (j *journal) collect(addr string) error {
	conn, err := wire.Dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.Timeout = 10 * time.Second
	r, err := conn.Do("KV.RANGE", turnPrefix, "COUNTONLY")
	if err != nil {
		return err
	}
	upto, ok := r.Field("revision")
	if !ok {
		return fmt.Errorf("KV.RANGE: %s", r)
	}
	from := strconv.FormatInt(max(j.through+1, 1), 10)
	r, err = conn.Do("KV.WATCH", turnPrefix, "PREFIX", "REV", from, "PROGRESS", "100")
	if err != nil || r.IsErr() {
		return fmt.Errorf("KV.WATCH: %s, %v", r, err)
	}
	for j.through < upto.Int() {
		if r, err = conn.Read(); err != nil {
			return err
		}
		if len(r.Elems) != 4 || r.Elems[0].Text != "watch" {
			return fmt.Errorf("KV.WATCH: %s", r)
		}
		j.add(r.Elems[2].Int(), r.Elems[3].Elems)
	}
	return nil
}

// add takes one revision; without events it is a sign of progress.
func (j *journal) add(revision int64, events []wire.Reply) {
	if revision <= j.through {
		return
	}
	j.through = revision
	for _, e := range events {
		record := e.Elems[1]
		key, _ := record.Field("key")
		value, _ := record.Field("value")
		token, _ := record.Field("create_revision")
		j.entries = append(j.entries, entry{e.Elems[0].Text, key.Text, value.Text, revision, token.Int()})
	}
}

// standing is one place in a queue.
type standing struct {
	key, value  string
	token       int64
	shared      bool
	held        bool
	heldAt      int64  // revision
	waited      bool   // it did not hold at once
	ended       string // how: delete, expire; empty if it has not
	endedAt     int64  // revision
	predecessor int64  // token of the place whose end handed over; 0 if it held at once
}

// replayed is what the journal says: every place by its token, and the values written under each lock.
type replayed struct {
	places map[int64]*standing
	values map[string]int64 // fenced value -> revision
	queues map[string][]*standing

	proclaims int
}

// replay is the naive model of the rules: the first of a queue holds; if it is shared, so do the shared ones
// right behind it. It returns an error at the first fenced write of one who did not hold, and at a token
// that does not rise.
func (j *journal) replay() (*replayed, error) {
	w := &replayed{places: map[int64]*standing{}, values: map[string]int64{}, queues: map[string][]*standing{}}
	for _, e := range j.entries {
		name, isValue := strings.CutSuffix(e.key, writtenSuffix)
		if !isValue {
			name = e.key[:strings.LastIndexByte(e.key, '/')]
		}
		var err error
		switch {
		case isValue:
			err = w.write(name, e)
		case e.kind == "put" && w.places[e.token] != nil && w.places[e.token].key == e.key:
			err = w.write(name, e) // a leader proclaims
		case e.kind == "put":
			err = w.enter(name, e)
		default:
			err = w.leave(name, e)
		}
		if err != nil {
			return w, fmt.Errorf("revision %d: %w", e.revision, err)
		}
	}
	return w, nil
}

func (w *replayed) enter(name string, e entry) error {
	q := w.queues[name]
	if len(q) > 0 && q[len(q)-1].token >= e.token {
		return fmt.Errorf("%s got token %d behind token %d", e.key, e.token, q[len(q)-1].token)
	}
	p := &standing{key: e.key, value: e.value, token: e.token, shared: strings.HasPrefix(e.value, "s")}
	w.places[e.token] = p
	w.queues[name] = append(q, p)
	w.promote(name, e.revision, 0)
	p.waited = !p.held
	return nil
}

func (w *replayed) leave(name string, e entry) error {
	q := w.queues[name]
	i := slices.IndexFunc(q, func(p *standing) bool { return p.key == e.key })
	if i < 0 {
		return fmt.Errorf("%s ended and was in no queue", e.key)
	}
	q[i].ended, q[i].endedAt = e.kind, e.revision
	w.queues[name] = slices.Delete(slices.Clone(q), i, i+1)
	w.promote(name, e.revision, q[i].token)
	return nil
}

// promote notes who holds now.
func (w *replayed) promote(name string, revision, by int64) {
	for i, p := range w.queues[name] {
		if i > 0 && !(p.shared && w.queues[name][i-1].shared) {
			return
		}
		if !p.held {
			p.held, p.heldAt, p.predecessor = true, revision, by
		}
	}
}

func (w *replayed) write(name string, e entry) error {
	w.values[e.value] = e.revision
	token := tokenIn(e.value)
	p := w.places[token]
	switch {
	case p == nil || !p.held || p.ended != "":
		return fmt.Errorf("%s was written by token %d, which did not hold it", name, token)
	case e.key == p.key:
		w.proclaims++
	}
	return nil
}

// tokenIn is the token that a fenced value begins with.
func tokenIn(value string) int64 {
	text, _, _ := strings.Cut(value, " ")
	token, _ := strconv.ParseInt(text, 10, 64)
	return token
}
