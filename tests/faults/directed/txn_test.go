package directed

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/faults/puppet"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// duel is a stage on which the real node follows a puppet, which decides what comes into the log before the
// node's own writes.
type duel struct {
	t       *testing.T
	s       *puppet.Stage
	leader  *puppet.Puppet
	foreign uint64 // batches of another process so far
}

func newDuel(t *testing.T) *duel {
	t.Helper()
	d := &duel{t: t, s: puppet.Set(t, "--request-timeout", "20s")}
	d.leader = d.s.Puppets[0]
	d.s.Log.Introduce(d.leader, 2)
	return d
}

// write does a write through the real node and returns its entry, for another process to repeat.
func (d *duel) write(args ...string) puppet.Entry {
	d.t.Helper()
	p := begin(d.t, d.s, args...)
	e := d.leader.Next()
	d.commit(e)
	if r := p.Wait(); r.IsErr() {
		d.t.Fatalf("%v: %v", args, r)
	}
	return e
}

func (d *duel) commit(e puppet.Entry) {
	d.t.Helper()
	d.s.Log.Append(d.leader, 2, true, e)
}

// overtake commits the same write as one of another process.
func (d *duel) overtake(e puppet.Entry) {
	d.t.Helper()
	d.foreign++
	d.commit(e.Foreign(77, d.foreign, 2))
}

