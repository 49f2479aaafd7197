package mvcc

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var twinKeys = []string{"", "a", "a\x00", "ab", "abc", "b", "\xff", "\xff\xff"}

// TestTwin runs random operations on the store and on the twin and compares everything that can be
// seen after each of them.
func TestTwin(t *testing.T) {
	defer func(n, m int) { pageRecords, smallestDirectory = n, m }(pageRecords, smallestDirectory)
	defer keepBounds()()
	rapid.Check(t, func(rt *rapid.T) {
		drawBounds(rt)
		pageRecords = rapid.SampledFrom([]int{1, 2, 5, 64}).Draw(rt, "records of a page")
		smallestDirectory = rapid.SampledFrom([]int{1, 64}).Draw(rt, "smallest directory")
		m := &machine{s: New(), twin: newTwin()}
		m.twin.now = 1000
		defer func() { m.s.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"batch":   m.batch,
			"batch2":  m.batch,
			"batch3":  m.batch,
			"clock":   m.clock,
			"expire":  m.expire,
			"compact": m.compact,
			"slice":   m.slice,
			"pin":     m.pin,
			"release": m.release,
			"restore": m.restore,
			"":        m.check,
		})
		m.release(rt)
	})
}

type machine struct {
	s      *Store
	twin   *twin
	pinned *Pin
	res    Result
}

// batch draws and compares outside Update: a panic inside would keep the store locked.
func (m *machine) batch(t *rapid.T) {
	txns := rapid.SliceOfN(genTxn(2), 1, 4).Draw(t, "txns")
	quiet := rapid.SliceOfN(rapid.IntRange(0, 4), len(txns), len(txns)).Draw(t, "quiet")
	m.twin.events = nil
	m.twin.begin(rapid.IntRange(-200, 400).Draw(t, "room"))
	var got, want []*twinResult
	events := m.s.Update(m.twin.now, func(b *Batch) {
		b.SetQuota(m.twin.quota)
		for i := range txns {
			w := m.twin.txn(&txns[i])
			if quiet[i] == 0 {
				b.Txn(&txns[i], nil)
				continue
			}
			b.Txn(&txns[i], &m.res)
			got, want = append(got, twinResultOf(&m.res)), append(want, w)
		}
	})
	equal(t, "results", got, want)
	m.checkEvents(t, events)
}

func (m *machine) checkEvents(t *rapid.T, events []Event) {
	var got [][2]twinRecord
	for _, e := range events {
		got = append(got, [2]twinRecord{twinOf(e.Record), twinOf(e.Prev)})
	}
	equal(t, "events", got, m.twin.events)
}

func (m *machine) clock(t *rapid.T) {
	m.twin.now += UnixMilli(rapid.IntRange(1, 40).Draw(t, "ms"))
}

func (m *machine) expire(t *rapid.T) {
	var keys []ExpireKey
	for _, k := range rapid.SliceOf(rapid.SampledFrom(twinKeys)).Draw(t, "keys") {
		seen := m.twin.keys[k].Mod - Revision(rapid.IntRange(0, 1).Draw(t, "stale"))
		keys = append(keys, ExpireKey{k, seen})
	}
	m.twin.events = nil
	m.twin.expire(keys)
	m.checkEvents(t, m.s.Update(m.twin.now, func(b *Batch) { b.Expire(keys) }))
}

func (m *machine) compact(t *rapid.T) {
	rev := Revision(rapid.Int64Range(int64(m.twin.compacted)-1, int64(m.twin.revision)+1).Draw(t, "rev"))
	var err error
	m.s.Update(m.twin.now, func(b *Batch) { err = b.Compact(rev) })
	switch {
	case rev > m.twin.revision:
		equal(t, "compact error", errors.Is(err, ErrFutureRevision), true)
	case rev <= m.twin.compacted:
		equal(t, "compact error", compactedAt(err), m.twin.compacted)
	default:
		equal(t, "compact error", err, error(nil))
		m.twin.compacted = rev
	}
}

// compactedAt returns a CompactedError's revision, -1 for another error.
func compactedAt(err error) Revision {
	if c, ok := errors.AsType[*CompactedError](err); ok {
		return c.Revision
	}
	return -1
}

