package migrate

// A mirror: first a copy of the keys as they were at one revision, then every change behind it, in order.
//
// Idea. The bookmark at the destination (target.go) always says which of three things is going on and how far
// it has come, so that a mirror that was killed goes on where it was:
//
//	clean    the destination's keys are walked through, and those that the source did not have at the
//	         revision are removed; only where there may be such keys
//	copy     the source's keys are copied as they were at the revision, in order
//	follow   the destination is what the source was at the revision; changes are watched from the next on
//
// If the history that is needed has been compacted, by then or in between, the mirror begins anew at clean,
// at the present revision: nothing is given up, and the destination is equal again at its end. While it
// follows, the destination moves from one revision of the source to a later one in one transaction: it is
// never of two (unless one revision is larger than a transaction may be, see batches).
//
// Writes are put as they are and keys keep their deadlines. Leases stay behind: that a lease has ended
// arrives as the deletes it caused. Rejected: reading the log, or SNAPSHOT.STREAM for the copy: both would
// tie the mirror to one version of the node, and a Redis that was a source could never be followed.
// Drawback: a copy needs the history of its revision for as long as it takes; --history-age of the source
// bounds that.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// namesAhead is how many names of keys are asked for at once.
const namesAhead = 32 << 10

// MirrorOptions say what is mirrored.
type MirrorOptions struct {
	Prefix, DestPrefix string
	Replace            bool // the destination may hold keys: they are replaced
	Once               bool // end when everything that is at the source now is at the destination
	Every              time.Duration
	Report             func()       // called so often
	Notice             func(string) // what is going on
}

// mirror is one run.
type mirror struct {
	MirrorOptions
	source *Source
	target *Target
	meter  *Meter
	mark   bookmark
	limit  int       // keys of the next page
	ahead  []string  // while copying: names of keys to come
	beyond bool      // and there are more behind them
	saved  time.Time // when the bookmark was last written
	clash  bool      // a key of the bookmark's name was left out, and the user told
}

