package raftfsm

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// How a learner becomes a voter: invariant C4 of members.go.

func (e *Engine) promote(ctx context.Context, id cluster.MemberID) error {
	for _, m := range e.node.Members() {
		if m.ID == id && !m.Voter {
			if err := e.awaitCaughtUp(ctx, m); err != nil {
				return err
			}
			if rec, _ := e.recordOf(id); rec.ClientAddr == "" {
				return cluster.Refusef("%s has only just started and not told its name yet: promote it later", &m)
			}
		}
	}
	return e.node.Promote(ctx, id)
}

// enter promotes a learner that asks for itself; the member it replaces goes first.
func (e *Engine) enter(ctx context.Context, c Change) error {
	gone := ""
	for _, m := range e.node.Members() {
		if m.ID != c.Replace {
			continue
		}
		if e.node.Alive(ctx, []cluster.Member{m})[m.ID] {
			return cluster.Refusef("%s is alive: stop it before another takes its place", &m)
		}
		if err := e.leaveBehind(ctx, c.ID, m.ID); err != nil {
			return err
		}
		gone = m.String()
	}
	return after(gone, e.promote(ctx, c.ID))
}

// leaveBehind removes the replaced member once its successor has caught up.
func (e *Engine) leaveBehind(ctx context.Context, successor, replaced cluster.MemberID) error {
	for _, m := range e.node.Members() {
		if m.ID == successor {
			if err := e.awaitCaughtUp(ctx, m); err != nil {
				return err
			}
		}
	}
	return e.node.Remove(ctx, replaced)
}

// awaitCaughtUp is C4.
func (e *Engine) awaitCaughtUp(ctx context.Context, m cluster.Member) error {
	goal, began := e.node.CommitIndex(), time.Now()
	for {
		applied, answered := e.askApplied(ctx, m.ID)
		switch {
		case ctx.Err() != nil:
			return cluster.Refusef("%s was not seen to catch up with %d log entries within --request-timeout: "+
				"promote it later", &m, goal)
		case !answered:
			return cluster.Refusef("%s does not answer: see that it runs and can be reached from %s, which leads, "+
				"and promote it when it has caught up", &m, e.node.Name())
		case applied >= goal:
			return nil
		case applied+farBehind < goal || time.Since(began) > promotionRound:
			return cluster.Refusef("%s has not caught up, it has %d of %d log entries: promote it later. (A member "+
				"that was started with --join is promoted by itself)", &m, applied, goal)
		}
		select {
		case <-time.After(changeRetry):
		case <-ctx.Done():
		}
	}
}

// askApplied asks a member how far it is.
func (e *Engine) askApplied(ctx context.Context, id cluster.MemberID) (index cluster.Index, answered bool) {
	answers := make(chan []byte, 1)
	e.node.Send(id, kindStatus, nil, func(reply []byte, err error) {
		if err != nil {
			reply = nil
		}
		answers <- reply
	})
	limit := time.NewTimer(promotionRound)
	defer limit.Stop()
	select {
	case reply := <-answers:
		if len(reply) == 8 {
			return cluster.Index(binary.BigEndian.Uint64(reply)), true
		}
	case <-limit.C:
	case <-ctx.Done():
	}
	return 0, false
}
