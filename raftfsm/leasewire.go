package raftfsm

import (
	"encoding/binary"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Asking the leader's lease desk from another member, by the peer request kindLeases. The leader answers an
// empty message if it is none.
//
//	question = (u8 what, then u64 id, or uvarint token, u8 election, bytes name) …
//	           what: bit 0 renew, bit 1 by token
//	answer   = u8 1, (uvarint 0) or (uvarint 1 + granted ms, uvarint left ms) for each

const (
	askRenews  = 1
	askByToken = 2
)

func appendAsk(b []byte, ask *LeaseAsk) []byte {
	what := byte(0)
	if ask.Renew {
		what |= askRenews
	}
	if ask.Token == 0 {
		return binary.BigEndian.AppendUint64(append(b, what), uint64(ask.ID))
	}
	election := byte(0)
	if ask.Queue.Election {
		election = 1
	}
	b = binary.AppendUvarint(append(b, what|askByToken), uint64(ask.Token))
	return appendBytes(append(b, election), ask.Queue.Name)
}

func (r *reader) ask() (ask LeaseAsk) {
	what := r.enum("question", 0, askRenews|askByToken)
	ask.Renew = what&askRenews != 0
	if what&askByToken == 0 {
		ask.ID = mvcc.LeaseID(r.u64())
		return ask
	}
	ask.Token = r.revision()
	ask.Queue.Election = r.enum("election", 0, 1) == 1
	ask.Queue.Name = string([]byte(r.bytes()))
	return ask
}

func appendAnswers(b []byte, answers []LeaseAnswer) []byte {
	for _, a := range answers {
		if !a.Found {
			b = binary.AppendUvarint(b, 0)
			continue
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(a.Granted)+1), uint64(a.Left))
	}
	return b
}

func (r *reader) answers(n int) []LeaseAnswer {
	answers := make([]LeaseAnswer, n)
	for i := range answers {
		if granted := r.millis(); granted > 0 {
			answers[i] = LeaseAnswer{Found: true, Granted: granted - 1, Left: r.millis()}
		}
	}
	return answers
}

// receive is the cluster.Handler of kindLeases.
func (d *leaseDesk) receive(_ cluster.MemberID, payload []byte, reply func([]byte)) {
	r := reader{b: payload}
	c := &LeaseCall{}
	for len(r.b) > 0 {
		c.Asks = append(c.Asks, r.ask())
	}
	if r.end() != nil || !d.engine.node.IsLeader() {
		reply(nil)
		return
	}
	c.reply = func(c *LeaseCall) {
		if c.err != nil {
			reply(nil)
			return
		}
		reply(appendAnswers([]byte{1}, c.Answers))
	}
	d.enter(c)
}

// ask sends the calls to the leader, and returns those that were not answered.
func (d *leaseDesk) ask(calls []*LeaseCall) (left []*LeaseCall) {
	leader, _, ok := d.engine.node.Leader()
	if !ok || leader == d.engine.node.Self() || len(calls) == 0 {
		return calls
	}
	var question []byte
	n := 0
	for _, c := range calls {
		for i := range c.Asks {
			question = appendAsk(question, &c.Asks[i])
		}
		n += len(c.Asks)
	}
	limit := calls[0].deadline
	for _, c := range calls {
		c.tried = true
		if c.deadline.Before(limit) {
			limit = c.deadline
		}
	}
	answers := d.await(leader, question, n, limit)
	if answers == nil {
		return calls
	}
	for _, c := range calls {
		c.Answers, answers = answers[:len(c.Asks):len(c.Asks)], answers[len(c.Asks):]
		c.finish(nil)
	}
	return nil
}

// leaderLook is how often it is looked whether the leader that was asked is still the leader.
const leaderLook = 20 * time.Millisecond

// await sends the question and waits for the answers until limit; nil if there are none. The leader may have
// to replicate, which takes as long as a write does: who asked once more meanwhile would only add to what it
// has to do. But one that leads no more, as far as is known here, may never answer.
func (d *leaseDesk) await(leader cluster.MemberID, question []byte, n int, limit time.Time) []LeaseAnswer {
	answer := make(chan []byte, 1)
	d.engine.node.Send(leader, kindLeases, question, func(reply []byte, err error) {
		if err != nil {
			reply = nil
		}
		answer <- append([]byte(nil), reply...)
	})
	look := time.NewTicker(leaderLook)
	defer look.Stop()
	for {
		select {
		case reply := <-answer:
			return readAnswers(reply, n)
		case now := <-look.C:
			if id, _, ok := d.engine.node.Leader(); !ok || id != leader || now.After(limit) {
				return nil
			}
		case <-d.engine.stop:
			return nil
		}
	}
}

// readAnswers reads the leader's answers to n questions; nil if it has not answered them.
func readAnswers(reply []byte, n int) []LeaseAnswer {
	r := reader{b: reply}
	if r.u8() != 1 {
		return nil
	}
	answers := r.answers(n)
	if r.end() != nil {
		return nil
	}
	return answers
}
