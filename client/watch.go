package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A watch that survives.
//
// Idea. It knows the next revision it has to tell, from the first moment on: without WithRev that is asked
// from the cluster, linearizable, before the first subscription. So whenever a connection breaks it
// subscribes again, to any node, from exactly there. The events of a revision are gathered until its last
// one and told together; what a broken connection left half told is forgotten and comes again whole.
//
// A node that is paused or cut off keeps its connections and says nothing. So the watch asks for progress,
// takes silence for a break, and now and then asks the node for a linearizable read, which a node without a
// majority cannot answer.
//
// Rejected: go-redis's own reconnection, which subscribes to the same channel again: from the same
// revision, twice, or from now on, with a gap. Drawback: a revision is held in memory whole.

// Response is one step of a watch.
type Response struct {
	// Revision is that of Events; without Events everything up to it has been told.
	Revision Revision
	Events   []Event // of one revision, in order: all that the watch wants of it
	// Err is set in the last response if the watch ended otherwise than by its context: ErrCompacted,
	// ErrUnreachable, or what a node refused the watch for.
	Err             error
	CompactRevision Revision // with ErrCompacted: the oldest revision that is still there
}

// Option says what to watch.
type Option func(*watch)

// WithPrefix watches every key that begins with the key.
func WithPrefix() Option { return func(w *watch) { w.prefix = true } }

// WithRange watches the keys from the key up to end, which is not among them.
func WithRange(end string) Option { return func(w *watch) { w.end = &end } }

// WithFromKey watches every key that is not below the key.
func WithFromKey() Option { return func(w *watch) { w.fromKey = true } }

// WithRev tells what happened from a revision on, history first. 0 is from now on.
func WithRev(rev Revision) Option { return func(w *watch) { w.next = rev } }

// WithPrev adds to each event the record before it.
func WithPrev() Option { return func(w *watch) { w.options += ";prev" } }

// WithoutPut leaves out writes.
func WithoutPut() Option { return func(w *watch) { w.options += ";noput" } }

// WithoutDelete leaves out deletes and expiries.
func WithoutDelete() Option { return func(w *watch) { w.options += ";nodel" } }

// WithProgress tells, about once a second, how far the watch has come when nothing happens.
func WithProgress() Option { return func(w *watch) { w.progress = true } }

// WithFirstAnswer ends the watch with ErrUnreachable if each endpoint has been tried once and none has
// answered. Without it a watch tries until one does; with it, too, once one has.
func WithFirstAnswer() Option { return func(w *watch) { w.needsAnswer = true } }

// progressEvery is how often a node is to say that there is nothing to say.
const progressEvery = 500 * time.Millisecond

// watch is one watch; it belongs to its goroutine.
type watch struct {
	client   *Client
	key      string
	end      *string
	prefix   bool
	fromKey  bool
	progress bool
	options  string
	next     Revision
	out      chan Response
	checked  time.Time // when the node last proved that it has a majority

	needsAnswer bool // see WithFirstAnswer
	answered    bool // some node has said something, if only why it cannot serve now
	followed    bool // in this round some node has taken the watch
	noticed     bool // Config.Notice knows that no endpoint can be followed
}

// Watch tells the changes of a key, or of those that the options name, until ctx ends or it cannot go on;
// then the channel is closed. The reader may be slow: the nodes keep what waits in their history.
func (c *Client) Watch(ctx context.Context, key string, options ...Option) <-chan Response {
	w := &watch{client: c, key: key, out: make(chan Response)}
	for _, o := range options {
		o(w)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.ctx, cancel)
	c.running.Go(func() {
		defer close(w.out)
		defer stop()
		defer cancel()
		w.run(ctx)
	})
	return w.out
}

// fatal is an error that another endpoint would answer, too.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

const (
	shortestPause = 50 * time.Millisecond
	longestPause  = time.Second
)