func (m *machine) slice(t *rapid.T) {
	most := rapid.IntRange(1, 30).Draw(t, "max")
	before := m.s.mu.at.count.records
	more := m.s.CompactSlice(most)
	removed := before - m.s.mu.at.count.records
	switch {
	case m.pinned != nil && m.pinned.st == m.s.mu.at:
		equal(t, "pinned slice", []any{removed, more}, []any{int64(0), false})
	case more:
		equal(t, "slice", removed, int64(most))
	default:
		equal(t, "history bytes", m.s.HistoryBytes(), m.twin.garbageAbove(m.twin.compacted-1))
	}
}

func (m *machine) pin(t *rapid.T) {
	if m.pinned == nil {
		m.pinned = m.s.Pin()
	}
}

// release first reads what the pin captured, however much was written since.
func (m *machine) release(t *rapid.T) {
	if m.pinned == nil {
		return
	}
	p := m.pinned
	equal(t, "pinned keys", p.Keys, int64(len(m.twin.states[p.Revision])))
	fresh := load(t, p)
	equal(t, "records loaded", fresh.mu.at.count.records, p.Records)
	equal(t, "hash loaded", fresh.mu.at.count.hash, p.Hash)
	equal(t, "bytes loaded", fresh.StateBytes(), p.StateBytes)
	fresh.Close()
	p.Release()
	m.pinned = nil
}

// restore replaces the store by what its snapshot gives, in place or as after a restart.
func (m *machine) restore(t *rapid.T) {
	p := m.s.Pin()
	fresh := load(t, p)
	equal(t, "records loaded", fresh.mu.at.count.records, p.Records)
	p.Release()
	if m.pinned != nil || rapid.Bool().Draw(t, "replace") {
		m.s.Replace(fresh)
		return
	}
	m.s.Close()
	m.s = fresh
}

// load copies a pinned store through its snapshot form, in small chunks.
func load(t *rapid.T, p *Pin) *Store {
	l := NewLoader(p.Revision, p.CompactRevision)
	if p.Keys%2 == 0 {
		l.Expect(p.Keys)
	}
	main, sub := Revision(0), int64(-1)
	for more := true; more; {
		more = p.Ascend(main, sub, 100, func(r Record) {
			main, sub = r.ModRevision(), int64(r.Sub())
			equal(t, "add", l.Add(main, r.Sub(), r.Encoded()), error(nil))
		})
	}
	fresh, err := l.Finish()
	equal(t, "finish", err, error(nil))
	equal(t, "check of the loaded", fresh.Check(), error(nil))
	return fresh
}

// check compares everything that can be read.
func (m *machine) check(t *rapid.T) {
	equal(t, "invariants", m.s.Check(), error(nil))
	m.checkCounters(t)
	m.checkPoints(t)
	m.checkPast(t)
	m.checkRange(t)
	m.checkHistoryOrder(t)
	m.checkScan(t)
	limit := rapid.Int64Range(0, 3000).Draw(t, "history limit")
	equal(t, "target", m.s.CompactionTarget(limit), m.twin.target(m.s.HistoryBytes(), limit))
}

func (m *machine) checkCounters(t *rapid.T) {
	hash, bytes, expiring := uint64(0), int64(0), int64(0)
	for _, r := range m.twin.keys {
		hash += r.hash()
		bytes += r.cost()
		if r.Deadline != 0 {
			expiring++
		}
	}
	rev, got := m.s.Hash()
	equal(t, "counters",
		[]any{rev, got, m.s.StateBytes(), m.s.Expiring(), m.s.Len(), m.s.CompactRevision()},
		[]any{m.twin.revision, hash, bytes, expiring, int64(len(m.twin.keys)), m.twin.compacted})
}

func (m *machine) checkPoints(t *rapid.T) {
	for _, k := range twinKeys {
		equal(t, "get "+k, twinOf(m.s.Get(k)), m.twin.keys[k])
		hist, err := m.s.History(k, 0)
		equal(t, "history "+k, twinsOf(hist), m.twin.history(k))
		equal(t, "history error", err, error(nil))
		if short, _ := m.s.History(k, 2); len(hist) > 2 {
			equal(t, "short history", short, hist[:2])
		}
	}
}

