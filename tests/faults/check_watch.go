package faults

import (
	"fmt"
	"slices"
)

// fact is one change as the archive has it.
type fact struct {
	key        string
	exists     bool
	text, prev string
}

// facts are all changes of a stretch of partitions, by revision.
type facts struct {
	revisions []int64
	at        map[int64][]fact
	ordered   map[int64]bool // the order inside the revision is known, since a watcher was told it
	first     int            // partition
	last      int            // partition, exclusive
	compacted int64          // the newest compaction; what came before a record below it may be forgotten
	through   int64          // revision up to which the archive is complete
}

// facts returns what watchers must have been told of the partitions from first to before last.
//
// REQUIRES: the archive is complete up to through.
func (a *archive) facts(first, last int, through, compacted int64) *facts {
	f := &facts{at: map[int64][]fact{}, ordered: map[int64]bool{}, first: first, last: last,
		compacted: compacted, through: through}
	for i := first * keysPerPartition; i < last*keysPerPartition; i++ {
		key := keyName(i/keysPerPartition, i%keysPerPartition)
		f.add(key, a.versions[key])
	}
	for rev := range f.at {
		f.revisions = append(f.revisions, rev)
	}
	slices.Sort(f.revisions)
	return f
}

// add adds the changes of a key.
func (f *facts) add(key string, versions []version) {
	prev := ""
	for _, v := range versions {
		f.at[v.revision] = append(f.at[v.revision], fact{key: key, exists: v.exists, text: v.text, prev: prev})
		if prev = ""; v.exists {
			prev = v.text
		}
	}
}

// watchWork is what the checker of watches had to work with.
type watchWork struct {
	events, prevs, progress, resumed, gaps int
}

// checkWatch holds what one watcher was told against the facts. Each connection must tell, from the
// revision asked for, every change wanted, once, in order, each revision whole and marked as ended, with
// the record before it; progress must not come before what it covers; a watch may be canceled only below
// a compacted revision. Resuming must leave nothing out, so the parts together cover everything. Inside a
// revision all watchers must be told the same order.
func checkWatch(form *watchForm, log []told, f *facts) (work watchWork, err error) {
	c := &watchCheck{facts: f, form: form, work: &work}
	for _, rev := range f.revisions {
		if rev <= f.through && slices.ContainsFunc(f.at[rev], c.wanted) {
			c.want = append(c.want, rev)
		}
	}
	for i, t := range log {
		if err := c.step(t); err != nil {
			from := max(0, i-8)
			return work, fmt.Errorf("%s: %w\nbefore it: %v", form.name, err, log[from:i])
		}
	}
	if c.best <= f.through {
		return work, fmt.Errorf("%s was told everything only up to revision %d of %d", form.name, c.best-1,
			f.through)
	}
	return work, nil
}

// watchCheck is the state of a watch as far as it has been checked.
type watchCheck struct {
	*facts
	form  *watchForm
	work  *watchWork
	want  []int64 // revisions with anything to tell
	index int     // of the first of them that has not been told on this connection
	next  int64   // the first revision that has not been told on this connection
	best  int64   // the first revision that has never been told
	open  int64   // a revision that has begun and not ended; 0 for none
	group []told  // its events
}

func (c *watchCheck) wanted(f fact) bool { return c.form.wants(f.key, f.exists) }

func (c *watchCheck) step(t told) error {
	switch t.kind {
	case asked:
		return c.begin(t.revision)
	case event:
		return c.event(t)
	case broke:
		c.open, c.group = 0, nil // what is not whole is told again
		return nil
	}
	if c.open != 0 {
		return fmt.Errorf("%v comes before revision %d has ended", t, c.open)
	}
	if t.kind == canceled {
		return c.cancel(t)
	}
	c.work.progress++
	if rev := c.missing(); rev <= min(t.revision, c.through) {
		return fmt.Errorf("%v, but revision %d has not been told: %v", t, rev, c.at[rev])
	}
	if t.revision+1 < c.next {
		return fmt.Errorf("%v is behind revision %d, which was told before it", t, c.next-1)
	}
	c.moveTo(t.revision + 1)
	return nil
}

