package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/redkeep/redkeep/client"
)

const (
	// gatherFor is how long more revisions are waited for before a batch is sent.
	gatherFor = 2 * time.Millisecond
	// idleEvery is how often the bookmark of a mirror with nothing to do is moved, lest the history behind it
	// be compacted.
	idleEvery = 10 * time.Second
	// largestWrites and largestBytes bound a transaction. A revision that is larger is written in several.
	largestWrites = 8 * batchWrites
	largestBytes  = 4 << 20
)

// follow watches and writes what happens, until ctx ends or, with Once, the source of its beginning is
// reached.
func (m *mirror) follow(ctx context.Context) error {
	goal, err := m.source.revision(ctx)
	if err != nil {
		return err
	}
	m.meter.Revision.Store(m.mark.Revision)
	m.meter.Source.Store(max(goal, m.meter.Source.Load()))
	watcher, err := m.source.watcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	from := client.WithRev(client.Revision(m.mark.Revision + 1))
	changes := watcher.Watch(ctx, m.Prefix, client.WithPrefix(), client.WithProgress(), from)
	for !m.Once || m.meter.Revision.Load() < goal {
		b, err := m.gather(ctx, changes)
		if err != nil {
			return err
		}
		if err := m.apply(ctx, b); err != nil {
			return err
		}
	}
	reached := m.mark
	reached.Revision = max(reached.Revision, m.meter.Revision.Load())
	if err := m.commit(ctx, nil, reached); err != nil {
		return err
	}
	return errReached
}

// batch is what several revisions made of the keys they touched: of each key the last that was said.
type batch struct {
	writes   []Write
	at       map[string]int // place of a key in writes
	bytes    int
	revision int64
}

// gather waits for a change and takes what follows closely.
func (m *mirror) gather(ctx context.Context, changes <-chan client.Response) (*batch, error) {
	b := &batch{at: map[string]int{}}
	var late <-chan time.Time
	for len(b.writes) < batchWrites && b.bytes < batchBytes {
		select {
		case r, open := <-changes:
			if err := ended(ctx, r, open); err != nil {
				return nil, err
			}
			m.addAll(b, r)
			if len(b.writes) == 0 {
				return b, nil // nothing but progress
			}
		case <-late:
			return b, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if late == nil {
			timer := time.NewTimer(gatherFor)
			defer timer.Stop()
			late = timer.C
		}
	}
	return b, nil
}

func ended(ctx context.Context, r client.Response, open bool) error {
	switch {
	case !open && ctx.Err() != nil:
		return ctx.Err()
	case !open:
		return errors.New("the watch of the source has ended")
	case errors.Is(r.Err, client.ErrCompacted):
		return errCompacted
	}
	return r.Err
}

// addAll adds a revision to the batch.
func (m *mirror) addAll(b *batch, r client.Response) {
	b.revision = max(b.revision, int64(r.Revision))
	for i := range r.Events {
		e := &r.Events[i]
		w := Write{Key: string(e.Record.Key), Delete: e.Type != client.Put}
		if !w.Delete {
			w.Value, w.Deadline = string(e.Record.Value), e.Record.Expires
		}
		if m.rename(&w) {
			b.add(w)
		}
	}
}

func (b *batch) add(w Write) {
	b.bytes += w.size()
	i, again := b.at[w.Key]
	if again {
		b.bytes -= b.writes[i].size()
		b.writes[i] = w
		return
	}
	b.at[w.Key] = len(b.writes)
	b.writes = append(b.writes, w)
}

// apply writes a batch. One without writes only says that nothing happened, which is written down now and
// then.
func (m *mirror) apply(ctx context.Context, b *batch) error {
	next := m.mark
	next.Revision = max(next.Revision, b.revision)
	if len(b.writes) > 0 || time.Since(m.saved) > idleEvery {
		return m.commitAll(ctx, b.writes, next)
	}
	m.meter.Revision.Store(next.Revision)
	return nil
}

// commitAll is commit, in several transactions if one would be too large. Only the last moves the bookmark
// on; what the others wrote is written again should the mirror be interrupted between them.
func (m *mirror) commitAll(ctx context.Context, writes []Write, next bookmark) error {
	bytes, from := 0, 0
	for i := range writes {
		size := writes[i].size()
		if i > from && (i-from == largestWrites || bytes+size > m.target.most(largestBytes)) {
			if err := m.commit(ctx, writes[from:i], m.mark); err != nil {
				return err
			}
			bytes, from = 0, i
		}
		bytes += size
	}
	return m.commit(ctx, writes[from:], next)
}
