package puppet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/tests/internal/node"
)

var quiet = hclog.NewNullLogger()

// Stage is a cluster of three with one real node. Elections do not come by themselves within a test: a member
// that hears nothing of its leader waits for half a minute.
type Stage struct {
	Real    *node.Node
	Puppets []*Puppet // two voters; more are strangers until the log makes them members
	Log     Log
	t       testing.TB
	cluster uint64
	realID  uint64
}

const voters = 3 // the real node and two puppets

// Set prepares a stage; the real node has been started and follows nobody. It obeys Node.Fault.
func Set(t testing.TB, flags ...string) *Stage { return SetWith(t, 0, flags...) }

// SetWith is Set with some puppets that are no members yet.
func SetWith(t testing.TB, strangers int, flags ...string) *Stage {
	t.Helper()
	s := &Stage{t: t}
	flags = append([]string{"--heartbeat-interval", "3s"}, flags...)
	s.Real = node.New(t, node.Options{Faults: true, Flags: flags}).Nodes[0]
	members := []string{s.Real.Name + "=" + s.Real.PeerAddr}
	for i := range voters - 1 + strangers {
		p := &Puppet{
			Name: fmt.Sprint("n", i+2), stage: s, addr: node.FreeAddr(t),
			accepted: make(chan net.Conn), closing: make(chan struct{}),
		}
		p.mu.conns, p.mu.entries = map[net.Conn]bool{}, map[uint64]raft.Log{}
		if len(members) < voters {
			members = append(members, p.Name+"="+p.addr)
		}
		s.Puppets = append(s.Puppets, p)
	}
	s.cluster = clusterID(members)
	s.realID = memberID(s.cluster, s.Real.Name)
	s.Log.stage = s
	for _, p := range s.Puppets {
		p.id = memberID(s.cluster, p.Name)
		var err error
		if p.listener, err = net.Listen("tcp", p.addr); err != nil {
			t.Fatal(err)
		}
		p.start()
		t.Cleanup(p.end)
	}
	s.Real.Flags = append(s.Real.Flags, "--initial-cluster", strings.Join(members, ","))
	s.Real.Launch()
	s.awaitPort()
	return s
}

// awaitPort waits until the real node answers clients.
func (s *Stage) awaitPort() {
	s.t.Helper()
	node.Eventually(s.t, node.ReadyTimeout, "the real node listens", func() error {
		_, err := s.Real.Status()
		return err
	})
}

// Elect makes the real node the leader, with the votes of the puppets, and waits until it has started its
// term. It returns the term.
func (s *Stage) Elect() uint64 {
	s.t.Helper()
	s.Campaign()
	s.Real.WaitReady()
	return s.Term()
}

