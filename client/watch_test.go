package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redkeep/redkeep/client"
)

// fake is a node that knows just enough to be watched: KV.RANGE says the revision, SUBSCRIBE tells the
// script. The whole product is behind the same watch in tests/integration.
type fake struct {
	ln      net.Listener
	script  func(rev int, tell func(payload string)) // what a subscription from a revision is told
	silent  bool                                     // keeps connections and says nothing
	refusal string                                   // what it says instead of the revision
	serving sync.WaitGroup

	mu struct {
		sync.Mutex
		conns []net.Conn
		revs  []int // of the subscriptions
	}
}

func newFake(script func(rev int, tell func(string))) *fake { return newFakeAt("127.0.0.1:0", script) }

func newFakeAt(addr string, script func(rev int, tell func(string))) *fake {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	f := &fake{ln: ln, script: script}
	f.serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.mu.conns = append(f.mu.conns, conn)
			f.mu.Unlock()
			f.serving.Go(func() { f.serve(conn) })
		}
	})
	return f
}

func (f *fake) addr() string { return f.ln.Addr().String() }

func (f *fake) close() {
	_ = f.ln.Close()
	f.cut()
	f.serving.Wait()
}

func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.mu.conns {
		_ = c.Close()
	}
}

func (f *fake) subscriptions() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.mu.revs)
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		words, err := readCommand(in)
		if err != nil {
			return
		}
		switch {
		case f.silent:
		case words[0] == "kv.range" && f.refusal != "":
			fmt.Fprintf(conn, "-%s\r\n", f.refusal)
		case words[0] == "kv.range":
			fmt.Fprint(conn, "*2\r\n$8\r\nrevision\r\n:1\r\n")
		case words[0] == "subscribe":
			f.subscribed(conn, words[1])
		default:
			fmt.Fprint(conn, "-ERR unknown command\r\n")
		}
	}
}

func (f *fake) subscribed(conn net.Conn, channel string) {
	_, after, _ := strings.Cut(channel, "rev=")
	text, _, _ := strings.Cut(after, ":")
	rev, _ := strconv.Atoi(text)
	f.mu.Lock()
	f.mu.revs = append(f.mu.revs, rev)
	f.mu.Unlock()
	fmt.Fprintf(conn, "*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(channel), channel)
	f.script(rev, func(payload string) {
		fmt.Fprintf(conn, "*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n", len(channel), channel)
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(payload), payload)
	})
}

func readCommand(in *bufio.Reader) (words []string, err error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	for range n {
		if line, err = in.ReadString('\n'); err != nil {
			return nil, err
		}
		size, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		body := make([]byte, size+2)
		if _, err := io.ReadFull(in, body); err != nil {
			return nil, err
		}
		words = append(words, string(body[:size]))
	}
	words[0] = strings.ToLower(words[0])
	return words, nil
}

func put(key, value string, rev int, end bool) string {
	tail := ""
	if end {
		tail = `,"end":true`
	}
	return fmt.Sprintf(`{"type":"put","key":%q,"value":%q,"create_revision":2,"mod_revision":%d,"version":1%s}`,
		key, value, rev, tail)
}

var exampleNode *fake

func endpoints() []string { return []string{exampleNode.addr()} }

