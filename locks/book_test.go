package locks

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager"))
}

// granted is the plainest lease book.
type granted map[mvcc.LeaseID]bool

func (g granted) Granted(id mvcc.LeaseID) bool   { return g[id] }
func (g granted) Grant(id mvcc.LeaseID, _ int64) { g[id] = true }
func (g granted) End(id mvcc.LeaseID)            { delete(g, id) }

// place and naive are the naive lock table: a list per queue, and who holds worked out by looking at it.
type place struct {
	lease  mvcc.LeaseID
	token  mvcc.Revision
	shared bool
	owned  bool
	value  string
}

type naive map[mvcc.Queue][]place

func (n naive) holders(q mvcc.Queue) (out []place) {
	for i, p := range n[q] {
		if i > 0 && !(p.shared && out[0].shared) {
			break
		}
		out = append(out, p)
	}
	return out
}

func (n naive) remove(id mvcc.LeaseID, q *mvcc.Queue) {
	for queue := range n {
		if q == nil || *q == queue {
			n[queue] = slices.DeleteFunc(n[queue], func(p place) bool { return p.lease == id })
		}
	}
}

// room is a store with the real book, and the naive table beside it.
type room struct {
	t     *rapid.T
	store *mvcc.Store
	book  *Book
	lives granted
	naive naive
	held  map[mvcc.Queue][]mvcc.Revision // what the changes so far say
	known []mvcc.LeaseID
}

var queues = []mvcc.Queue{{Name: "m"}, {Name: "m/sub"}, {Name: "m", Election: true}, {Name: ""}}

func (r *room) do(op mvcc.Op) *mvcc.OpResult {
	var res mvcc.Result
	r.store.Update(1, func(b *mvcc.Batch) { b.Txn(&mvcc.Txn{Then: []mvcc.Op{op}}, &res) })
	return &res.Ops[0]
}

func opOn(q mvcc.Queue, kind mvcc.ModifyKind) mvcc.Op {
	op := mvcc.Op{Kind: mvcc.OpModify, Modify: kind, Span: mvcc.KeySpan(q.Name)}
	if q.Election {
		op.Flags = mvcc.FlagElection
	}
	return op
}

func (r *room) join(q mvcc.Queue, id mvcc.LeaseID, shared, try, owned bool, value string) {
	op := opOn(q, mvcc.ModifyQueueJoin)
	op.Lease, op.Value = id, value
	if shared {
		op.Flags |= mvcc.FlagShared
	}
	if try {
		op.Flags |= mvcc.FlagTry
	}
	if owned {
		op.Delta = 1000
	}
	rev := r.store.Revision()
	alive := r.lives[id]
	got := r.do(op)
	i := slices.IndexFunc(r.naive[q], func(p place) bool { return p.lease == id })
	foreign := slices.ContainsFunc(r.others(q), func(p place) bool { return p.lease == id })
	switch {
	case i >= 0:
		if q.Election {
			r.naive[q][i].value = value
		}
		r.check(got.Record.CreateRevision() == r.naive[q][i].token, "asked again: %v", got)
	case foreign:
		r.check(got.Err == mvcc.ErrPlaceTaken, "taken: %v", got.Err)
	case owned && alive:
		r.check(got.Err == mvcc.ErrLeaseExists, "exists: %v", got.Err)
	case !owned && !alive:
		r.check(got.Err == mvcc.ErrNoLease, "no lease: %v", got.Err)
	default:
		r.entered(q, place{id, rev + 1, shared, owned, value}, try, got)
	}
}

func (r *room) entered(q mvcc.Queue, p place, try bool, got *mvcc.OpResult) {
	r.naive[q] = append(r.naive[q], p)
	holds := slices.ContainsFunc(r.naive.holders(q), func(h place) bool { return h.token == p.token })
	if try && !holds {
		r.naive[q] = r.naive[q][:len(r.naive[q])-1]
	}
	r.check((got.N == 1) == holds && got.Err == nil, "entered with %+v, holds %v", got, holds)
}

// others are the places of the queue of the other kind with the same name.
func (r *room) others(q mvcc.Queue) []place {
	return r.naive[mvcc.Queue{Name: q.Name, Election: !q.Election}]
}

