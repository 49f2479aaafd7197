package puppet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Puppet is one played member. Left alone it agrees: it votes for who asks, acknowledges every entry,
// confirms every term, and accepts every forwarded batch without doing anything about it. Its methods are
// safe for concurrent use.
type Puppet struct {
	Name  string
	stage *Stage
	id    uint64
	addr  string

	listener net.Listener
	trans    *raft.NetworkTransport
	accepted chan net.Conn // raft connections for trans
	closing  chan struct{}
	work     sync.WaitGroup

	mu struct {
		sync.Mutex
		conns     map[net.Conn]bool
		closed    bool
		mute      bool
		term      uint64 // what it says to have seen; 0: whatever the real node wants to hear
		seen      uint64 // the highest term in a message of the real node
		hold      func(*raft.AppendEntriesRequest) bool
		held      []func()
		entries   map[uint64]raft.Log // what the real node sent
		commit    uint64
		forwarded []Entry
	}
}

// SetTerm makes the puppet a member that has seen a later term: it says so when asked, and refuses messages
// of earlier ones.
func (p *Puppet) SetTerm(term uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.term = term
}

// Mute makes the puppet answer nothing but raft's own messages, or lets it speak again.
func (p *Puppet) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.mute = on
}

// Heartbeats, Everything and HasEntries are what Hold may hold.
func Heartbeats(a *raft.AppendEntriesRequest) bool { return len(a.Entries) == 0 && a.PrevLogEntry == 0 }
func Everything(*raft.AppendEntriesRequest) bool   { return true }
func HasEntries(a *raft.AppendEntriesRequest) bool { return len(a.Entries) > 0 }

// Hold keeps the answers to some messages on their way until Release: they are given, and delayed.
func (p *Puppet) Hold(which func(*raft.AppendEntriesRequest) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.hold = which
}

// Held counts the answers on their way.
func (p *Puppet) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.held)
}

// Release lets the answers arrive, and holds no more.
func (p *Puppet) Release() {
	p.Hold(nil)
	for p.Held() > 0 {
		p.Deliver()
	}
}

// Deliver lets the oldest of the held answers arrive. REQUIRES: one is held.
func (p *Puppet) Deliver() {
	p.mu.Lock()
	send := p.mu.held[0]
	p.mu.held = p.mu.held[1:]
	p.mu.Unlock()
	send()
}

// Next waits for the next batch that the real node hands to this puppet as the leader.
func (p *Puppet) Next() (e Entry) {
	p.stage.t.Helper()
	p.stage.Await("a batch for "+p.Name, func() bool { return p.MaybeNext(&e) })
	return e
}

// MaybeNext is Next if there is one already.
func (p *Puppet) MaybeNext(e *Entry) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.forwarded) == 0 {
		return false
	}
	*e = p.mu.forwarded[0]
	p.mu.forwarded = p.mu.forwarded[1:]
	return true
}

// LastReceived returns the newest batch that the real node as the leader has replicated to this puppet.
func (p *Puppet) LastReceived() Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := uint64(0)
	for i := range p.mu.entries {
		newest = max(newest, i)
	}
	return Entry(p.mu.entries[newest].Data)
}

// answer is what the puppet says to a peer request; ok is false when it says nothing.
func (p *Puppet) answer(kind byte, payload []byte) (reply []byte, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.mu.mute:
		return nil, false
	case kind == AskTerm && p.mu.term == 0:
		return binary.BigEndian.AppendUint64(nil, p.mu.seen), true
	case kind == AskTerm:
		return binary.BigEndian.AppendUint64(nil, p.mu.term), true
	case kind == AskForward:
		p.mu.forwarded = append(p.mu.forwarded, Entry(payload))
		return []byte{Accepted}, true
	case kind == AskReadAt:
		at := binary.BigEndian.AppendUint64(nil, p.stage.Log.known.Load())
		return binary.BigEndian.AppendUint64(at, uint64(p.stage.Log.Now())), true
	case kind == AskStatus:
		return make([]byte, 8), true
	}
	return nil, false
}

