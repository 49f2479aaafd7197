package migrate

// An import reads the same strings of a file in the same order each time, and the bookmark counts how many
// of them are dealt with. So an interrupted import is run again, passes over that many, and goes on. The
// file was verified whole before the first key is written; at the end the bookmark is removed.

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	batchWrites = 512
	batchBytes  = 512 << 10
)

// Content is what a file holds for us. Each calls its argument in the same order whenever it is called.
type Content interface {
	Name() string // what the bookmark calls it: kind, and checksum
	Total() int64
	Each(func(Write) error) error
	Leases() []*Lease
}

// ImportOptions say which keys are imported, to which names, and what becomes of keys that are there.
type ImportOptions struct {
	Prefix, DestPrefix string
	Replace, Keep      bool
	Resumed            func(done int64) // told if an interrupted import is gone on with
}

// ImportResult counts what became of the strings of a file.
type ImportResult struct {
	Outcome
	Expired int64 // their deadline had passed
	Other   int64 // their name does not begin with the prefix
	Leases  int64 // granted
}

// importer is one run.
type importer struct {
	options ImportOptions
	target  *Target
	meter   *Meter
	mark    bookmark
	batch   []Write
	bytes   int
	seen    int64 // strings of the file that were read
	skip    int64 // of these, dealt with by an earlier run
	now     int64
	granted map[uint64]bool
	result  ImportResult
}

// Import writes the content of a file to a cluster.
func Import(ctx context.Context, t *Target, c Content, o ImportOptions, m *Meter) (ImportResult, error) {
	if !t.peer.redkeep {
		return ImportResult{}, refusef("files are imported into Redkeep, and this is Redis")
	}
	im := &importer{options: o, target: t, meter: m, now: time.Now().UnixMilli(), granted: map[uint64]bool{}}
	im.mark = newBookmark("import", c.Name(), o.Prefix, o.DestPrefix)
	m.Total.Store(c.Total())
	if err := im.begin(ctx, c); err != nil {
		return im.result, err
	}
	err := c.Each(func(w Write) error { return im.take(ctx, w) })
	if err == nil {
		err = im.finish(ctx, c.Leases())
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if err != nil {
		err = fmt.Errorf("%w\n%d of %d strings of the file are dealt with, and the destination knows it: "+
			"the same command goes on from there", err, im.mark.Done, c.Total())
	}
	return im.result, err
}

// begin finds out whether to go on or to begin, and takes the destination over.
func (im *importer) begin(ctx context.Context, c Content) error {
	going, err := im.mark.adopt(im.target)
	if err != nil {
		return err
	}
	if going {
		im.skip = im.mark.Done
		im.options.Resumed(im.skip)
	} else if err := im.admit(ctx, c); err != nil {
		return err
	}
	_, err = im.target.Commit(ctx, nil, im.mark.text())
	return err
}

// admit refuses a destination that holds what would be overwritten.
func (im *importer) admit(ctx context.Context, c Content) error {
	if !im.options.Replace && !im.options.Keep {
		if err := im.target.admit(ctx, im.options.DestPrefix, "--replace writes over them, --keep leaves those "+
			"that are there as they are, --dest-prefix puts the import beside them"); err != nil {
			return err
		}
	}
	taken, err := im.target.leases(ctx)
	if err != nil {
		return err
	}
	for _, l := range c.Leases() {
		if taken[l.Name()] {
			return refusef("%w: there is a lease %s there, too; nothing was written. "+
				"Revoke it, or import without leases (--no-leases)", ErrNotEmpty, l.Name())
		}
	}
	return nil
}

// take deals with the next string of the file.
func (im *importer) take(ctx context.Context, w Write) error {
	if im.seen++; im.seen <= im.skip {
		return nil
	}
	name, ours := strings.CutPrefix(w.Key, im.options.Prefix)
	w.Key = im.options.DestPrefix + name
	switch {
	case !ours:
		im.result.Other++
		return nil
	case w.Deadline > 0 && w.Deadline <= im.now:
		im.result.Expired++
		return nil
	case w.Key == im.target.key:
		return refusef("the file has the key %q, which is where the import keeps its bookmark; "+
			"choose another with --state-key", w.Key)
	}
	w.ifMissing = im.options.Keep
	if err := im.lease(ctx, w.Lease); err != nil {
		return err
	}
	if len(im.batch) == batchWrites || im.bytes > 0 && im.bytes+w.size() > im.target.most(batchBytes) {
		if err := im.flush(ctx, im.seen-1); err != nil {
			return err
		}
	}
	im.batch = append(im.batch, w)
	im.bytes += w.size()
	return nil
}

// lease grants a lease before the first key is put on it; what goes before is sent first, so that a short
// lease does not run out while it waits.
func (im *importer) lease(ctx context.Context, l *Lease) error {
	if l == nil || im.granted[l.ID] {
		return nil
	}
	if err := im.flush(ctx, im.seen-1); err != nil {
		return err
	}
	im.granted[l.ID] = true
	im.result.Leases++
	return im.target.grant(ctx, l)
}

// flush sends the batch; the bookmark then says that so many strings are dealt with.
func (im *importer) flush(ctx context.Context, done int64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(im.batch) == 0 {
		return nil
	}
	next := im.mark
	next.Done = done
	outcome, err := im.target.Commit(ctx, im.batch, next.text())
	if err != nil {
		return err
	}
	im.mark = next
	im.batch, im.bytes = im.batch[:0], 0
	im.result.add(outcome)
	im.meter.add(outcome)
	im.meter.Done.Store(done)
	return nil
}

// finish sends the rest, grants the leases that no key is on, and removes the bookmark.
func (im *importer) finish(ctx context.Context, leases []*Lease) error {
	if err := im.flush(ctx, im.seen); err != nil {
		return err
	}
	for _, l := range leases {
		if l.Keys > 0 {
			continue
		}
		if err := im.lease(ctx, l); err != nil {
			return err
		}
	}
	_, err := im.target.Commit(ctx, nil, "")
	im.meter.Done.Store(im.seen)
	return err
}
