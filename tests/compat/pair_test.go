package compat

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// pair is a connection to Redis and one to Redkeep that get the same calls.
type pair struct {
	t           *testing.T
	redis, keep *wire.Conn
	calls       int
}

func newPair(t *testing.T, redisAddr, keepAddr string, proto string) *pair {
	t.Helper()
	p := &pair{t: t, redis: dial(t, redisAddr), keep: dial(t, keepAddr)}
	if proto == "3" {
		for _, c := range []*wire.Conn{p.redis, p.keep} {
			if r, err := c.Do("HELLO", "3"); err != nil || r.Kind != '%' {
				t.Fatalf("HELLO 3: %v, %v", r, err)
			}
		}
	}
	return p
}

func dial(t *testing.T, addr string) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// both sends one call to each server and returns the replies: Redis's first.
func (p *pair) both(args ...string) (want, got wire.Reply) {
	p.t.Helper()
	p.calls++
	want, err := p.redis.Do(args...)
	if err != nil {
		p.t.Fatalf("redis %.200q: %v", args, err)
	}
	got, err = p.keep.Do(args...)
	if err != nil {
		p.t.Fatalf("redkeep %.200q: %v (redis said %.200s)", args, err, want)
	}
	return want, got
}

// Same demands the same bytes.
func (p *pair) Same(args ...string) {
	p.t.Helper()
	if want, got := p.both(args...); got.Raw != want.Raw {
		p.t.Errorf("%.200q\n  redis   %.300q\n  redkeep %.300q", args, want.Raw, got.Raw)
	}
}

// SameLine is Same for a call written as words separated by single spaces.
func (p *pair) SameLine(lines ...string) {
	p.t.Helper()
	for _, l := range lines {
		p.Same(strings.Split(l, " ")...)
	}
}

// SameError demands an error from both that starts with the same given text.
func (p *pair) SameError(prefix string, args ...string) {
	p.t.Helper()
	want, got := p.both(args...)
	for who, r := range map[string]wire.Reply{"redis": want, "redkeep": got} {
		if !r.IsErr() || !strings.HasPrefix(r.Text, prefix) {
			p.t.Errorf("%.200q: %s says %.300q, want an error that starts with %q", args, who, r.Raw, prefix)
		}
	}
}

// Sorted demands an array of the same elements in any order.
func (p *pair) Sorted(args ...string) {
	p.t.Helper()
	want, got := p.both(args...)
	w, g := want.Strings(), got.Strings()
	slices.Sort(w)
	slices.Sort(g)
	if want.Kind != got.Kind || !slices.Equal(w, g) {
		p.t.Errorf("%.200q\n  redis   %.300q\n  redkeep %.300q", args, want.Raw, got.Raw)
	}
}

// Approx demands integers that differ by at most delta.
func (p *pair) Approx(delta int64, args ...string) {
	p.t.Helper()
	want, got := p.both(args...)
	diff := max(want.Int()-got.Int(), got.Int()-want.Int())
	if want.Kind != ':' || got.Kind != ':' || diff > delta || (want.Int() < 0) != (got.Int() < 0) {
		p.t.Errorf("%.200q\n  redis   %.300q\n  redkeep %.300q, allowed difference %d", args, want.Raw, got.Raw,
			delta)
	}
}

// SameShape demands replies of the same types.
func (p *pair) SameShape(args ...string) (want, got wire.Reply) {
	p.t.Helper()
	want, got = p.both(args...)
	if want.Shape() != got.Shape() {
		p.t.Errorf("%.200q\n  redis   %s %.300q\n  redkeep %s %.300q",
			args, want.Shape(), want.Raw, got.Shape(), got.Raw)
	}
	return want, got
}

// Gone waits until neither server has the key any more.
func (p *pair) Gone(key string) {
	p.t.Helper()
	node.Eventually(p.t, 10*time.Second, "the key expires on both", func() error {
		want, got := p.both("EXISTS", key)
		if want.Int()+got.Int() != 0 {
			return fmt.Errorf("redis %v, redkeep %v", want, got)
		}
		return nil
	})
}

