package commands

import (
	"fmt"
	"sync"
	"time"

	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
)

// What Sentinel clients are told by messages: that another member leads, that members come, go and answer
// again. The topology is compared with the one before whenever raft reports a change, ten times a second, and
// when a client begins to listen: what it can ask for from then on is what it hears the next change of. The
// messages go through a hub of their own: publishing on the data port does not reach
// Sentinel's subscribers, nor do their subscriptions see what is published or written there.
//
// Invariants.
//  1. +switch-master is told when the new leader's term has begun here, so that a client that follows it
//     finds a leader that serves. It is told once for each change of address, with the address told before.
//  2. Every node tells it by itself, from what it knows. The leader that was cut off tells nothing, since it
//     knows of no other; its clients hear of it from another Sentinel.
//  3. A master that is down is told by +sdown and +odown; they are taken back only if it leads again.

// masterLook is how often the topology is compared when raft reports no change.
const masterLook = 100 * time.Millisecond

// downAfter is after how long without an answer a member counts as down, for those who ask.
const downAfter = 3 * time.Second

// sentinelWatch is the one view of a dispatcher.
type sentinelWatch struct {
	mu struct {
		sync.Mutex
		seen *sentinelView
	}
}

func newSentinelWatch() *sentinelWatch {
	w := &sentinelWatch{}
	w.mu.seen = newSentinelView()
	return w
}

// watchMaster runs until the dispatcher is closed.
func (d *Dispatcher) watchMaster() {
	defer close(d.watched)
	changes := d.engine.LeaderChanges()
	tick := time.NewTicker(masterLook)
	defer tick.Stop()
	for {
		d.lookAtMaster()
		select {
		case <-tick.C:
		case <-changes:
		case <-d.stop:
			return
		}
	}
}

// lookAtMaster tells what has changed since somebody last looked.
func (d *Dispatcher) lookAtMaster() {
	d.master.mu.Lock()
	defer d.master.mu.Unlock()
	t := d.topology()
	if messages := d.master.mu.seen.follow(&t, d.cfg.Sentinel.Name); len(messages) > 0 {
		d.hub.Applied(pubsub.Applied{Revision: d.engine.Store().Revision(), Messages: messages})
	}
}

// sentinelView is what has been told.
type sentinelView struct {
	name      string
	master    string // address; "": none yet
	down      bool   // the master is
	replicas  map[string]bool
	sentinels map[string]bool // by id and address; true: up
	messages  []pubsub.Message
}

func newSentinelView() *sentinelView {
	return &sentinelView{replicas: map[string]bool{}, sentinels: map[string]bool{}}
}

// follow returns what is to be told of the way from the last topology to this one.
func (v *sentinelView) follow(t *topology, name string) []pubsub.Message {
	v.name, v.messages = name, nil
	if t.master == nil || v.master == "" && !t.HasLeader {
		return nil
	}
	first := v.master == ""
	v.followMaster(t)
	v.followReplicas(t)
	v.followSentinels(t)
	if first {
		return nil // nobody was told anything before
	}
	return v.messages
}

func (v *sentinelView) tell(channel, payload string) {
	m := pubsub.Message{Kind: pubsub.KindChannel, Channel: channel, Payload: payload}
	v.messages = append(v.messages, m)
}

func (v *sentinelView) followMaster(t *topology) {
	addr := t.master.ClientAddr
	if down := !t.HasLeader; down != v.down && (down || addr == v.master) {
		_, voters := t.votersUp()
		v.told(down, "master "+v.name+" "+spaced(v.master), fmt.Sprintf(" #quorum %d/%[1]d", voters/2+1))
	}
	v.down = !t.HasLeader
	if addr == v.master || v.down {
		return
	}
	if v.master != "" {
		v.tell("+switch-master", v.name+" "+spaced(v.master)+" "+spaced(addr))
	}
	v.master = addr
	v.replicas = map[string]bool{} // told again, as replicas of this master
}

// told tells that the master is down, or no longer.
func (v *sentinelView) told(down bool, who, quorum string) {
	if down {
		v.tell("+sdown", who)
		v.tell("+odown", who+quorum)
	} else {
		v.tell("-sdown", who)
		v.tell("-odown", who)
	}
}

func (v *sentinelView) followReplicas(t *topology) {
	now := map[string]bool{}
	for _, m := range t.replicas {
		if m.ClientAddr == v.master {
			continue // it may just be coming to lead
		}
		now[m.ClientAddr] = m.Up
		who := "slave " + plainAddr(m.ClientAddr) + " " + spaced(m.ClientAddr) + v.at()
		v.compare(v.replicas, m.ClientAddr, m, "+slave", who)
	}
	v.replicas = now
}

func (v *sentinelView) followSentinels(t *topology) {
	now := map[string]bool{}
	for _, m := range t.otherSentinels() {
		id := wideID(m.ID, t.Cluster, idOfSentinel)
		key := id + " " + spaced(m.SentinelAddr)
		now[key] = m.Up
		v.compare(v.sentinels, key, m, "+sentinel", "sentinel "+key+v.at())
	}
	v.sentinels = now
}

// compare tells of one that is new, and of one that has stopped or begun to answer.
func (v *sentinelView) compare(told map[string]bool, key string, m *raftfsm.RosterMember, isNew, who string) {
	up, known := told[key]
	if !known {
		v.tell(isNew, who)
		up = true
	}
	switch {
	case up && !m.Up:
		v.tell("+sdown", who)
	case !up && m.Up:
		v.tell("-sdown", who)
	}
}

// at names the master in messages about others.
func (v *sentinelView) at() string { return " @ " + v.name + " " + spaced(v.master) }

// spaced writes host and port as Sentinel's messages do.
func spaced(addr string) string {
	host, port := hostPort(addr)
	return host + " " + port
}
