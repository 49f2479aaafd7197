package faults

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// memberFaults change the membership. Their steps have time limits and may end in the middle, since another
// fault can hold the majority; what a step has left half done, the next one of its kind begins with.
var memberFaults = []*Fault{
	{Name: moveLeaderName, MayFail: true, Strike: moveLeader},
	{Name: addMemberName, MayFail: true, Least: 300 * time.Millisecond, Spread: time.Second, Strike: addMember},
	{Name: replaceMemberName, MayFail: true, Strike: replaceMember},
}

const (
	moveLeaderName    = "move leader"
	addMemberName     = "add and remove member"
	replaceMemberName = "replace member"
)

// memberTime bounds one step.
const memberTime = 6 * time.Second

// memberIDs returns the members' ids by name, as a node lists those that are so.
func memberIDs(n *node.Node, so func(status, learner string) bool) (ids map[string]string, err error) {
	r, err := wire.Once(n.ClientAddr, 2*time.Second, "MEMBER.LIST")
	if err != nil || r.IsErr() {
		return nil, fmt.Errorf("%s: %v %s", n.Name, err, r)
	}
	ids = map[string]string{}
	for _, m := range r.Elems {
		status, _ := m.Field("status")
		learner, _ := m.Field("learner")
		if so(status.Text, learner.Text) {
			name, _ := m.Field("name")
			id, _ := m.Field("id")
			ids[name.Text] = id.Text
		}
	}
	return ids, nil
}

func anyStatus(string, string) bool { return true }

func voting(status, learner string) bool { return status == "started" && learner == "0" }

// change asks the free nodes in turn until one has made a change.
func (w *world) change(words func(ids map[string]string) []string) error {
	turn := 0
	return node.Poll(memberTime, func() error {
		free := w.free()
		if len(free) == 0 {
			return errors.New("no node is free")
		}
		turn++
		n := free[turn%len(free)]
		ids, err := memberIDs(n, anyStatus)
		if err != nil {
			return err
		}
		args := words(ids)
		if args == nil {
			return nil
		}
		r, err := wire.Once(n.ClientAddr, 2*time.Second, args...)
		if err == nil && r.IsErr() {
			err = errors.New(r.Text)
		}
		return err
	})
}

func moveLeader(w *world) (heal func()) {
	free := w.free()
	w.rng.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	i := slices.IndexFunc(free, func(n *node.Node) bool { return !leads(n) })
	if i < 0 {
		return nil
	}
	to := free[i]
	err := w.change(func(ids map[string]string) []string { return []string{"MEMBER.MOVELEADER", ids[to.Name]} })
	if err == nil && leads(to) {
		w.achieve(moveLeaderName)
	}
	w.note("leadership to %s: %v, leads %v", to.Name, err, leads(to))
	return nothing
}

func leads(n *node.Node) bool {
	st, err := n.Status()
	return err == nil && st["is_leader"] == "1"
}

// seeds is the flag that joins by any of the cluster's own nodes.
func (w *world) seeds(but *node.Node) string {
	var addrs []string
	for _, n := range w.cluster.Nodes {
		if n != but {
			addrs = append(addrs, n.PeerAddr)
		}
	}
	return "--join=" + strings.Join(addrs, ",")
}

func addMember(w *world) (heal func()) {
	if w.spare == nil || w.sendAway() != nil {
		return nil
	}
	w.spare.Rejoin(w.seeds(nil))
	w.spare.Launch()
	joined := w.awaitVoter(w.spare, "")
	w.note("the spare node joined: %v", joined)
	return func() {
		left := w.sendAway()
		if joined == nil && left == nil {
			w.achieve(addMemberName)
		}
		w.note("it left: %v", left)
	}
}

// awaitVoter waits for a while until some node lists n as a voter, under another id than it had.
func (w *world) awaitVoter(n *node.Node, had string) error {
	return node.Poll(memberTime, func() error {
		for _, via := range w.cluster.Nodes {
			ids, err := memberIDs(via, voting)
			if id := ids[n.Name]; err == nil && id != "" && id != had && via != n {
				return nil
			}
		}
		return errors.New("not a voter yet")
	})
}

// sendAway removes the spare node, if it is a member, and ends it then.
func (w *world) sendAway() error {
	err := w.change(func(ids map[string]string) []string {
		if ids[w.spare.Name] == "" {
			return nil
		}
		return []string{"MEMBER.REMOVE", ids[w.spare.Name]}
	})
	if err == nil && w.spare.Proc != nil {
		w.spare.Kill9()
	}
	return err
}

// replaceMember takes a node's disk away; it comes back in its own place as another member.
func replaceMember(w *world) (heal func()) {
	if len(w.free()) < len(w.cluster.Nodes) {
		return nil // the others' disks are needed
	}
	n := w.follower()
	if n == nil {
		return nil
	}
	ids, err := memberIDs(n, anyStatus)
	if err != nil || ids[n.Name] == "" {
		w.note("%s does not know its id: %v", n.Name, err)
		return nil
	}
	n.Kill9()
	n.Rejoin(w.seeds(n), "--replace="+n.Name)
	n.Launch()
	if err = w.awaitVoter(n, ids[n.Name]); err == nil {
		w.achieve(replaceMemberName)
	}
	w.note("%s lost its disk and came back: %v", n.Name, err)
	return func() {
		if _, err := os.Stat(n.Dir); err != nil || n.Proc.Running() {
			return
		}
		n.Launch()
	}
}
