package raftfsm

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/redkeep/redkeep/cluster"
)

// halfReplaced demands that an error says who was removed, why that is all that was done, and what to do.
func halfReplaced(t *testing.T, err error, gone cluster.MemberID, why string) {
	t.Helper()
	var refused cluster.RefusedChange
	if !errors.As(err, &refused) {
		t.Fatalf("a replacement that stopped half way: %v", err)
	}
	for _, part := range []string{gone.String() + ") was removed to make place", why, "Repeat this"} {
		if !strings.Contains(string(refused), part) {
			t.Errorf("%q does not say %q", refused, part)
		}
	}
}

// A learner takes the place of a dead member, but is not promoted after that was removed: whoever asked is
// told so, and goes on from there by asking again.
func TestReplacementStopsBehindTheRemoval(t *testing.T) {
	g := newGroup(t, 3, Config{})
	gone := g.follower()
	old := gone.node.Self()
	gone.halt()
	lead := g.leader()
	fresh := g.join("fresh", lead, func(c *cluster.Config) { c.JoinAsLearner = true })
	await(t, "a learner", func() bool { l := lead.listed("fresh"); return l != nil && l.ClientAddr != "" })
	enter := Change{Kind: ChangeEnter, ID: fresh.node.Self(), Replace: old}
	fresh.node.Handle(kindStatus, func(from cluster.MemberID, payload []byte, reply func([]byte)) {
		if len(lead.node.Members()) == 4 {
			fresh.answerStatus(from, payload, reply)
			return
		}
		reply(nil) // no answer to go by
	})
	_, err := lead.changed(enter)
	halfReplaced(t, err, old, "does not answer")
	if lead.listed(gone.cfg.Name) != nil || len(lead.node.Voters()) != 2 {
		t.Fatalf("%s is still a member: %s", old, lead.config())
	}
	fresh.node.Handle(kindStatus, fresh.answerStatus)
	if _, err := lead.changed(enter); err != nil || len(lead.node.Voters()) != 3 {
		t.Errorf("asked again: %v, %s", err, lead.config())
	}
}

// keptLog collects log lines.
type keptLog struct {
	mu struct {
		sync.Mutex
		strings.Builder
	}
}

func (l *keptLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.Write(p)
}

func (l *keptLog) has(text string) bool { return l.count(text) > 0 }

func (l *keptLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.mu.String(), text)
}

// A new node comes to the address of a dead one, which is therefore removed first, and cannot be added then:
// its name is longer than what the leader takes into the log here. It is told both.
func TestReplacementAtOneAddressStopsBehindTheRemoval(t *testing.T) {
	const most = 64
	g := newGroup(t, 3, Config{MaxRequestBytes: most - entrySlack})
	gone := g.follower()
	old := gone.node.Self()
	gone.halt()
	lead := g.leader()
	fresh := g.prepare(strings.Repeat("n", most), lead, func(c *cluster.Config) {
		c.PeerAddr, c.Replace = gone.cfg.PeerAddr, gone.cfg.Name
	})
	log := &keptLog{}
	fresh.ecfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	fresh.start(t)
	await(t, "the new node is told what was done", func() bool {
		return log.has(old.String()+") was removed to make place") && log.has(ErrTooLarge.Error())
	})
	if lead.listed(gone.cfg.Name) != nil || len(lead.node.Members()) != 2 {
		t.Errorf("the members are %s", lead.config())
	}
}