func TestMain(m *testing.M) {
	exampleNode = newFake(func(_ int, tell func(string)) {
		tell(put("config/a", "1", 2, true))
		tell(put("config/a", "2", 3, false))
		tell(put("config/b", "x", 3, true))
		tell(`{"type":"delete","key":"config/a","mod_revision":4,"end":true}`)
	})
	code := m.Run()
	exampleNode.close()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func start(t *testing.T, nodes ...*fake) (responses <-chan client.Response) {
	t.Helper()
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.addr())
		t.Cleanup(n.close)
	}
	c, err := client.New(client.Config{Endpoints: addrs, Silence: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Watch(context.Background(), "k", client.WithPrefix())
}

// A revision that was told half when the connection broke is told whole, once, by the next node.
func TestRevisionIsToldWholeOverABreak(t *testing.T) {
	var first *fake
	first = newFake(func(_ int, tell func(string)) {
		tell(put("k1", "a", 2, true))
		tell(put("k1", "b", 3, false))
		first.cut()
	})
	second := newFake(func(rev int, tell func(string)) {
		tell(put("k1", "b", rev, false))
		tell(put("k2", "b", rev, true))
	})
	responses := start(t, first, second)
	if r := <-responses; r.Revision != 2 || len(r.Events) != 1 {
		t.Errorf("told %+v", r)
	}
	if r := <-responses; r.Revision != 3 || len(r.Events) != 2 {
		t.Errorf("told %+v", r)
	}
	if got := second.subscriptions(); !slices.Equal(got, []int{3}) {
		t.Errorf("went on from %v", got)
	}
}

// A node that accepts and says nothing is left.
func TestSilenceIsABreak(t *testing.T) {
	dumb := newFake(nil)
	dumb.silent = true
	good := newFake(func(rev int, tell func(string)) { tell(put("k", "v", rev, true)) })
	if r := <-start(t, dumb, good); len(r.Events) != 1 {
		t.Errorf("told %+v", r)
	}
}

// closedAddr is an address at which nobody listens.
func closedAddr() string {
	n := newFake(nil)
	n.close()
	return n.addr()
}

// Who asks for it is told that nobody answers, instead of waiting in silence.
func TestUnreachableEndsAWatchThatAsksForIt(t *testing.T) {
	dumb := newFake(nil)
	dumb.silent = true
	t.Cleanup(dumb.close)
	c, err := client.New(client.Config{Endpoints: []string{closedAddr(), dumb.addr()}, Silence: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, ok := <-c.Watch(ctx, "k", client.WithFirstAnswer())
	if !ok || !errors.Is(r.Err, client.ErrUnreachable) || !strings.Contains(r.Err.Error(), dumb.addr()) {
		t.Errorf("told %+v, %v", r, ok)
	}
}

// A watch that cannot go on says so, once, and goes on when it can.
func TestOutageIsNoticed(t *testing.T) {
	addr := closedAddr()
	notices := make(chan error, 100)
	c, err := client.New(client.Config{Endpoints: []string{addr}, Notice: func(err error) { notices <- err }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	responses := c.Watch(ctx, "k")
	select {
	case err := <-notices:
		if !strings.Contains(err.Error(), addr) {
			t.Errorf("the notice is %v", err)
		}
	case <-ctx.Done():
		t.Fatal("no notice")
	}
	n := newFakeAt(addr, func(rev int, tell func(string)) { tell(put("k", "v", rev, true)) })
	t.Cleanup(n.close)
	if r := <-responses; len(r.Events) != 1 || len(notices) > 0 {
		t.Errorf("told %+v, and %d more notices", r, len(notices))
	}
}

// What a node says about itself is no reason to end: the next one may serve. A node that has no leader has
// answered, all the same.
func TestAnotherNodeServes(t *testing.T) {
	for _, refusal := range []string{"CORRUPT its state differs", "BUSY too much", "CLUSTERDOWN no leader"} {
		sick := newFake(nil)
		sick.refusal = refusal
		good := newFake(func(rev int, tell func(string)) { tell(put("k", "v", rev, true)) })
		if r := <-start(t, sick, good); len(r.Events) != 1 {
			t.Errorf("%s: told %+v", refusal, r)
		}
	}
}

func TestCompactionIsTold(t *testing.T) {
	n := newFake(func(_ int, tell func(string)) {
		tell(`{"type":"canceled","reason":"required revision has been compacted","compact_revision":7}`)
	})
	responses := start(t, n)
	if r := <-responses; !errors.Is(r.Err, client.ErrCompacted) || r.CompactRevision != 7 {
		t.Errorf("told %+v", r)
	}
	if _, more := <-responses; more {
		t.Error("something follows the end")
	}
}

func TestNoEndpoints(t *testing.T) {
	if _, err := client.New(client.Config{}); !errors.Is(err, client.ErrNoEndpoints) {
		t.Errorf("got %v", err)
	}
}