func (r *room) release(q mvcc.Queue, token mvcc.Revision) {
	op := opOn(q, mvcc.ModifyQueueRelease)
	op.Delta = int64(token)
	got := r.do(op)
	i := slices.IndexFunc(r.naive.holders(q), func(p place) bool { return p.token == token })
	if i < 0 {
		r.check(got.Err == mvcc.ErrNotHolder, "released by %d: %v", token, got.Err)
		return
	}
	r.check(got.Err == nil, "not released: %v", got.Err)
	r.gone(q, r.naive.holders(q)[i])
}

// gone removes a place, and everything on a lease that it owns.
func (r *room) gone(q mvcc.Queue, p place) {
	if p.owned {
		r.naive.remove(p.lease, nil)
		return
	}
	r.naive.remove(p.lease, &q)
}

func (r *room) leave(q mvcc.Queue, id mvcc.LeaseID, try bool) {
	op := opOn(q, mvcc.ModifyQueueLeave)
	op.Lease = id
	if try {
		op.Flags |= mvcc.FlagTry
	}
	got := r.do(op)
	i := slices.IndexFunc(r.naive[q], func(p place) bool { return p.lease == id })
	switch {
	case i < 0:
		r.check(got.N == -1, "left without being there: %d", got.N)
	case try && i < len(r.naive.holders(q)):
		r.check(got.N == 1, "a holder left: %d", got.N)
	default:
		r.check(got.N == 0, "did not leave: %d", got.N)
		r.gone(q, r.naive[q][i])
	}
}

func (r *room) end(id mvcc.LeaseID) {
	r.store.Update(1, func(b *mvcc.Batch) { _, _ = b.EndLease(id, mvcc.KindExpire) })
	r.naive.remove(id, nil)
}

func (r *room) check(ok bool, format string, args ...any) {
	if !ok {
		r.t.Fatalf(format, args...)
	}
}

// follow applies the changes to the list of holders that a watcher would keep.
func (r *room) follow() {
	for _, c := range r.book.Take() {
		token := c.Place.CreateRevision()
		at := slices.Index(r.held[c.Queue], token)
		switch c.Type {
		case Acquired:
			r.check(at < 0, "acquired twice: %d", token)
			r.held[c.Queue] = append(r.held[c.Queue], token)
		case Released, Lost:
			r.check(at >= 0, "%d lost what it did not hold", token)
			r.held[c.Queue] = slices.Delete(r.held[c.Queue], at, at+1)
		case Value:
			r.check(at >= 0, "value of %d, which does not hold", token)
		case Left:
			r.check(at < 0, "%d left as a waiter and held", token)
		}
	}
}

func (r *room) compare() {
	r.follow()
	rebuilt := NewBook()
	for cursor := r.store.Scan(0, 100, rebuilt.Add); cursor != 0; {
		cursor = r.store.Scan(cursor, 100, rebuilt.Add)
	}
	for _, q := range queues {
		want := r.naive.holders(q)
		for _, b := range []*Book{r.book, rebuilt} {
			holders, waiters := b.Places(q)
			r.check(len(holders) == len(want) && len(holders)+len(waiters) == len(r.naive[q]),
				"%v: %d hold and %d wait, want %+v", q, len(holders), len(waiters), r.naive[q])
			for i, rec := range append(holders, waiters...) {
				p := r.naive[q][i]
				r.check(rec.CreateRevision() == p.token && rec.Lease() == p.lease && rec.Value() == p.value &&
					rec.Key() == fmt.Sprintf("%s/%016x", q.Name, uint64(p.lease)), "%v: place %d is %v", q, i, rec)
			}
		}
		tokens := make([]mvcc.Revision, len(want))
		for i, p := range want {
			tokens[i] = p.token
		}
		r.check(slices.Equal(r.held[q], tokens), "%v: the changes say %v, want %v", q, r.held[q], tokens)
	}
	r.check(r.store.Check() == nil, "%v", r.store.Check())
}

func (r *room) step() func() {
	t := r.t
	q := rapid.SampledFrom(queues).Draw(t, "queue")
	id := mvcc.LeaseID(rapid.IntRange(1, 6).Draw(t, "lease"))
	flag := rapid.Bool().Draw(t, "flag")
	token := mvcc.Revision(rapid.Int64Range(1, int64(r.store.Revision())+1).Draw(t, "token"))
	shared := rapid.Bool().Draw(t, "shared") && !q.Election
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0, 1, 2:
		value := fmt.Sprint("v", token)
		return func() { r.join(q, id, shared, flag, token%3 == 0, value) }
	case 3, 4:
		if holders := r.naive.holders(q); flag && len(holders) > 0 {
			token = holders[0].token
		}
		return func() { r.release(q, token) }
	case 5:
		return func() { r.leave(q, id, flag) }
	case 6:
		return func() { r.end(id) }
	case 7:
		return func() { r.lives[id] = true }
	case 8: // a forced release
		return func() {
			r.do(mvcc.Op{Kind: mvcc.OpDelete, Span: mvcc.KeySpan(mvcc.QueueKey(q.Name, id))})
			r.naive.remove(id, &mvcc.Queue{Name: q.Name})
			r.naive.remove(id, &mvcc.Queue{Name: q.Name, Election: true})
		}
	default: // somebody else's key
		return func() { r.do(mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(q.Name + "/0"), Value: "x"}) }
	}
}