// Mirror mirrors until ctx ends, or with Once until the destination has what the source had.
func Mirror(ctx context.Context, s *Source, t *Target, o MirrorOptions, meter *Meter) error {
	m := &mirror{MirrorOptions: o, source: s, target: t, meter: meter, limit: 64}
	if err := m.begin(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reporting sync.WaitGroup
	defer reporting.Wait()
	defer cancel()
	reporting.Go(func() { m.report(ctx) })
	return m.run(ctx)
}

// begin finds out whether to go on or to begin, and takes the destination over.
func (m *mirror) begin(ctx context.Context) error {
	cluster, err := m.source.cluster(ctx)
	if err != nil {
		return err
	}
	overlap := strings.HasPrefix(m.Prefix, m.DestPrefix) || strings.HasPrefix(m.DestPrefix, m.Prefix)
	if m.target.peer.cluster == cluster && overlap {
		return refusal{ErrSame}
	}
	m.mark = newBookmark("mirror", "cluster "+cluster, m.Prefix, m.DestPrefix)
	now, err := m.source.revision(ctx)
	if err != nil {
		return err
	}
	going, err := m.mark.adopt(m.target)
	switch {
	case err != nil:
		return err
	case going && m.mark.Revision > now:
		return refusef("%w (revision %d, mirrored %d)", ErrWentBack, now, m.mark.Revision)
	case going:
		m.Notice(fmt.Sprintf("going on at revision %d (%s), the source is at %d",
			m.mark.Revision, m.mark.State, now))
	case m.Replace:
		m.mark.State, m.mark.Revision = cleaning, now
	default:
		m.mark.State, m.mark.Revision = copying, now
		err = m.target.admit(ctx, m.DestPrefix, "--replace makes them equal to the source and removes what the "+
			"source does not have, --dest-prefix puts the mirror beside them")
	}
	if err != nil {
		return err
	}
	return m.commit(ctx, nil, m.mark)
}

// commit writes a batch; the bookmark then is next.
func (m *mirror) commit(ctx context.Context, writes []Write, next bookmark) error {
	next.Part = m.mark.Part + 1
	outcome, err := m.target.Commit(ctx, writes, next.text())
	if err != nil {
		return err
	}
	m.mark, m.saved = next, time.Now()
	m.meter.add(outcome)
	if next.State == following {
		m.meter.Revision.Store(next.Revision)
	}
	return nil
}

// run goes from state to state.
func (m *mirror) run(ctx context.Context) error {
	steps := map[state]func(context.Context) error{cleaning: m.clean, copying: m.copy, following: m.follow}
	for {
		step := steps[m.mark.State]
		if step == nil {
			return refusef("%w: the bookmark says %q, which this version does not know", ErrBookmark, m.mark.State)
		}
		err := step(ctx)
		if errors.Is(err, errReached) {
			return nil
		}
		if errors.Is(err, errCompacted) {
			err = m.restart(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// restart begins anew.
func (m *mirror) restart(ctx context.Context) error {
	now, err := m.source.revision(ctx)
	if err != nil {
		return err
	}
	m.Notice(fmt.Sprintf("the history behind revision %d has been compacted: copying anew, at revision %d",
		m.mark.Revision, now))
	next := m.mark
	next.State, next.Revision, next.Next = cleaning, now, nil
	m.ahead = nil
	m.meter.Revision.Store(0)
	return m.commit(ctx, nil, next)
}

// clean removes what the source did not have.
func (m *mirror) clean(ctx context.Context) error {
	err := m.target.scan(ctx, m.DestPrefix, func(keys []string) (bool, error) {
		names := make([]string, len(keys))
		for i, k := range keys {
			names[i] = m.Prefix + k[len(m.DestPrefix):]
		}
		gone, err := m.source.absent(ctx, names, m.mark.Revision)
		if err != nil || len(gone) == 0 {
			return true, err
		}
		var writes []Write
		for _, k := range gone {
			writes = append(writes, Write{Key: m.DestPrefix + k[len(m.Prefix):], Delete: true})
		}
		return true, m.commit(ctx, writes, m.mark)
	})
	if err != nil {
		return err
	}
	next := m.mark
	next.State = copying
	return m.commit(ctx, nil, next)
}

// copy copies what there was at the revision.
func (m *mirror) copy(ctx context.Context) error {
	total, err := m.source.count(ctx, m.Prefix, m.mark.Revision)
	if err != nil {
		return err
	}
	left := total
	if len(m.mark.Next) > 0 {
		words := append(span(m.Prefix, string(m.mark.Next)), "AT", m.mark.Revision, "COUNTONLY")
		p, err := m.source.ask(ctx, words...)
		if err != nil {
			return err
		}
		left = p.count
	}
	m.meter.Total.Store(total)
	m.meter.Done.Store(total - left)
	for m.mark.State == copying {
		if err := m.copyPage(ctx); err != nil {
			return err
		}
	}
	return nil
}

// copyPage copies the next keys, about as many as a transaction is meant to have.
func (m *mirror) copyPage(ctx context.Context) error {
	if err := m.lookAhead(ctx); err != nil {
		return err
	}
	next := m.mark
	var writes []Write
	take := min(m.limit, len(m.ahead))
	if take > 0 {
		from, end := m.ahead[0], m.ahead[take-1]+"\x00"
		p, err := m.source.ask(ctx, from, "TO", end, "AT", m.mark.Revision)
		if err != nil {
			return err
		}
		writes = m.puts(p.records)
		next.Next = []byte(end)
	}
	if take == len(m.ahead) && !m.beyond {
		next.State, next.Next = following, nil
	}
	if err := m.commitAll(ctx, writes, next); err != nil {
		return err
	}
	m.ahead = m.ahead[take:]
	m.meter.Done.Add(int64(take))
	return nil
}

// lookAhead asks for the names of the keys to come. A range that is cut off by a limit is counted to its end
// all the same, so that a copy in small pages would count every key once for each page: pages are ranges
// between two names instead, and only the names come in large pages.
func (m *mirror) lookAhead(ctx context.Context) error {
	if len(m.ahead) > 0 {
		return nil
	}
	from := max(string(m.mark.Next), m.Prefix)
	words := append(span(m.Prefix, from), "AT", m.mark.Revision, "LIMIT", namesAhead, "KEYSONLY")
	p, err := m.source.ask(ctx, words...)
	m.ahead, m.beyond = m.ahead[:0], p.more
	for i := range p.records {
		m.ahead = append(m.ahead, p.records[i].key)
	}
	return err
}

// puts makes writes of records, and guesses from their size how many to ask for next.
func (m *mirror) puts(records []record) (writes []Write) {
	bytes := 0
	for i := range records {
		r := &records[i]
		w := Write{Key: r.key, Value: r.value, Deadline: r.expires}
		bytes += w.size()
		if m.rename(&w) {
			writes = append(writes, w)
		}
	}
	if bytes > 0 {
		m.limit = min(max(m.limit*batchBytes/bytes, 1), 2*m.limit, batchWrites)
	}
	return writes
}

// rename gives a write its name at the destination; false if there is no room for it there.
func (m *mirror) rename(w *Write) bool {
	w.Key = m.DestPrefix + w.Key[len(m.Prefix):]
	if w.Key != m.target.key {
		return true
	}
	if !m.clash {
		m.clash = true
		m.Notice(fmt.Sprintf("the key %q of the source is left out: the bookmark has its name (--state-key)",
			w.Key))
	}
	return false
}

// report tells now and then how far it has come.
func (m *mirror) report(ctx context.Context) {
	tick := time.NewTicker(m.Every)
	defer tick.Stop()
	source := NewSource(m.source.nodes, func(string) {}) // the mirror's own tells what is wrong
	defer source.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, m.Every)
		if now, err := source.revision(limited); err == nil {
			m.meter.Source.Store(max(now, m.meter.Source.Load()))
		}
		cancel()
		if ctx.Err() == nil {
			m.Report()
		}
	}
}
