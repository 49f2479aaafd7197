package migrate

// Writing to a destination exactly once, in order, although every connection may break.
//
// Idea. Beside the keys the destination holds one key of ours, the bookmark, which says how far we are.
// Every batch of writes is a MULTI that also writes the bookmark, under a WATCH of the bookmark that was
// made before: so the batch is done if and only if the bookmark says so, and it is not done if anybody else
// moved it. Both Redkeep and Redis know these commands; nothing here depends on which of them it is. The
// next WATCH, and a GET that shows what it watches, go in the same pipeline behind EXEC: a batch costs one
// round trip.
//
// Invariants.
//  1. mark is the bookmark we committed last; seen is the bookmark as the present connection watches it.
//  2. A batch is sent only while seen == mark. seen == the batch's own bookmark means that it was done by an
//     attempt whose reply was lost; any other seen means that somebody else writes here.
//  3. After any failure the connection is given up, and the next one begins with WATCH and GET.
//
// A transaction whose connection broke may still be done after the new connection has read the bookmark; then
// the WATCH fails the repetition, and rule 2 finds it done.
//
// Rejected: a state file beside the program (it and the keys are never of the same moment); KV.TXN with a
// guard (Redis does not have it, and its lists are short). Drawback: Redis does not undo a MULTI of which
// one command fails; then the bookmark is put back, and what else the batch wrote is written again next
// time.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Write is one change of one key.
type Write struct {
	Key, Value string
	Delete     bool
	Deadline   int64  // Unix milliseconds; 0 for none
	Lease      *Lease // nil for none
	ifMissing  bool
}

// Lease is a lease of the source.
type Lease struct {
	ID     uint64
	Millis int64 // what it is granted for
	Keys   int
}

// Name is the lease's id as the protocol has it.
func (l *Lease) Name() string { return fmt.Sprintf("%016x", l.ID) }

// words is the command that does it.
func (w *Write) words() []any {
	if w.Delete {
		return []any{"DEL", w.Key}
	}
	words := []any{"SET", w.Key, w.Value}
	if w.Lease != nil {
		words = append(words, "LEASE", w.Lease.Name())
	}
	if w.ifMissing {
		words = append(words, "NX")
	}
	if w.Deadline > 0 {
		words = append(words, "PXAT", w.Deadline)
	}
	return words
}

func (w *Write) size() int { return len(w.Key) + len(w.Value) + 64 }

// Outcome counts what became of writes.
type Outcome struct {
	Written, Kept, Deleted, Ended int64
}

func (o *Outcome) add(p Outcome) {
	o.Written += p.Written
	o.Kept += p.Kept
	o.Deleted += p.Deleted
	o.Ended += p.Ended
}

// TargetConfig says where a destination is.
type TargetConfig struct {
	Nodes  []*redis.Options // any of them will do
	Key    string           // the bookmark's
	Wait   time.Duration    // how long it may take no writes; 0: for ever
	Notice func(string)     // tells the user what is waited for
}

// Target is a destination. It belongs to one goroutine.
type Target struct {
	key      string
	nodes    []*redis.Options
	next     int // which of nodes to try
	patience patience
	peer     peer
	client   *redis.Client
	conn     *redis.Conn // nil: not connected
	mark     string
	seen     string
	longest  int // bytes of a request that the destination takes; 0: unknown
}

// OpenTarget connects to a destination and finds out what it is.
func OpenTarget(ctx context.Context, cfg TargetConfig) (*Target, error) {
	t := &Target{key: cfg.Key, nodes: cfg.Nodes,
		patience: patience{who: "the destination", limit: cfg.Wait, notice: cfg.Notice}}
	var err error
	for range t.nodes {
		if err = t.connect(ctx); err == nil {
			t.mark = t.seen
			return t, nil
		}
	}
	return nil, fmt.Errorf("the destination cannot be used: %w", err)
}

// Close ends the connection.
func (t *Target) Close() {
	if t.conn != nil {
		_ = t.conn.Close()
		_ = t.client.Close()
		t.conn = nil
	}
}

// connect makes a connection to the next node, and watches the bookmark on it.
func (t *Target) connect(ctx context.Context) error {
	t.Close()
	options := t.nodes[t.next%len(t.nodes)]
	t.next++
	t.client = redis.NewClient(options)
	t.conn = t.client.Conn()
	is, err := identify(ctx, t.conn)
	if err == nil {
		err = t.peer.accept(is)
	}
	if err == nil {
		t.longest = longestRequest(ctx, t.conn)
		pipe := t.conn.Pipeline()
		pipe.Do(ctx, "WATCH", t.key)
		got := pipe.Do(ctx, "GET", t.key)
		_, err = pipe.Exec(ctx)
		t.seen, _ = got.Text()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Close()
		return fmt.Errorf("%s: %w", options.Addr, err)
	}
	return nil
}