// The book, the store's records and what watchers are told always say what the naive table says.
func TestBookAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &room{t: t, store: mvcc.New(), book: NewBook(), lives: granted{}, naive: naive{},
			held: map[mvcc.Queue][]mvcc.Revision{}}
		defer r.store.Close()
		r.store.Attach(r.lives, r.book)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			r.step()()
			r.compare()
		}
	})
}

// Nobody can write to a place, whatever the operation, and a failed write leaves it alone.
func TestPlacesAreNotWritable(t *testing.T) {
	s, book := mvcc.New(), NewBook()
	defer s.Close()
	s.Attach(granted{1: true}, book)
	r := &room{store: s}
	op := opOn(mvcc.Queue{Name: "m"}, mvcc.ModifyQueueJoin)
	op.Lease = 1
	r.do(op)
	key := mvcc.KeySpan(mvcc.QueueKey("m", 1))
	in := mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 1000}
	for _, op := range []mvcc.Op{
		{Kind: mvcc.OpPut, Span: key, Value: "x"},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifyIncrBy, Span: key, Delta: 1},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifyAppend, Span: key, Value: "x"},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifySetDeadline, Span: key, Expiry: in},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifyPersist, Span: key},
	} {
		if got := r.do(op); got.Err == nil {
			t.Errorf("%+v wrote to a place", op)
		}
	}
	if rec := s.Get(key.From); rec.ModRevision() != 2 || !rec.Queued() {
		t.Errorf("the place is %v", rec)
	}
}

// One transaction cannot take two places in one queue, whose tokens would be the same.
func TestOnePlacePerTransaction(t *testing.T) {
	s, book := mvcc.New(), NewBook()
	defer s.Close()
	s.Attach(granted{1: true, 2: true}, book)
	one := opOn(mvcc.Queue{Name: "m"}, mvcc.ModifyQueueJoin)
	two := one
	one.Lease, two.Lease = 1, 2
	var res mvcc.Result
	s.Update(1, func(b *mvcc.Batch) { b.Txn(&mvcc.Txn{Then: []mvcc.Op{one, two}}, &res) })
	if res.Ops[0].N != 1 || res.Ops[1].Err != mvcc.ErrQueuedTwice {
		t.Errorf("%+v", res.Ops)
	}
}

// A release and the hand-over are one revision, and wake one of ten thousand.
func TestHandOverWakesOne(t *testing.T) {
	const n = 10_000
	s, book, waiters := mvcc.New(), NewBook(), NewWaiters()
	defer s.Close()
	lives := granted{}
	s.Attach(lives, book)
	r := &room{store: s}
	all := make([]*Waiter, n)
	for i := range all {
		id := mvcc.LeaseID(i + 1)
		lives[id] = true
		op := opOn(mvcc.Queue{Name: "m"}, mvcc.ModifyQueueJoin)
		op.Lease = id
		r.do(op)
		all[i] = waiters.Join(mvcc.QueueKey("m", id), true)
	}
	book.Take()
	release := opOn(mvcc.Queue{Name: "m"}, mvcc.ModifyQueueRelease)
	release.Delta = 2
	rev := s.Revision()
	r.do(release)
	changes := book.Take()
	waiters.Notify(changes)
	if len(changes) != 2 || changes[0].Type != Released || changes[1].Type != Acquired ||
		changes[0].Revision != rev+1 || changes[1].Revision != rev+1 {
		t.Errorf("changes %+v after revision %d", changes, rev)
	}
	for i, w := range all {
		if woken := len(w.Wake) == 1; woken != (i < 2) {
			t.Errorf("waiter %d woken: %v", i, woken)
		}
		waiters.Leave(w)
	}
	if waiters.Len() != 0 {
		t.Error("waiters left behind")
	}
}
