package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	kindEcho  = 0x10
	kindSlow  = 0x11
	kindBulk  = 0x90
	kindNever = 0x12
)

type answer struct {
	payload []byte
	err     error
}

func ask(n *Node, to MemberID, kind byte, payload []byte) <-chan answer {
	c := make(chan answer, 2) // the second slot shows a done that runs twice
	n.Send(to, kind, payload, func(reply []byte, err error) { c <- answer{reply, err} })
	return c
}

func await(t testing.TB, c <-chan answer) answer {
	t.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
		return answer{}
	}
}

func echo(_ MemberID, p []byte, reply func([]byte)) { reply(p) }

func peerPair(t testing.TB) (c *testCluster, a, b *testNode) {
	c = newCluster(t, 2, nil)
	c.leader()
	return c, c.nodes[0], c.nodes[1]
}

func TestPeerCalls(t *testing.T) {
	_, a, b := peerPair(t)
	var from atomic.Uint64
	b.Handle(kindEcho, func(id MemberID, p []byte, reply func([]byte)) {
		from.Store(uint64(id))
		reply(p)
	})
	b.Handle(kindBulk, echo)
	for _, size := range []int{0, 1, 100, 64 << 10, 3 << 20, 20 << 20} {
		for _, kind := range []byte{kindEcho, kindBulk} {
			p := bytes.Repeat([]byte{byte(size) + 1}, size)
			if got := await(t, ask(a.Node, b.Self(), kind, p)); got.err != nil || !bytes.Equal(got.payload, p) {
				t.Fatalf("kind %#x, %d bytes: %d bytes, %v", kind, size, len(got.payload), got.err)
			}
		}
	}
	if MemberID(from.Load()) != a.Self() {
		t.Errorf("the handler saw member %x", from.Load())
	}
	for _, c := range []struct {
		to   MemberID
		kind byte
		size int
		want error
	}{
		{b.Self(), kindNever, 0, ErrPeerRefused},
		{a.Self(), kindEcho, 0, ErrUnknownMember},
		{12345, kindEcho, 0, ErrUnknownMember},
		{b.Self(), kindBulk, MaxFrame + 1, ErrFrameTooLarge},
	} {
		if got := await(t, ask(a.Node, c.to, c.kind, make([]byte, c.size))); !errors.Is(got.err, c.want) {
			t.Errorf("%+v: %v", c, got.err)
		}
	}
}

// TestPeerConcurrent: many callers at once, each gets its own answer, once.
func TestPeerConcurrent(t *testing.T) {
	_, a, b := peerPair(t)
	b.Handle(kindEcho, echo)
	b.Handle(kindBulk, func(_ MemberID, p []byte, reply func([]byte)) { go reply(p) })
	var work sync.WaitGroup
	for g := range 16 {
		work.Go(func() {
			for i := range 200 {
				p := bytes.Repeat(fmt.Appendf(nil, "%d/%d ", g, i), 1+i%700)
				c := ask(a.Node, b.Self(), []byte{kindEcho, kindBulk}[i%2], p)
				if got := await(t, c); got.err != nil || !bytes.Equal(got.payload, p) {
					t.Errorf("%d/%d: %v", g, i, got.err)
				}
				if len(c) != 0 {
					t.Error("done ran twice")
				}
			}
		})
	}
	work.Wait()
}

// TestPeerSlowHandler: a handler that answers late, from another goroutine, holds up nobody.
func TestPeerSlowHandler(t *testing.T) {
	_, a, b := peerPair(t)
	var later atomic.Pointer[func([]byte)]
	b.Handle(kindSlow, func(_ MemberID, _ []byte, reply func([]byte)) { later.Store(&reply) })
	b.Handle(kindEcho, echo)
	slow := ask(a.Node, b.Self(), kindSlow, nil)
	for range 100 {
		if got := await(t, ask(a.Node, b.Self(), kindEcho, []byte("x"))); got.err != nil {
			t.Fatal(got.err)
		}
	}
	if len(slow) != 0 {
		t.Fatal("answered too early")
	}
	(*later.Load())([]byte("late"))
	if got := await(t, slow); string(got.payload) != "late" {
		t.Errorf("%q %v", got.payload, got.err)
	}
}