// Campaign makes the real node ask for votes at once, as a leader that hands over does.
func (s *Stage) Campaign() {
	s.t.Helper()
	p := s.Puppets[0]
	req := &raft.TimeoutNowRequest{RPCHeader: p.header()}
	err := p.trans.TimeoutNow(s.serverID(), s.addr(), req, &raft.TimeoutNowResponse{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// Term returns the real node's term.
func (s *Stage) Term() (term uint64) {
	s.t.Helper()
	s.Await("the real node says its term", func() bool {
		st, err := s.Real.Status()
		if err == nil {
			_, err = fmt.Sscan(st["term"], &term)
		}
		return err == nil
	})
	return term
}

// Await waits for a condition.
func (s *Stage) Await(what string, ok func() bool) {
	s.t.Helper()
	node.Eventually(s.t, 15*time.Second, what, func() error {
		if !ok() {
			return context.DeadlineExceeded
		}
		return nil
	})
}

func (s *Stage) serverID() raft.ServerID  { return raft.ServerID(fmt.Sprintf("%016x", s.realID)) }
func (s *Stage) addr() raft.ServerAddress { return raft.ServerAddress(s.Real.PeerAddr) }

// Log is the log of a leading puppet. It belongs to the goroutine of the test.
type Log struct {
	stage  *Stage
	list   []raft.Log    // behind entry 1, the configuration that every member starts with
	known  atomic.Uint64 // commit index the real node was told
	offset atomic.Int64  // of the puppets' clock, in milliseconds
}

// SetClock makes the puppets' clock wrong by so much.
func (l *Log) SetClock(off time.Duration) { l.offset.Store(off.Milliseconds()) }

// Now is what the leading puppet's clock says, in Unix milliseconds.
func (l *Log) Now() int64 { return time.Now().UnixMilli() + l.offset.Load() }

func (l *Log) last() (index, term uint64) {
	if n := len(l.list); n > 0 {
		return l.list[n-1].Index, l.list[n-1].Term
	}
	return 1, 1
}

// Start makes a puppet the leader of a term: it replicates and commits LeaderStart.
func (l *Log) Start(p *Puppet, term uint64) {
	l.stage.t.Helper()
	l.Append(p, term, true, LeaderStart(term, p.id, l.Now()))
}

// Introduce is Start, and carries the batch by which the real node introduces itself.
func (l *Log) Introduce(p *Puppet, term uint64) {
	l.stage.t.Helper()
	l.Start(p, term)
	l.Append(p, term, true, p.Next().At(l.Now()))
}

// Append replicates entries to the real node in the name of a puppet that leads term, and tells it that they
// are committed, or not yet.
func (l *Log) Append(p *Puppet, term uint64, commit bool, entries ...Entry) {
	l.stage.t.Helper()
	list := make([]raft.Log, len(entries))
	for i, e := range entries {
		list[i] = raft.Log{Type: raft.LogCommand, Data: e}
	}
	l.send(p, term, commit, list)
}

// AddLearner commits a configuration in which a stranger is a learner.
func (l *Log) AddLearner(p *Puppet, term uint64, stranger *Puppet) {
	l.stage.t.Helper()
	var c raft.Configuration
	add := func(suffrage raft.ServerSuffrage, id, addr string) {
		c.Servers = append(c.Servers,
			raft.Server{Suffrage: suffrage, ID: raft.ServerID(id), Address: raft.ServerAddress(addr)})
	}
	add(raft.Voter, string(l.stage.serverID()), l.stage.Real.PeerAddr)
	for _, v := range l.stage.Puppets[:voters-1] {
		add(raft.Voter, v.serverID(), v.addr)
	}
	add(raft.Nonvoter, stranger.serverID(), stranger.addr)
	l.send(p, term, true, []raft.Log{{Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(c)}})
}

// Post sends one entry, not committed, and waits for nothing.
func (l *Log) Post(p *Puppet, term uint64, e Entry) {
	req := l.request(p, term, []raft.Log{{Type: raft.LogCommand, Data: e}})
	p.work.Go(func() {
		_ = p.trans.AppendEntries(l.stage.serverID(), l.stage.addr(), req, &raft.AppendEntriesResponse{})
	})
}

func (l *Log) send(p *Puppet, term uint64, commit bool, list []raft.Log) {
	l.stage.t.Helper()
	req := l.request(p, term, list)
	if commit {
		index, _ := l.last()
		l.known.Store(index)
	}
	req.LeaderCommitIndex = l.known.Load()
	if err := l.deliver(p, req, callLimit); err != nil {
		l.stage.t.Fatalf("the real node does not take entries after %d: %v", req.PrevLogEntry, err)
	}
}

// request appends to the log and returns the message that says so.
func (l *Log) request(p *Puppet, term uint64, list []raft.Log) *raft.AppendEntriesRequest {
	prev, prevTerm := l.last()
	req := &raft.AppendEntriesRequest{
		RPCHeader: p.header(), Term: term, Leader: []byte(p.addr), PrevLogEntry: prev, PrevLogTerm: prevTerm,
		LeaderCommitIndex: l.known.Load(),
	}
	for i := range list {
		list[i].Index, list[i].Term = prev+uint64(i)+1, term
		req.Entries = append(req.Entries, &list[i])
	}
	l.list = append(l.list, list...)
	return req
}

// Heartbeat sends the real node a heartbeat and returns an error if it is not answered in time.
func (l *Log) Heartbeat(p *Puppet, term uint64, limit time.Duration) error {
	req := &raft.AppendEntriesRequest{RPCHeader: p.header(), Term: term, Leader: []byte(p.addr)}
	return l.deliver(p, req, limit)
}

func (l *Log) deliver(p *Puppet, req *raft.AppendEntriesRequest, limit time.Duration) error {
	answered := make(chan error, 1)
	p.work.Go(func() {
		var answer raft.AppendEntriesResponse
		err := p.trans.AppendEntries(l.stage.serverID(), l.stage.addr(), req, &answer)
		if err == nil && !answer.Success {
			err = fmt.Errorf("refused: %+v", answer)
		}
		answered <- err
	})
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-answered:
		return err
	case <-timer.C:
		return errors.New("no answer")
	}
}
