package resp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// subscriber is a handler whose connections take pushes: SUB enables them, the other words are script's.
type subscriber struct {
	*script
	rooms atomic.Int64
	mu    struct {
		sync.Mutex
		conn *Conn
	}
}

func (s *subscriber) ServePipeline(c *Conn, cmds []Command) {
	for i := range cmds {
		switch strings.ToUpper(string(cmds[i].Args[0])) {
		case "SUB":
			c.EnablePushes(func() { s.rooms.Add(1) })
			s.mu.Lock()
			s.mu.conn = c
			s.mu.Unlock()
			c.Offer(nil, []byte("+early\r\n"), 100) // before the confirmation is given, so behind it
			c.Reply(OK())
		case "LINE":
			c.Offer(nil, []byte("+before\r\n"), 1<<20)
			c.Deliver()
			c.Offer(nil, []byte("+after\r\n"), 1<<20)
			c.Reply(Simple("line"))
		case "HOLD": // gives a writer that should not be there every chance
			c.Offer(nil, []byte("+pushed\r\n"), 1<<20)
			give := time.NewTimer(50 * time.Millisecond)
			for waiting := true; waiting && c.Counters().Pushes > 0; {
				select {
				case <-give.C:
					waiting = false
				default:
					runtime.Gosched()
				}
			}
			c.Reply(Simple("held"))
		default:
			s.script.ServePipeline(c, cmds[i:i+1])
		}
	}
}

func (s *subscriber) conn() *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.conn
}

func subscribed(t *testing.T) (*subscriber, *peer, *Conn) {
	t.Helper()
	h := &subscriber{script: newScript()}
	_, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("SUB\r\n")
	p.expect("+OK\r\n+early\r\n")
	return h, p, h.conn()
}

func TestPushReachesAnIdleClient(t *testing.T) {
	_, p, c := subscribed(t)
	for i := range 3 {
		c.Offer([]byte("+head"), fmt.Appendf(nil, "%d\r\n", i), 1<<20)
		p.expect(fmt.Sprintf("+head%d\r\n", i))
	}
	p.send("PING\r\n")
	p.expect("+PONG\r\n")
}

func TestPushReachesAClientWhoseCommandWaits(t *testing.T) {
	h, p, c := subscribed(t)
	p.send("WAIT\r\n")
	eventually(t, "waiting", waiting(h.script, 1))
	c.Offer(nil, []byte("+news\r\n"), 1<<20)
	p.expect("+news\r\n")
	close(h.release)
	p.expect(":1\r\n")
}

func TestDeliverDrawsTheLine(t *testing.T) {
	_, p, _ := subscribed(t)
	p.send("PING\r\nLINE\r\n")
	p.expect("+PONG\r\n+before\r\n+line\r\n+after\r\n")
}

func TestNobodyElseWritesWhileACommandIsServed(t *testing.T) {
	_, p, _ := subscribed(t)
	p.send("HOLD\r\n")
	p.expect("+held\r\n+pushed\r\n")
}

// Replies of every size and pushes from another goroutine never stand inside one another, and neither loses
// its order.
func TestPushesStandBetweenReplies(t *testing.T) {
	_, p, c := subscribed(t)
	const pushes, echoes = 4000, 400
	var done sync.WaitGroup
	done.Go(func() {
		for i := range pushes {
			for !c.Offer([]byte("+push "), fmt.Appendf(nil, "%d\r\n", i), 1<<20) {
				runtime.Gosched()
			}
		}
	})
	done.Go(func() {
		for i := range echoes {
			p.send(wire("ECHO", strings.Repeat("x", i*37)) + "PING\r\n")
		}
	})
	in := bufio.NewReader(p.Conn)
	line := func() string {
		s, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(s, "\r\n")
	}
	nextPush, nextEcho, pong := 0, 0, false
	for nextPush < pushes || nextEcho < echoes || pong {
		got := line()
		switch {
		case got == fmt.Sprintf("+push %d", nextPush):
			nextPush++
		case got == "+PONG" && pong:
			pong = false
		case got == fmt.Sprintf("$%d", nextEcho*37) && !pong:
			if body := line(); body != strings.Repeat("x", nextEcho*37) {
				t.Fatalf("echo %d holds %.60q", nextEcho, body)
			}
			nextEcho, pong = nextEcho+1, true
		default:
			t.Fatalf("read %.60q, push %d or echo %d is next", got, nextPush, nextEcho)
		}
	}
	done.Wait()
}

// A client that reads nothing costs its bound; when it reads, room is reported once and nothing was lost.
func TestStoppedSubscriberIsBounded(t *testing.T) {
	h, p, c := subscribed(t)
	body := bytes.Repeat([]byte("y"), 1<<10)
	const limit = 256 << 10
	taken := 0
	eventually(t, "the queue is full", func() bool {
		for c.Offer(nil, body, limit) {
			taken += len(body)
		}
		return c.Counters().PushBytes >= limit
	})
	if n := c.Counters().PushBytes; n > limit+2<<10 {
		t.Errorf("%d bytes are queued above a limit of %d", n, limit)
	}
	if h.rooms.Load() != 0 {
		t.Error("room was reported although there is none")
	}
	if _, err := io.CopyN(io.Discard, p.Conn, int64(taken)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "room", func() bool { return h.rooms.Load() == 1 })
	c.Offer(nil, []byte("+end\r\n"), limit)
	p.expect("+end\r\n")
}

// Messages that nobody keeps have Redis's rule: above the hard limit the client is cut.
func TestPostCutsASubscriberThatDoesNotRead(t *testing.T) {
	h, _, c := subscribed(t)
	limits := OutputLimits{Hard: 64 << 10, Soft: 32 << 10, For: time.Hour}
	body := bytes.Repeat([]byte("y"), 16<<10)
	eventually(t, "cut", h.see(func() bool {
		c.Post(body, limits)
		return h.script.mu.closed == 1
	}))
}

func TestPostCutsAfterTheSoftTime(t *testing.T) {
	h, _, c := subscribed(t)
	limits := OutputLimits{Hard: 1 << 40, Soft: 32 << 10, For: 50 * time.Millisecond}
	eventually(t, "cut", h.see(func() bool {
		if c.Counters().PushBytes < 1<<20 {
			c.Post(bytes.Repeat([]byte("y"), 64<<10), limits)
		} else {
			c.Post(nil, limits)
		}
		return h.script.mu.closed == 1
	}))
}

// A subscriber with a full socket can be closed: nothing waits for it.
func TestCloseWithAStuckWriter(t *testing.T) {
	_, _, c := subscribed(t)
	body := bytes.Repeat([]byte("y"), 64<<10)
	eventually(t, "stuck", func() bool { return !c.Offer(nil, body, 4<<20) })
	c.Kill()
}