// run goes around the endpoints. It pauses in between, longer each time that none could be followed.
func (w *watch) run(ctx context.Context) {
	for pause := shortestPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		before := w.next
		failed := w.around(ctx)
		if w.next != before {
			pause = shortestPause
		}
		var end fatal
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(failed, &end):
			w.tell(ctx, Response{Revision: w.next - 1, Err: end.error, CompactRevision: compactedIn(failed)})
			return
		case w.needsAnswer && !w.answered:
			w.tell(ctx, Response{Err: fmt.Errorf("%w: %w", ErrUnreachable, failed)})
			return
		case w.followed:
			w.noticed = false
		case !w.noticed && w.client.cfg.Notice != nil:
			w.noticed = true
			w.client.cfg.Notice(failed)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// around follows each endpoint in turn, until it breaks, and returns why all did; only that one error if it
// is fatal.
func (w *watch) around(ctx context.Context) (failed error) {
	w.followed = false
	for _, endpoint := range w.client.cfg.Endpoints {
		err := w.follow(ctx, endpoint)
		var end fatal
		if ctx.Err() != nil || errors.As(err, &end) {
			return err
		}
		var said redis.Error
		w.answered = w.answered || w.followed || errors.As(err, &said)
		if err = fmt.Errorf("%s: %w", endpoint, err); failed != nil {
			err = fmt.Errorf("%w; %w", failed, err)
		}
		failed = err
	}
	return failed
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *watch) tell(ctx context.Context, r Response) bool {
	select {
	case w.out <- r:
		return true
	case <-ctx.Done():
		return false
	}
}

// compacted ends a watch; revision is the oldest one that is still there.
type compacted struct{ revision Revision }

func (c compacted) Error() string {
	return fmt.Sprintf("%v: the oldest is %d", ErrCompacted, c.revision)
}
func (c compacted) Unwrap() error { return ErrCompacted }

func compactedIn(err error) Revision {
	var c compacted
	if errors.As(err, &c) {
		return c.revision
	}
	return 0
}

// follow watches through one endpoint until something breaks.
func (w *watch) follow(ctx context.Context, endpoint string) error {
	conn := w.client.connect(endpoint)
	defer conn.Close()
	if w.next == 0 {
		now, err := revision(ctx, conn, w.key, w.client.cfg.Silence)
		if err != nil {
			return judge(err)
		}
		w.next, w.answered = now+1, true
	}
	sub := conn.Subscribe(ctx, w.channel())
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // a read does not end with its context
	w.checked = time.Now()
	var gathered []Event
	for {
		m, err := w.receive(ctx, sub)
		if err != nil {
			return judge(err)
		}
		if m == nil {
			continue
		}
		if gathered, err = w.take(ctx, conn, gathered, m); err != nil {
			return err
		}
	}
}

// judge makes an error fatal if it is a node's refusal that is not about the node's state.
func judge(err error) error {
	var said redis.Error
	if !errors.As(err, &said) {
		return err
	}
	for _, state := range statesOfNode {
		if strings.HasPrefix(said.Error(), state) {
			return err
		}
	}
	return fatal{err}
}

// statesOfNode begin the refusals that another node, or the same one later, may not repeat. CORRUPT is what a
// member says that has been fenced off because its state differs.
var statesOfNode = []string{"CLUSTERDOWN ", "BUSY ", "CORRUPT ", "LOADING ", "TRYAGAIN ",
	"ERR max number of clients"}

// receive waits for the next message; nil is a confirmation.
func (w *watch) receive(ctx context.Context, sub *redis.PubSub) (*message, error) {
	got, err := sub.ReceiveTimeout(ctx, w.client.cfg.Silence)
	if err != nil {
		return nil, err
	}
	w.followed = true
	text, ok := got.(*redis.Message)
	if !ok {
		return nil, nil
	}
	m, err := parseMessage(text.Payload)
	if err != nil {
		return nil, fatal{err}
	}
	return &m, nil
}

// take deals with one message; it returns the events of the revision that is not complete yet.
func (w *watch) take(ctx context.Context, conn *redis.Client, gathered []Event, m *message) ([]Event, error) {
	switch m.Type {
	case "canceled":
		if m.Reason == revokedReason {
			return nil, fatal{ErrPermission}
		}
		return nil, fatal{compacted{m.Compact}}
	case "progress":
		return nil, w.tookProgress(ctx, conn, m.Revision)
	}
	if e := m.event(); w.wants(string(e.Record.Key)) {
		gathered = append(gathered, e)
	}
	if !m.End {
		return gathered, nil
	}
	w.next, w.checked = m.Mod+1, time.Now()
	if len(gathered) > 0 && !w.tell(ctx, Response{Revision: m.Mod, Events: gathered}) {
		return nil, ctx.Err()
	}
	return nil, nil
}

// tookProgress notes how far the node is, and checks now and then that it still belongs to a majority.
func (w *watch) tookProgress(ctx context.Context, conn *redis.Client, rev Revision) error {
	w.next = max(w.next, rev+1)
	if w.progress && !w.tell(ctx, Response{Revision: rev}) {
		return ctx.Err()
	}
	if time.Since(w.checked) < w.client.cfg.Silence {
		return nil
	}
	w.checked = time.Now()
	_, err := revision(ctx, conn, w.key, w.client.cfg.Silence)
	return err
}

// channel names what is to be watched from the next revision on. A range is watched as what its ends have
// in common; wants does the rest.
func (w *watch) channel() string {
	key, word := w.key, ""
	switch {
	case w.fromKey:
		key, word = "", ";prefix"
	case w.end != nil:
		n := 0
		for n < min(len(w.key), len(*w.end)) && w.key[n] == (*w.end)[n] {
			n++
		}
		key, word = w.key[:n], ";prefix"
	case w.prefix:
		word = ";prefix"
	}
	every := progressEvery.Milliseconds()
	return fmt.Sprintf("watch%s%s;progress=%d;rev=%d:%s", word, w.options, every, w.next, key)
}

func (w *watch) wants(key string) bool {
	switch {
	case w.fromKey:
		return key >= w.key
	case w.end != nil:
		return key >= w.key && key < *w.end
	}
	return true
}
