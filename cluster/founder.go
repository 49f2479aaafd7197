package cluster

import (
	"errors"
	"fmt"
	"time"
)

// A founder that comes back without its data.
//
// Idea. The id of a member of the initial list follows from the list, so that all founders can start at once
// and agree. Who is started with an empty data directory and the list therefore becomes the same member
// again, though it has forgotten what it voted and what it stored: it could vote twice in a term, and be
// counted for entries that it no longer has, and an acknowledged write would be lost. So before a founder
// takes on its id it asks the others whether that member has run before, and is refused if one of them says
// so; it then has to come back under a new id (--join and --replace, see J1 of join.go).
//
// Whether a member has run is in the log: each introduces itself there when it has caught up (Config.HasRun).
// A leader knows in addition who has acknowledged entries in its term.
//
//   - Nobody answers, or all are as new: it starts, for so does a new cluster, with some of it down or not. A
//     founder asks before it listens, so two that start together do not wait for each other.
//   - One of them has a log but does not know its end, for want of a leader: it is asked again for
//     Config.JoinTimeout. Then the start is refused, because nobody can tell.
//
// Rejected: drawn ids for founders (they would have to agree on them before there is a log to do it in).
//
// Drawback: who loses its data when all others are down is taken for new, and so is a founder that is emptied
// before its introduction, in the first moment of a cluster, once its leader has lost its term, too.
const (
	founderNew byte = iota // as far as is known, it has never run
	founderRan
	founderUnsure // this member has a log, and does not know its end
)

// ErrHasRun: a member of the initial cluster has lost its data, or nobody can tell that it has not.
var ErrHasRun = errors.New("the data directory is empty, but this member of the initial cluster is not new")

// askFounders refuses to let a founder without data start if it has run before.
func (n *Node) askFounders() error {
	if n.dir.exists || len(n.cfg.InitialCluster) < 2 {
		return nil
	}
	id := initialClusterID(n.cfg.InitialCluster)
	asker := newPeerMux(nil, "", hello{cluster: id, member: memberID(id, n.cfg.Name)}, n.cfg)
	defer asker.stopDials()
	for end := time.Now().Add(n.cfg.JoinTimeout); ; {
		unsure, err := n.askEach(asker)
		if err != nil || unsure == "" {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: the member at %s has a log, but finds no leader who could say whether %s has run "+
				"before; start the other members first", ErrHasRun, unsure, n.cfg.Name)
		}
		select {
		case <-time.After(joinRetry):
		case <-n.cfg.Stop:
			return ErrStopped
		}
	}
}

// askEach asks all others at once. unsure is the address of one that does not know; the error is ErrHasRun if
// one knows that this member has run.
func (n *Node) askEach(asker *peerMux) (unsure string, err error) {
	type past struct {
		addr string
		what byte
	}
	answers := make(chan past)
	asked := 0
	for _, p := range n.cfg.InitialCluster {
		if p.Name == n.cfg.Name {
			continue
		}
		asked++
		go func() { answers <- past{p.Addr, asker.askPast(p.Addr)} }() // askEach waits for it
	}
	for range asked {
		switch a := <-answers; a.what {
		case founderRan:
			err = fmt.Errorf("%w: the member at %s knows %s as one that has run, and what it stored and voted is "+
				"gone. Nothing was changed. Give it its data back, or let it come back as a new member: "+
				"--join %s --replace %s instead of --initial-cluster",
				ErrHasRun, a.addr, n.cfg.Name, a.addr, n.cfg.Name)
		case founderUnsure:
			unsure = a.addr
		}
	}
	return unsure, err
}

// askPast asks the member at an address for this one's past. Whoever does not answer, or is of another
// cluster, knows nothing.
func (m *peerMux) askPast(addr string) byte {
	answer, reply, err := m.ask(addr, 0, kindPast, nil)
	if err != nil || answer.cluster != m.self.cluster || len(reply) != 1 {
		return founderNew
	}
	return reply[0]
}

// pastOf is what this node knows of another member's past.
func (n *Node) pastOf(id MemberID) byte {
	ran, sure := n.cfg.HasRun(id)
	_, _, led := n.Leader()
	switch {
	case ran || n.trans.acknowledged(id):
		return founderRan
	case sure && led || n.raft.LastIndex() <= 1: // nothing but the first configuration
		return founderNew
	}
	return founderUnsure
}

func (n *Node) answerPast(from MemberID, _ []byte, reply func([]byte)) { reply([]byte{n.pastOf(from)}) }

// acknowledged reports whether a member has acknowledged entries to this node while it leads.
func (t *transport) acknowledged(id MemberID) bool {
	t.mu.Lock()
	p := t.mu.peers[id.serverID()]
	t.mu.Unlock()
	return p != nil && p.match() > 0
}