// PipelineOf sends calls in one write and compares their replies.
func (p *pair) PipelineOf(calls [][]string) {
	p.t.Helper()
	var raw strings.Builder
	for _, c := range calls {
		raw.WriteString(wire.Encode(c...))
	}
	defer func() {
		if p.t.Failed() {
			for i, c := range calls {
				p.t.Logf("call %d: %q", i, c)
			}
		}
	}()
	p.Pipeline(raw.String(), len(calls))
}

// Pipeline sends the same bytes to both and compares n replies. A difference is shown with the whole
// pipeline, since what came before may be the cause.
func (p *pair) Pipeline(raw string, n int) {
	p.t.Helper()
	for _, c := range []*wire.Conn{p.redis, p.keep} {
		if err := c.Send(raw); err != nil {
			p.t.Fatal(err)
		}
	}
	for i := range n {
		p.calls++
		want, err := p.redis.Read()
		if err != nil {
			p.t.Fatalf("redis, reply %d to %.200q: %v", i, raw, err)
		}
		got, err := p.keep.Read()
		if err != nil {
			p.t.Fatalf("redkeep, reply %d to %.200q: %v", i, raw, err)
		}
		if got.Raw != want.Raw {
			p.t.Fatalf("reply %d to %.60q\n  redis   %.300q\n  redkeep %.300q", i, raw, want.Raw, got.Raw)
		}
	}
}

// untilClosed sends bytes on a fresh connection and returns all that the server says before it closes. A
// reset counts as a close: it happens when a server closes with unread input.
func untilClosed(t *testing.T, addr, raw string) string {
	t.Helper()
	c := dial(t, addr)
	c.Timeout = 5 * time.Second
	c.Send(raw)
	out, err := c.ReadAll()
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s does not close after %.100q; it said %.200q", addr, raw, out)
	}
	return out
}

// target is where Redkeep is reached.
type target struct {
	name  string
	nodes int
}

var targets = []target{{"one node", 1}, {"follower of three", 3}}

// ControlEnv, when set, puts a second redis-server in Redkeep's place: the suite must then pass, or it
// compares something that Redis itself does not answer the same way twice.
const ControlEnv = "RKTEST_CONTROL"

// start brings the target up and returns the address to talk to.
func (g target) start(t *testing.T) string {
	t.Helper()
	if os.Getenv(ControlEnv) != "" {
		return startRedis(t)
	}
	// The measure is a Redis without cluster support; cluster_test.go has the other.
	c := node.Start(t, node.Options{Nodes: g.nodes, Flags: []string{"--cluster-protocol=false"}})
	if g.nodes == 1 {
		return c.Nodes[0].ClientAddr
	}
	return c.Follower().ClientAddr
}

// startRedis starts the server that is the measure; one database, as Redkeep has, and a log on disk.
func startRedis(t *testing.T) string {
	t.Helper()
	addr, _ := node.Redis(t, "--databases", "1", "--appendonly", "yes")
	return addr
}

// family is a named list of calls.
type family struct {
	name string
	run  func(p *pair)
}

func TestSameAsRedis(t *testing.T) {
	families := slices.Concat(aclFamilies, stringFamilies, keyFamilies, expiryFamilies, connectionFamilies,
		introspectionFamilies, valueFamilies, bitmapFamilies, renameFamilies, serverFamilies, multiFamilies,
		scriptFamilies)
	for _, g := range targets {
		t.Run(g.name, func(t *testing.T) {
			redis, keep := startRedis(t), g.start(t)
			for _, proto := range []string{"2", "3"} {
				for _, f := range families {
					t.Run("RESP"+proto+"/"+f.name, func(t *testing.T) { runFamily(t, f, redis, keep, proto) })
				}
			}
		})
	}
}

func runFamily(t *testing.T, f family, redis, keep, proto string) {
	p := newPair(t, redis, keep, proto)
	p.Same("FLUSHALL")
	f.run(p)
	if p.calls < 5 {
		t.Errorf("only %d calls were compared", p.calls)
	}
}
