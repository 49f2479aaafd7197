package discovery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func dial(t *testing.T, addr string) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// want demands this reply as text: an error's or a string's words, a number, nothing.
func want(t *testing.T, c *wire.Conn, text, line string) {
	t.Helper()
	r, err := c.Do(strings.Fields(line)...)
	if err != nil || r.Text != text {
		t.Errorf("%s: %q, %v; want %q", line, r.Raw, err, text)
	}
}

const aborted = "EXECABORT Transaction discarded because of previous errors."

// A follower serves everybody, but for those who have shown that they can find the leader themselves.
func TestMovedOnlyForClusterClients(t *testing.T) {
	w := newWorld(t)
	w.settled()
	leader, follower := w.Leader(), w.Follower()
	moved := "MOVED 12182 " + leader.ClientAddr // the slot of foo
	plain := dial(t, follower.ClientAddr)
	want(t, plain, "OK", "SET foo 1")
	want(t, plain, "1", "GET foo")

	for _, sign := range []string{"READWRITE", "ASKING", "READONLY", "CLUSTER MYID", "CLUSTER SLOTS"} {
		t.Run(sign, func(t *testing.T) {
			c := dial(t, follower.ClientAddr)
			if r, err := c.Do(strings.Fields(sign)...); err != nil || r.IsErr() {
				t.Fatalf("%s: %v, %v", sign, r, err)
			}
			for _, write := range []string{"SET foo 2", "INCR {foo}x", "DEL foo bar", "EXPIRE foo 10",
				"KV.PUT foo 3"} {
				want(t, c, moved, write)
			}
			if sign == "READONLY" {
				want(t, c, "1", "GET foo")
				want(t, c, "1", "EVAL return(redis.call('GET',KEYS[1])) 1 foo")
			} else {
				want(t, c, moved, "GET foo")
				want(t, c, moved, "WATCH foo")
				want(t, c, moved, "EVAL return(1) 1 foo")
			}
			want(t, c, "1", "DBSIZE") // without a key: every node serves it
			want(t, c, "0", "PUBLISH foo x")
			want(t, c, "0", "SPUBLISH foo x")
			want(t, c, "RESET", "RESET")
			want(t, c, "1", "GET foo")
		})
	}
	for _, n := range w.Nodes { // nothing of what was redirected has been done
		want(t, dial(t, n.ClientAddr), "1", "GET foo")
	}
}

// In MULTI the queued command is redirected and EXEC aborts; on the leader nothing is redirected.
func TestMovedInsideMulti(t *testing.T) {
	w := newWorld(t)
	w.settled()
	leader, follower := w.Leader(), w.Follower()
	c := dial(t, follower.ClientAddr)
	want(t, c, "OK", "READWRITE")
	want(t, c, "OK", "MULTI")
	want(t, c, "MOVED 12182 "+leader.ClientAddr, "SET foo 1")
	want(t, c, "QUEUED", "PING")
	want(t, c, aborted, "EXEC")
	want(t, c, "ERR EXEC without MULTI", "EXEC")
	want(t, dial(t, follower.ClientAddr), "0", "EXISTS foo")

	c = dial(t, leader.ClientAddr)
	want(t, c, "OK", "READWRITE")
	for _, line := range []string{"SET foo 1", "MSET foo 1 bar 2 baz 3"} { // slots that differ
		want(t, c, "OK", line)
	}
	want(t, c, "OK", "MULTI")
	want(t, c, "QUEUED", "INCR foo")
	want(t, c, "QUEUED", "INCR bar")
	if r, err := c.Do("EXEC"); err != nil || r.Raw != "*2\r\n:2\r\n:3\r\n" {
		t.Errorf("EXEC: %v, %v", r, err)
	}
}