func (c *watchCheck) begin(from int64) error {
	if c.best == 0 {
		c.best = from
	} else {
		c.work.resumed++
	}
	if from > c.best && c.best <= c.through {
		return fmt.Errorf("the test itself has left out the revisions from %d to %d", c.best, from-1)
	}
	c.next, c.open, c.group = from, 0, nil
	c.index, _ = slices.BinarySearch(c.want, from)
	return nil
}

// missing is the revision that must be told next; beyond all if there is none.
func (c *watchCheck) missing() int64 {
	if c.index < len(c.want) {
		return c.want[c.index]
	}
	return forever
}

// moveTo makes rev the first revision that has not been told.
func (c *watchCheck) moveTo(rev int64) {
	c.next, c.best = max(c.next, rev), max(c.best, rev)
	for c.missing() < rev {
		c.index++
	}
}

func (c *watchCheck) event(t told) error {
	switch {
	case c.open != 0 && t.revision != c.open:
		return fmt.Errorf("%v comes before revision %d has ended", t, c.open)
	case t.revision < c.next:
		return fmt.Errorf("%v is told again or out of order: revision %d was told before it", t, c.next-1)
	case c.missing() < t.revision:
		return fmt.Errorf("a gap: %v, but revision %d has not been told: %v", t, c.missing(), c.at[c.missing()])
	}
	if t.revision > c.through { // newer than the archive, as when a deadline has passed since
		c.moveTo(c.through + 1)
		return nil
	}
	c.open = t.revision
	if t.partition >= c.first && t.partition < c.last {
		c.group = append(c.group, t)
	}
	if !t.end {
		return nil
	}
	if err := c.whole(); err != nil {
		return err
	}
	c.open, c.group = 0, nil
	c.moveTo(t.revision + 1)
	return nil
}

// whole compares the events of a revision with the facts: all of them, each once, in everybody's order.
func (c *watchCheck) whole() error {
	all := c.at[c.open]
	if c.form.whole && !c.ordered[c.open] && len(c.group) == len(all) {
		c.orderBy(all)
	}
	i := 0
	for _, f := range all {
		if !c.wanted(f) {
			continue
		}
		if i == len(c.group) {
			return fmt.Errorf("revision %d was told without %q", c.open, f.text)
		}
		if err := c.same(c.group[i], f); err != nil {
			return err
		}
		i++
	}
	if i < len(c.group) {
		return fmt.Errorf("%v: nobody did that, or it was told twice; the archive has %v", c.group[i], all)
	}
	c.work.events += i
	return nil
}

// orderBy brings the facts of the open revision into the order in which they were told. Some may look the
// same: a transaction can delete a key, put it, and delete it again.
func (c *watchCheck) orderBy(all []fact) {
	c.ordered[c.open] = true
	for i, t := range c.group {
		at := slices.IndexFunc(all[i:], func(f fact) bool { return t.text.Value() == f.text })
		if at < 0 {
			return // the comparison will say so
		}
		found := all[i+at]
		copy(all[i+1:i+at+1], all[i:i+at])
		all[i] = found
	}
}

func (c *watchCheck) same(t told, f fact) error {
	if t.text.Value() != f.text {
		return fmt.Errorf("%v; the archive, and the order that others were told, have %q", t, f.text)
	}
	switch prev := t.prev.Value(); {
	case !c.form.prev && prev == "", prev == "" && c.compacted >= t.revision:
	case prev != f.prev || !c.form.prev:
		return fmt.Errorf("%v; what was before it is %q", t, f.prev)
	default:
		c.work.prevs++
	}
	return nil
}

func (c *watchCheck) cancel(t told) error {
	if t.revision <= c.next || t.revision > c.compacted {
		return fmt.Errorf("%v although revision %d is still there; compacted is %d", t, c.next, c.compacted)
	}
	if t.revision > c.best {
		c.work.gaps++
	}
	c.moveTo(t.revision)
	return nil
}

// checkWatches checks every watcher of a run.
func checkWatches(watchers []*watcher, f *facts) (sum watchWork, err error) {
	for _, w := range watchers {
		work, err := checkWatch(w.form, w.log, f)
		if err == nil {
			err = w.problem
		}
		if err != nil {
			return sum, fmt.Errorf("the watcher of %s: %w", w.addrs[0], err)
		}
		sum.events += work.events
		sum.prevs += work.prevs
		sum.progress += work.progress
		sum.resumed += work.resumed
		sum.gaps += work.gaps
	}
	return sum, nil
}