func (m *machine) checkPast(t *rapid.T) {
	for rev := max(m.twin.compacted, 1); rev <= m.twin.revision; rev++ {
		hash := uint64(0)
		for _, k := range twinKeys {
			r, err := m.s.GetAt(k, rev)
			equal(t, fmt.Sprintf("get %q at %d", k, rev), twinOf(r), m.twin.states[rev][k])
			equal(t, "error", err, error(nil))
			if r.Exists() {
				hash += m.twin.states[rev][k].hash()
			}
		}
		got, err := m.s.HashAt(rev)
		equal(t, "hash at", []any{got, err}, []any{hash, nil})
	}
	_, err := m.s.GetAt("a", m.twin.revision+1)
	equal(t, "future", errors.Is(err, ErrFutureRevision), true)
	if m.twin.compacted > 1 {
		_, err = m.s.GetAt("a", m.twin.compacted-1)
		equal(t, "compacted", compactedAt(err), m.twin.compacted)
	}
}

func (m *machine) checkRange(t *rapid.T) {
	sp, o := genSpan().Draw(t, "span"), genRange(m.twin).Draw(t, "options")
	at := o.At
	if at == 0 {
		at = m.twin.revision
	}
	want := twinRangeIn(m.twin.states[at], sp, o)
	want.Revision = m.twin.revision
	got, err := m.s.Range(sp, o)
	equal(t, "range", twinRangeOf(got), want)
	equal(t, "range error", err, error(nil))
}

func (m *machine) checkHistoryOrder(t *rapid.T) {
	var got []twinRecord
	m.s.Ascend(m.twin.compacted, math.MaxUint32, m.twin.revision, 1<<20, func(r Record) {
		got = append(got, twinOf(r))
	})
	from := slices.IndexFunc(m.twin.log, func(r twinRecord) bool { return r.Mod > m.twin.compacted })
	var want []twinRecord
	if from >= 0 {
		want = m.twin.log[from:]
	}
	equal(t, "ascend", got, want)
}

func (m *machine) checkScan(t *rapid.T) {
	got := map[string]twinRecord{}
	count := rapid.IntRange(1, 5).Draw(t, "count")
	for cursor, done := uint64(0), false; !done; done = cursor == 0 {
		n := 0
		cursor = m.s.Scan(cursor, count, func(r Record) {
			n++
			got[r.Key()] = twinOf(r)
		})
		if n > count {
			t.Fatalf("a page of %d holds %d", count, n)
		}
	}
	equal(t, "scan", got, maps.Clone(m.twin.keys))
}

func equal(t *rapid.T, what string, got, want any) {
	if reflect.DeepEqual(got, want) {
		return
	}
	t.Helper()
	diff := cmp.Diff(want, got, cmpopts.EquateErrors(), cmpopts.EquateComparable(Record{}))
	t.Fatalf("%s differs (- twin, + store):\n%s", what, diff)
}

func genSpan() *rapid.Generator[Span] {
	return rapid.Custom(func(t *rapid.T) Span {
		return Span{
			From: rapid.SampledFrom(twinKeys).Draw(t, "from"),
			End:  rapid.SampledFrom(twinKeys).Draw(t, "end"),
			Kind: rapid.SampledFrom([]SpanKind{SpanKey, SpanRange, SpanFrom}).Draw(t, "kind"),
		}
	})
}

func genRange(m *twin) *rapid.Generator[RangeOptions] {
	return rapid.Custom(func(t *rapid.T) RangeOptions {
		rev := rapid.Int64Range(0, int64(m.revision))
		bound := func(name string) Revision {
			return Revision(rapid.OneOf(rapid.Just(int64(0)), rev).Draw(t, name))
		}
		o := RangeOptions{
			At: bound("at"), Limit: int64(rapid.IntRange(0, 3).Draw(t, "limit")),
			Desc: rapid.Bool().Draw(t, "desc"), CountOnly: rapid.IntRange(0, 4).Draw(t, "only") == 0,
			Sort:   SortTarget(rapid.IntRange(0, 4).Draw(t, "sort")),
			MinMod: bound("minmod"), MaxMod: bound("maxmod"),
			MinCreate: bound("mincreate"), MaxCreate: bound("maxcreate"),
		}
		if o.At < m.compacted {
			o.At = 0
		}
		return o
	})
}

