package locks

import (
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

// told counts how often a hold was told of its loss.
func told(queue mvcc.Queue, place mvcc.Record, times *int) *Hold {
	return &Hold{Queue: queue, Token: place.CreateRevision(), Key: place.Key(), Gone: func(*Hold) { *times++ }}
}

// A hold is told of its loss once, by whichever way that is learned of, unless its own connection has given
// the place back. What happens to other places is no news to it.
func TestHoldersAreToldOnce(t *testing.T) {
	s, book, lives := mvcc.New(), NewBook(), granted{1: true, 2: true}
	defer s.Close()
	s.Attach(lives, book)
	r := &room{store: s}
	m, other := mvcc.Queue{Name: "m"}, mvcc.Queue{Name: "other"}
	enter := func(q mvcc.Queue, id mvcc.LeaseID) mvcc.Record {
		op := opOn(q, mvcc.ModifyQueueJoin)
		op.Lease = id
		return r.do(op).Record
	}
	mine, others := enter(m, 1), enter(other, 2)
	released := Change{Type: Released, Place: mine}
	lost := Change{Type: Lost, Place: mine}

	for _, c := range []struct {
		what string
		news func(h *Holders, one *Hold)
		want int
	}{
		{"released by somebody", func(h *Holders, _ *Hold) { h.Notify([]Change{released}) }, 1},
		{"lost", func(h *Holders, _ *Hold) { h.Notify([]Change{lost}) }, 1},
		{"both", func(h *Holders, _ *Hold) { h.Notify([]Change{lost, released}) }, 1},
		{"lost, and looked for", func(h *Holders, one *Hold) {
			h.Notify([]Change{lost})
			h.Settle(one, NewBook())
			h.Recheck(NewBook())
		}, 1},
		{"given back", func(h *Holders, one *Hold) { one.Giving(); h.Notify([]Change{released}) }, 0},
		{"lost while it is given back", func(h *Holders, one *Hold) { one.Giving(); h.Notify([]Change{lost}) }, 1},
		{"another place", func(h *Holders, _ *Hold) { h.Notify([]Change{{Type: Lost, Place: others}}) }, 0},
		{"the connection is closed", func(h *Holders, one *Hold) { h.Remove(one); h.Notify([]Change{lost}) }, 0},
		{"still there", func(h *Holders, one *Hold) { h.Settle(one, book); h.Recheck(book) }, 0},
		{"gone before it was registered", func(h *Holders, one *Hold) { h.Settle(one, NewBook()) }, 1},
		{"not in the state that came", func(h *Holders, _ *Hold) { h.Recheck(NewBook()) }, 1},
	} {
		h, times := NewHolders(), 0
		one := told(m, mine, &times)
		h.Add(one)
		c.news(h, one)
		there := c.want == 0 && c.what != "given back" && c.what != "the connection is closed"
		if times != c.want || one.Ended() == there || (h.Len() == 1) != there {
			t.Errorf("%s: told %d times, want %d; ended %v, %d registered", c.what, times, c.want, one.Ended(),
				h.Len())
		}
	}
}

// Several connections may hold one place: each is told.
func TestAllHoldersOfAPlaceAreTold(t *testing.T) {
	s, book := mvcc.New(), NewBook()
	defer s.Close()
	s.Attach(granted{1: true}, book)
	op := opOn(mvcc.Queue{Name: "m"}, mvcc.ModifyQueueJoin)
	op.Lease = 1
	place := (&room{store: s}).do(op).Record
	h, times := NewHolders(), 0
	for range 3 {
		h.Add(told(mvcc.Queue{Name: "m"}, place, &times))
	}
	h.Notify([]Change{{Type: Lost, Place: place}})
	if times != 3 || h.Len() != 0 {
		t.Errorf("%d of 3 are told, %d are left", times, h.Len())
	}
}