// TestPeerBreak: every call on a connection that breaks fails, calls to a dead peer fail at once, and the
// link comes back by itself.
func TestPeerBreak(t *testing.T) {
	c, a, b := peerPair(t)
	b.Handle(kindSlow, func(MemberID, []byte, func([]byte)) {})
	var open []<-chan answer
	for range 10 {
		open = append(open, ask(a.Node, b.Self(), kindSlow, make([]byte, 1000)))
	}
	id := b.Self()
	c.stop(1)
	for _, o := range open {
		if got := await(t, o); !errors.Is(got.err, ErrPeerUnreachable) {
			t.Fatalf("broken call: %v", got.err)
		}
	}
	eventually(t, "calls fail at once", func() bool {
		start := time.Now()
		got := await(t, ask(a.Node, id, kindEcho, nil))
		return errors.Is(got.err, ErrPeerUnreachable) && time.Since(start) < 50*time.Millisecond
	})
	b = c.start(1)
	b.Handle(kindEcho, echo)
	eventually(t, "the link is back", func() bool { return await(t, ask(a.Node, id, kindEcho, nil)).err == nil })
	shut(t, a.Node)
	if got := await(t, ask(a.Node, id, kindEcho, nil)); !errors.Is(got.err, ErrShutdown) {
		t.Errorf("after close: %v", got.err)
	}
}

func TestAskTerms(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.nodes[c.leader()]
	got := make(chan error, 3)
	asked := lead.AskTerms(func(from MemberID, term Term, err error) {
		if err == nil && term != lead.Term() {
			err = fmt.Errorf("member %s is in term %d", from, term)
		}
		got <- err
	})
	if asked != 2 {
		t.Errorf("asked %d", asked)
	}
	for range asked {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}

// TestTermRoundTrip measures; it fails only when a round trip takes as long as a disk sync would.
func TestTermRoundTrip(t *testing.T) {
	_, a, b := peerPair(t)
	done := make(chan struct{}, 1)
	round := func() {
		a.peers.send(b.Self(), kindTerm, nil, func([]byte, error) { done <- struct{}{} })
		<-done
	}
	round()
	const n = 2000
	start := time.Now()
	for range n {
		round()
	}
	per := time.Since(start) / n
	t.Logf("term query round trip: %v", per)
	if per > 5*time.Millisecond {
		t.Errorf("term query round trip: %v", per)
	}
}

// TestWrongCluster: a node of another cluster is refused at both ends and both say so, once.
func TestWrongCluster(t *testing.T) {
	a := single(t, t.TempDir(), nil)
	b := single(t, t.TempDir(), nil)
	for range 3 {
		for _, lead := range []byte{leadRaft, leadPeer} {
			c, err := a.mux.dial(lead, b.mux.ln.Addr().String(), 0, time.Second)
			if err == nil {
				c.Close()
				t.Fatal("not refused")
			}
			mustContain(t, err, errBadHello, a.ClusterID().String(), b.ClusterID().String())
		}
	}
	for _, n := range []*testNode{a, b} {
		eventually(t, "a log line", func() bool { return strings.Contains(n.out.String(), "peer refused") })
		if got := strings.Count(n.out.String(), "peer refused"); got != 1 {
			t.Errorf("%d lines", got)
		}
	}
}

// TestStrangers: silent, foreign and half-spoken connections do not hold up the port, and are closed.
func TestStrangers(t *testing.T) {
	c, a, b := peerPair(t)
	b.Handle(kindEcho, echo)
	addr := c.initial[1].Addr
	var open []net.Conn
	good := hello{lead: leadPeer, version: helloVersion, cluster: b.ClusterID(), member: a.Self()}.encode()
	tooNew := hello{lead: leadRaft, version: 99, cluster: b.ClusterID()}.encode()
	huge := binary.BigEndian.AppendUint32(bytes.Clone(good), 1<<31)
	web := []byte("GET / HTTP/1.1\r\n\r\n")
	for _, say := range [][]byte{nil, web, {leadRaft}, good[:20], tooNew, append(huge, good...)} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(say); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if got := await(t, ask(a.Node, b.Self(), kindEcho, []byte("x"))); got.err != nil {
		t.Errorf("meanwhile: %v", got.err)
	}
	for i, conn := range open {
		_ = conn.SetReadDeadline(time.Now().Add(2 * handshakeTimeout))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stranger %d is still connected", i)
		}
	}
}