var twinValues = []string{"", "0", "7", "-3", "+1", "01", "x", "9223372036854775800", "long enough to matter"}

func genOp(depth int) *rapid.Generator[Op] {
	return rapid.Custom(func(t *rapid.T) Op {
		kinds := []OpKind{OpRange, OpPut, OpPut, OpPut, OpDelete, OpModify, OpModify}
		if depth > 0 {
			kinds = append(kinds, OpTxn, OpTxn)
		}
		op := Op{
			Kind:   rapid.SampledFrom(kinds).Draw(t, "kind"),
			Span:   genSpan().Draw(t, "span"),
			Value:  rapid.SampledFrom(twinValues).Draw(t, "value"),
			Lease:  LeaseID(rapid.IntRange(0, 2).Draw(t, "lease")),
			Modify: ModifyKind(rapid.IntRange(1, modifyKinds).Draw(t, "modify")),
			Delta:  rapid.Int64Range(-10, 10).Draw(t, "delta"),
			Flags:  genFlags().Draw(t, "flags"),
			Expiry: Expiry{
				Mode: rapid.SampledFrom([]ExpiryMode{ExpiryNone, ExpiryKeep, ExpiryIn, ExpiryAt}).Draw(t, "expiry"),
				MS:   int64(rapid.IntRange(1, 60).Draw(t, "ms")),
			},
		}
		if op.Kind == OpModify && op.Modify == ModifySetDeadline {
			op.Expiry.Mode = rapid.SampledFrom([]ExpiryMode{ExpiryIn, ExpiryAt}).Draw(t, "mode")
		}
		if op.Kind == OpModify {
			genModify(t, &op)
		}
		if op.Expiry.Mode == ExpiryAt {
			op.Expiry.MS += 980
		}
		if op.Kind == OpRange {
			op.Range = genRange(&twin{revision: 20}).Draw(t, "range")
			op.Range.At = 0
		}
		if op.Kind == OpTxn {
			txn := genTxn(depth-1).Draw(t, "txn")
			op.Txn = &txn
			op.Flags = FlagGuardsFirst * OpFlags(rapid.IntRange(0, 1).Draw(t, "first"))
		}
		return op
	})
}

func genFlags() *rapid.Generator[OpFlags] {
	return rapid.Custom(func(t *rapid.T) OpFlags {
		flags := OpFlags(0)
		for f := FlagPrev; f <= FlagGuardsFirst; f <<= 1 {
			if rapid.IntRange(0, 3).Draw(t, "flag") == 0 {
				flags |= f
			}
		}
		return flags
	})
}

func genTxn(depth int) *rapid.Generator[Txn] {
	return rapid.Custom(func(t *rapid.T) Txn {
		return Txn{
			Compares: rapid.SliceOfN(genCompare(), 0, 2).Draw(t, "compares"),
			Then:     linkSome(t, rapid.SliceOfN(genOp(depth), 0, 3).Draw(t, "then")),
			Else:     linkSome(t, rapid.SliceOfN(genOp(depth), 0, 3).Draw(t, "else")),
		}
	})
}

func genCompare() *rapid.Generator[Compare] {
	return rapid.Custom(func(t *rapid.T) Compare {
		c := Compare{
			Span:   genSpan().Draw(t, "span"),
			Target: rapid.SampledFrom([]CompareTarget{1, 2, 3, 4, 5, TargetDigest}).Draw(t, "target"),
			Op:     CompareOp(rapid.IntRange(1, 4).Draw(t, "op")),
			Num:    rapid.Int64Range(0, 8).Draw(t, "num"),
			Value:  rapid.SampledFrom(twinValues).Draw(t, "value"),
		}
		if c.Target == TargetDigest {
			c.Num = int64(Digest(c.Value))
		}
		return c
	})
}