// Without a leader a cluster client is not sent to one that is gone: it waits as all do, and is told
// CLUSTERDOWN. The table of slots is answered all the while, with the last leader in front, and the state is
// fail.
func TestClusterClientsWithoutALeader(t *testing.T) {
	w := newWorld(t, "--request-timeout", "1s")
	w.settled()
	followers := w.Followers()
	last, gone := followers[0], followers[1]
	before, err := slotsText(last)
	if err != nil {
		t.Fatal(err)
	}
	w.Leader().Kill9()
	gone.Kill9()
	c := dial(t, last.ClientAddr)
	node.Eventually(t, 30*time.Second, "the state to be fail", func() error {
		if r, err := c.Do("CLUSTER", "INFO"); err != nil || !strings.HasPrefix(r.Text, "cluster_state:fail\r\n") {
			return fmt.Errorf("%v, %v", r, err)
		}
		return nil
	})
	down := "CLUSTERDOWN no leader is known; the command was not executed, try again"
	want(t, c, down, "SET foo 1")
	want(t, c, down, "GET foo")
	want(t, c, "OK", "READONLY")
	want(t, c, "", "GET foo")
	after, err := slotsText(last)
	if err != nil || strings.Fields(after)[0] != strings.Fields(before)[0] {
		t.Errorf("slots were %s and are %s, %v", before, after, err)
	}
	node.Eventually(t, 30*time.Second, "the others to be left out as replicas", func() error {
		if text, err := slotsText(last); err != nil || len(strings.Fields(text)) != 2 {
			return fmt.Errorf("%s, %v", text, err)
		}
		return nil
	})
	role, err := c.Do("ROLE")
	if err != nil || role.Elems[0].Text != "slave" || role.Elems[3].Text != "connect" {
		t.Errorf("ROLE: %v, %v", role, err)
	}
	s := dial(t, sentinelAddr(last))
	want(t, s, "NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for "+
		"this master", "SENTINEL CKQUORUM redkeep")
	r, err := s.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName)
	if err != nil || strings.Join(r.Strings(), ":") != strings.Fields(before)[0] {
		t.Errorf("the master is %v, %v", r, err)
	}
	masters, err := s.Do("SENTINEL", "MASTERS")
	if flags, ok := masters.Elems[0].Field("flags"); err != nil || !ok || flags.Text != "s_down,o_down,master" {
		t.Errorf("SENTINEL MASTERS: %v, %v", masters, err)
	}
}

// A member that hangs is left out of what clients are told, and the answer does not wait for it.
func TestPausedMemberIsLeftOut(t *testing.T) {
	w := newWorld(t)
	w.settled()
	paused := w.Follower()
	paused.Pause()
	defer paused.Resume()
	node.Eventually(t, 60*time.Second, "the paused member to be left out", func() error {
		leader := w.Leader() // on a busy machine it may change
		began := time.Now()
		text, err := slotsText(leader)
		if took := time.Since(began); took > 400*time.Millisecond {
			return fmt.Errorf("the answer took %v", took)
		}
		if err != nil || len(strings.Fields(text)) != 2 || strings.Contains(text, paused.ClientAddr) {
			return fmt.Errorf("%s, %v", text, err)
		}
		if r := leader.Do("CLUSTER", "NODES"); !strings.Contains(r.Text, paused.ClientAddr+"@16379 slave,fail ") {
			return fmt.Errorf("CLUSTER NODES: %s", r.Text)
		}
		if r := leader.Do("INFO", "replication"); !strings.Contains(r.Text, "connected_slaves:1\r\n") {
			return fmt.Errorf("INFO: %s", r.Text)
		}
		if r := leader.Do("ROLE"); r.Elems[0].Text != "master" || len(r.Elems[2].Elems) != 1 {
			return fmt.Errorf("ROLE: %v", r)
		}
		return nil
	})
	paused.Resume()
	w.settled()
}

// With --cluster-protocol=false a node is a Redis without cluster support, and redirects nobody.
func TestWithoutClusterProtocol(t *testing.T) {
	w := newWorld(t, "--cluster-protocol=false", "--sentinel-addr", "")
	follower := w.Follower()
	c := dial(t, follower.ClientAddr)
	for _, line := range []string{"CLUSTER SLOTS", "CLUSTER INFO", "CLUSTER MEET a 1", "CLUSTER KEYSLOT a"} {
		want(t, c, "ERR This instance has cluster support disabled", line)
	}
	want(t, c, "OK", "READWRITE")
	want(t, c, "OK", "ASKING")
	want(t, c, "OK", "SET foo 1")
	if r := follower.Do("INFO"); !strings.Contains(r.Text, "cluster_enabled:0\r\n") ||
		!strings.Contains(r.Text, "redis_mode:standalone\r\n") {
		t.Errorf("INFO: %s", r.Text)
	}
	if mode, ok := follower.Do("HELLO").Field("mode"); !ok || mode.Text != "standalone" {
		t.Errorf("HELLO: mode %v", mode)
	}
	if _, err := wire.Dial(sentinelAddr(follower)); err == nil {
		t.Error("there is a Sentinel listener that nobody asked for")
	}
}