func (d *duel) dial() *wire.Conn {
	d.t.Helper()
	c, err := wire.Dial(d.s.Real.ClientAddr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *wire.Conn, commands ...[]string) {
	t.Helper()
	raw := ""
	for _, words := range commands {
		raw += wire.Encode(words...)
	}
	if err := c.Send(raw); err != nil {
		t.Fatal(err)
	}
}

// last reads so many replies and returns the last.
func last(t *testing.T, c *wire.Conn, n int) (r wire.Reply) {
	t.Helper()
	for range n {
		var err error
		if r, err = c.Read(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func words(s string) []string { return strings.Fields(s) }

// A guard holds or not at its turn in the log, whatever the node saw when it took the command: another
// process's write that comes first decides.
func TestAGuardIsDecidedInItsTurn(t *testing.T) {
	d := newDuel(t)
	rival := d.write("SET", "k", "b")
	conn := d.dial()
	for _, tc := range []struct {
		commands [][]string
		want     string
	}{
		{[][]string{words("SET k x IFEQ a")}, `"$-1\r\n"`},
		{[][]string{words("DELEX k IFEQ a")}, `":0\r\n"`},
		{[][]string{words("KV.TXN 1 value k = a 1 3 SET k x 0")}, "succeeded 0"},
		{[][]string{words("KV.TXN 1 value k = a 0 0")}, "succeeded 0"},
		{[][]string{words("MULTI"), words("TXN.IF value k = a"), words("SET k x"), words("EXEC")},
			`"*2\r\n:0\r\n$-1\r\n"`},
	} {
		d.write("SET", "k", "a")
		send(t, conn, tc.commands...)
		batch := d.leader.Next()
		d.overtake(rival)
		d.commit(batch)
		r := last(t, conn, len(tc.commands))
		got := r.String()
		if v, ok := r.Field("succeeded"); ok {
			got = "succeeded " + v.Text
		}
		if got != tc.want {
			t.Errorf("%v was answered %s, want %s", tc.commands, got, tc.want)
		}
		if v, _ := local(t, d.s, "k"); v != "b" {
			t.Errorf("%v: k = %q, though its guard did not hold", tc.commands, v)
		}
	}
}

// The commands of a MULTI are one entry: who sees one of them done sees all.
func TestAMultiIsOneEntry(t *testing.T) {
	d := newDuel(t)
	conn := d.dial()
	send(t, conn, words("MULTI"), words("SET a 1"), words("INCR n"), words("SET b 2"), words("EXEC"))
	d.commit(d.leader.Next())
	d.s.Await("the first write", func() bool { _, exists := local(t, d.s, "a"); return exists })
	for _, key := range []string{"n", "b"} {
		if _, exists := local(t, d.s, key); !exists {
			t.Fatalf("a is there, and %s is not", key)
		}
	}
	if r := last(t, conn, 5); r.String() != `"*3\r\n+OK\r\n:1\r\n+OK\r\n"` {
		t.Errorf("EXEC: %v", r)
	}
}

// EXEC is not done when anything that was watched has changed, be it before EXEC was sent or after: a key
// that was there, one of several, or one that was missing.
func TestAWatchedKeyIsGuarded(t *testing.T) {
	d := newDuel(t)
	there, missing := d.write("SET", "k", "b"), d.write("SET", "m", "b")
	conn := d.dial()
	for name, rival := range map[string]puppet.Entry{"k": there, "m": missing} {
		for _, late := range []bool{false, true} {
			d.write("SET", "k", "a")
			d.write("DEL", "m")
			send(t, conn, words("WATCH k m other"))
			last(t, conn, 1)
			if !late {
				d.overtake(rival)
			}
			send(t, conn, words("MULTI"), words("SET k x"), words("EXEC"))
			batch := d.leader.Next()
			if late {
				d.overtake(rival)
			}
			d.commit(batch)
			if r := last(t, conn, 3); !r.Null {
				t.Errorf("%s had changed (late: %v), and EXEC was answered %v", name, late, r)
			}
			if v, _ := local(t, d.s, "k"); v == "x" {
				t.Errorf("%s had changed (late: %v), and EXEC was done", name, late)
			}
		}
	}
}

// What a script has read is changed before its writes are made: it has not written, and runs again from a
// fresh read. So it answers, and writes, what is true at its turn.
func TestAScriptIsDecidedInItsTurn(t *testing.T) {
	for name, tc := range map[string]struct{ read, rival string }{
		"a key":         {"redis.call('GET', 'k')", "SET k b"},
		"a missing key": {"tostring(redis.call('GET', 'm'))", "SET m b"},
		"a range":       {"tostring(#redis.call('KEYS', 'r*'))", "SET r1 b"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuel(t)
			rival := d.write(words(tc.rival)...)
			fresh := ok(t, d.s, "EVAL", "return "+tc.read, "0").Text
			d.write("DEL", "k", "m", "r1")
			d.write("SET", "k", "a")
			script := fmt.Sprintf("local v = %s redis.call('SET', 'result', v) return v", tc.read)
			p := begin(t, d.s, "EVAL", script, "0")
			first := d.leader.Next()
			d.overtake(rival)
			d.commit(first)
			var again puppet.Entry
			d.s.Await("another attempt", func() bool {
				_, err := p.Within(time.Millisecond)
				return err == nil || d.leader.MaybeNext(&again)
			})
			if again != nil {
				d.commit(again)
			}
			r := p.Wait()
			if v, _ := local(t, d.s, "result"); r.Text != fresh || v != fresh {
				t.Errorf("answered %v and wrote %q, want %q", r, v, fresh)
			}
		})
	}
}

// A transaction that only compares is no local read: what the node has in memory may be old.
func TestACompareIsNotAnsweredFromMemory(t *testing.T) {
	d := newDuel(t)
	rival := d.write("SET", "k", "b")
	d.write("SET", "k", "a")
	p := begin(t, d.s, words("KV.TXN 1 value k = a 1 2 GET k 0")...)
	p.Silent(moment)
	batch := d.leader.Next()
	d.overtake(rival)
	d.commit(batch)
	if v, _ := p.Wait().Field("succeeded"); v.Int() != 0 {
		t.Error("the guard was decided before its turn")
	}
}

// A script whose writes may or may not have been made is not run again behind its client's back.
func TestAnUncertainScriptIsNotRunAgain(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "2s")
	a, b := s.Puppets[0], s.Puppets[1]
	s.Log.Introduce(a, 2)
	p := begin(t, s, "EVAL", "return redis.call('INCR', 'n')", "0")
	a.Next() // accepted, and never heard of again
	if r := p.Wait(); !strings.HasPrefix(r.Text, "UNCERTAIN ") {
		t.Fatalf("EVAL = %v", r)
	}
	s.Log.Start(b, 3)
	probe := begin(t, s, "INCR", "other")
	s.Log.Append(b, 3, true, b.Next())
	if r := probe.Wait(); r.Int() != 1 {
		t.Errorf("INCR other = %v", r)
	}
	var more puppet.Entry
	if v, exists := local(t, s, "n"); exists || b.MaybeNext(&more) {
		t.Errorf("n = %q, another batch %x, though nobody asked again", v, more)
	}
}

// A client that goes away while its script waits for a round of the barrier costs nothing. (That a node has
// panicked fails every test.)
func TestAClientOfAWaitingScriptGoesAway(t *testing.T) {
	d := newDuel(t)
	for _, p := range d.s.Puppets {
		p.Mute(true)
	}
	conn := d.dial()
	send(t, conn, []string{"EVAL", "return redis.call('GET', 'k')", "0"})
	waits := func() bool { return strings.Contains(ok(t, d.s, "CLIENT", "LIST").Text, "cmd=eval") }
	d.s.Await("the script to wait", waits)
	conn.Close()
	d.s.Await("its connection to end", func() bool { return !waits() })
}