// retry does something on a connection until it succeeds or trying again cannot help.
func (t *Target) retry(ctx context.Context, do func() error) error {
	for {
		var err error
		if t.conn == nil {
			err = t.connect(ctx)
		}
		if err == nil {
			err = do()
		}
		if err == nil {
			t.patience.over()
			return nil
		}
		t.Close()
		if err = t.patience.again(ctx, err); err != nil {
			return err
		}
	}
}

// Commit does all writes and puts the bookmark, in one transaction, once. An empty bookmark removes it.
func (t *Target) Commit(ctx context.Context, writes []Write, mark string) (done Outcome, err error) {
	err = t.retry(ctx, func() error {
		switch t.seen {
		case mark:
			done = assumed(writes)
			return nil
		case t.mark:
			done, err = t.attempt(ctx, writes, mark)
			return err
		}
		return ErrElsewhere
	})
	if err == nil {
		t.mark = mark
	}
	return done, err
}

// assumed is the outcome of a batch whose reply was lost.
func assumed(writes []Write) (o Outcome) {
	for i := range writes {
		if writes[i].Delete {
			o.Deleted++
		} else {
			o.Written++
		}
	}
	return o
}

// errMoved means that the transaction was not done because the bookmark is another than was watched.
var errMoved = errors.New("the bookmark at the destination has moved")

// most is how many bytes of writes may go into one transaction: as many as are wanted, or as the destination
// takes. Half of what it takes, for the words around a short key weigh as much as the key.
func (t *Target) most(wanted int) int {
	if t.longest > 0 {
		return min(wanted, t.longest/2)
	}
	return wanted
}

// fits refuses a write that is larger than any request may be: the destination would only cut the connection.
func (t *Target) fits(writes []Write) error {
	for i := range writes {
		if w := &writes[i]; t.longest > 0 && w.size() > t.longest {
			return refusef("the key %q has a value of %d bytes, and the destination takes requests up to %d: "+
				"raise --max-request-bytes of its nodes (proto-max-bulk-len, if it is a Redis)",
				w.Key, len(w.Value), t.longest)
		}
	}
	return nil
}

func (t *Target) attempt(ctx context.Context, writes []Write, mark string) (Outcome, error) {
	if err := t.fits(writes); err != nil {
		return Outcome{}, err
	}
	results, err := t.transact(ctx, writes, mark)
	if err != nil {
		return Outcome{}, explain(err, writes)
	}
	outcome, failed := judge(writes, results)
	if failed == nil {
		return outcome, nil
	}
	if _, err := t.transact(ctx, nil, t.mark); err != nil {
		failed = errors.Join(failed, err)
	}
	return outcome, refusal{failed}
}

// transact sends one transaction and returns EXEC's results, those of writes first.
func (t *Target) transact(ctx context.Context, writes []Write, mark string) ([]any, error) {
	pipe := t.conn.Pipeline()
	pipe.Do(ctx, "MULTI")
	for i := range writes {
		pipe.Do(ctx, writes[i].words()...)
	}
	if mark == "" {
		pipe.Do(ctx, "DEL", t.key)
	} else {
		pipe.Do(ctx, "SET", t.key, mark)
	}
	exec := pipe.Do(ctx, "EXEC")
	pipe.Do(ctx, "WATCH", t.key)
	got := pipe.Do(ctx, "GET", t.key)
	replies, _ := pipe.Exec(ctx)
	for _, r := range replies {
		if err := r.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
	}
	t.seen, _ = got.Text()
	results, err := exec.Slice()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, errMoved
	case err != nil:
		return nil, err
	case len(results) != len(writes)+1:
		return nil, refusef("EXEC answered %d results for %d commands", len(results), len(writes)+1)
	case t.seen != mark:
		return nil, errMoved
	}
	return results, nil
}

// judge reads the results of a transaction. A key whose lease has ended meanwhile has ended with it.
func judge(writes []Write, results []any) (o Outcome, failed error) {
	for i := range writes {
		w := &writes[i]
		switch got := results[i].(type) {
		case error:
			if w.Lease == nil || !strings.HasPrefix(got.Error(), "NOLEASE") {
				return o, fmt.Errorf("the destination refuses the key %q: %w", w.Key, got)
			}
			o.Ended++
		case nil:
			o.Kept++
		case int64:
			o.Deleted += got
		default:
			o.Written++
		}
	}
	return o, nil
}

// explain adds to a refusal of a whole batch what may have caused it.
func explain(err error, writes []Write) error {
	var said redis.Error
	if !errors.As(err, &said) || passes(err) || len(writes) == 0 {
		return err
	}
	largest := &writes[0]
	for i := range writes {
		if writes[i].size() > largest.size() {
			largest = &writes[i]
		}
	}
	return fmt.Errorf("%w (the largest of the %d keys sent at once is %q, of %d bytes)",
		err, len(writes), largest.Key, len(largest.Value))
}