// Accept, Close, Addr and Dial make a puppet the stream layer of its raft transport.
func (p *Puppet) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closing:
		return nil, net.ErrClosed
	}
}

func (p *Puppet) Close() error   { return nil }
func (p *Puppet) Addr() net.Addr { return p.listener.Addr() }

func (p *Puppet) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	c, err := p.dial(leadRaft)
	if err != nil {
		return nil, err
	}
	p.track(c)
	return c, nil
}

func (p *Puppet) track(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		c.Close()
		return
	}
	p.mu.conns[c] = true
}

func (p *Puppet) start() {
	p.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: p, MaxPool: 2, MaxRPCsInFlight: 1, Timeout: callLimit, MsgpackUseNewTimeFormat: true,
		Logger: quiet,
	})
	p.work.Go(func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.track(c)
			p.work.Go(func() { p.meet(c) })
		}
	})
	p.work.Go(func() {
		for {
			select {
			case rpc := <-p.trans.Consumer():
				p.react(rpc)
			case <-p.closing:
				return
			}
		}
	})
}

func (p *Puppet) meet(c net.Conn) {
	lead, err := p.welcome(c)
	if err != nil {
		c.Close()
		return
	}
	if lead == leadPeer {
		p.serve(c)
		c.Close()
		return
	}
	select {
	case p.accepted <- c:
	case <-p.closing:
		c.Close()
	}
}

func (p *Puppet) end() {
	p.mu.Lock()
	p.mu.closed = true
	for c := range p.mu.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.Release()
	close(p.closing)
	p.listener.Close()
	p.trans.Close()
	p.trans.CloseStreams()
	p.work.Wait()
}

// react answers one message of raft's.
func (p *Puppet) react(rpc raft.RPC) {
	header := p.header()
	switch a := rpc.Command.(type) {
	case *raft.RequestPreVoteRequest:
		rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: header, Term: a.Term, Granted: true}, nil)
	case *raft.RequestVoteRequest:
		p.noteTerm(a.Term)
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: header, Term: a.Term, Granted: true}, nil)
	case *raft.AppendEntriesRequest:
		answer := &raft.AppendEntriesResponse{RPCHeader: header, Term: a.Term, Success: true}
		answer.LastLog = a.PrevLogEntry + uint64(len(a.Entries))
		if later := p.noteTerm(a.Term); later > a.Term {
			*answer = raft.AppendEntriesResponse{RPCHeader: header, Term: later}
		}
		p.acknowledge(a, func() { rpc.Respond(answer, nil) })
	case *raft.InstallSnapshotRequest:
		_, _ = io.Copy(io.Discard, rpc.Reader)
		rpc.Respond(nil, errors.New("a puppet takes no snapshots"))
	default:
		rpc.Respond(nil, fmt.Errorf("a puppet does not understand %T", a))
	}
}

func (p *Puppet) header() raft.RPCHeader {
	return raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(p.serverID()), Addr: []byte(p.addr),
	}
}

func (p *Puppet) serverID() string { return fmt.Sprintf("%016x", p.id) }

// noteTerm returns the term that the puppet was told to have seen.
func (p *Puppet) noteTerm(term uint64) (told uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.seen = max(p.mu.seen, term)
	return p.mu.term
}

// acknowledge remembers the entries and answers, or holds the answer.
func (p *Puppet) acknowledge(a *raft.AppendEntriesRequest, send func()) {
	p.mu.Lock()
	for _, l := range a.Entries {
		if l.Type == raft.LogCommand {
			p.mu.entries[l.Index] = *l
		}
	}
	p.mu.commit = max(p.mu.commit, a.LeaderCommitIndex)
	hold := p.mu.hold != nil && p.mu.hold(a)
	if hold {
		p.mu.held = append(p.mu.held, send)
	}
	p.mu.Unlock()
	if !hold {
		send()
	}
}
