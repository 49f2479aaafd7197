package commands

import (
	"slices"

	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// A RESP3 connection is told when it loses what it has acquired, by a push
//
//	["lock-lost", name, token, key]  or  ["election-lost", name, token, key]
//
// comes on the connection that sent LOCK.ACQUIRE or ELECTION.CAMPAIGN, whichever way the place ended: its
// lease ran out or was revoked, its key was deleted, or another connection released it. Only a release by
// that connection itself is not told. It is news from this node's apply, and no proof: who must be sure
// writes with FENCE. A client of RESP2 could not tell a push from a reply; it subscribes to lock:<name>.

// held notes what the connection has acquired. s is nil where no connection asked.
func (s *session) held(d *Dispatcher, r mvcc.Record) {
	if s == nil || s.proto < 3 {
		return
	}
	token := r.CreateRevision()
	for _, one := range s.holds {
		if one.Token == token && one.Key == r.Key() {
			return // the same lease again
		}
	}
	k, holders := s.open(d), d.engine.Holders()
	one := &locks.Hold{Queue: r.Queue(), Token: token, Key: r.Key(), Gone: k.lost}
	s.holds = append(slices.DeleteFunc(s.holds, (*locks.Hold).Ended), one)
	holders.Add(one)
	holders.Settle(one, d.engine.Book())
}

// lost tells the client. It runs on any goroutine.
func (k *sink) lost(one *locks.Hold) {
	if k.Proto() < 3 {
		return
	}
	what := "lock-lost"
	if one.Queue.Election {
		what = "election-lost"
	}
	b := resp.AppendBulk(resp.AppendBulk(resp.AppendPush(nil, 3, 4), what), one.Queue.Name)
	k.Post(resp.AppendBulk(resp.AppendInt(b, int64(one.Token)), one.Key))
}

// giving notes that the connection is about to give a place back.
func (s *session) giving(queue mvcc.Queue, token mvcc.Revision) {
	if s == nil {
		return
	}
	for _, one := range s.holds {
		if one.Token == token && one.Queue == queue {
			one.Giving()
		}
	}
}

// endHolds forgets everything: the connection is closed.
func (s *session) endHolds(d *Dispatcher) {
	for _, one := range s.holds {
		d.engine.Holders().Remove(one)
	}
	s.holds = nil
}

// session returns the connection of the call; nil for that of a script.
func (c *call) session() *session {
	if c.tx == nil {
		return nil
	}
	return c.tx.s
}
