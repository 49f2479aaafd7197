package discovery

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// listing returns one field of each entry of a Sentinel's list, sorted.
func listing(t *testing.T, n *node.Node, sub, field string) (out []string) {
	t.Helper()
	r, err := wire.Once(sentinelAddr(n), wire.DefaultTimeout, "SENTINEL", sub, masterName)
	if err != nil || r.IsErr() {
		t.Fatalf("SENTINEL %s: %v, %v", sub, r, err)
	}
	for _, e := range r.Elems {
		v, _ := e.Field(field)
		out = append(out, v.Text)
	}
	slices.Sort(out)
	return out
}

// hosts are those of all nodes but one, sorted.
func (w *world) hosts(without *node.Node) (out []string) {
	for _, n := range w.Nodes {
		if host, _, _ := net.SplitHostPort(n.ClientAddr); n != without {
			out = append(out, host)
		}
	}
	slices.Sort(out)
	return out
}

// Every Sentinel names the same master and replicas, and the other Sentinels.
func TestSentinelsKnowEachOther(t *testing.T) {
	w := newWorld(t)
	w.settled()
	leader := w.Leader()
	for _, n := range w.Nodes {
		node.Eventually(t, 30*time.Second, "the other Sentinels to be known", func() error {
			if got := listing(t, n, "sentinels", "ip"); !slices.Equal(got, w.hosts(n)) {
				return fmt.Errorf("%s knows %v", n.Name, got)
			}
			return nil
		})
		if got := listing(t, n, "replicas", "ip"); !slices.Equal(got, w.hosts(leader)) {
			t.Errorf("%s: replicas %v", n.Name, got)
		}
		s := dial(t, sentinelAddr(n))
		r, err := s.Do("SENTINEL", "get-master-addr-by-name", masterName)
		if err != nil || strings.Join(r.Strings(), ":") != leader.ClientAddr {
			t.Errorf("%s: master %v, %v", n.Name, r, err)
		}
		want(t, s, "OK 3 usable Sentinels. Quorum and failover authorization can be reached",
			"SENTINEL CKQUORUM redkeep")
		want(t, s, "ERR No such master with that name", "SENTINEL MASTER nobody")
		if r, err := s.Do("SENTINEL", "get-master-addr-by-name", "nobody"); err != nil || r.Raw != "*-1\r\n" {
			t.Errorf("an unknown master: %v, %v", r, err)
		}
		if r, err := s.Do("SET", "a", "1"); err != nil || !strings.HasPrefix(r.Text, "ERR unknown command 'SET'") {
			t.Errorf("SET: %v, %v", r, err)
		}
		r = n.Do("SENTINEL", "MASTERS")
		if !strings.HasPrefix(r.Text, "ERR unknown command 'SENTINEL'") {
			t.Errorf("the data port knows SENTINEL: %v", r)
		}
	}
}

// heard reads messages of a subscription until one has this start, and returns it.
func heard(t *testing.T, c *wire.Conn, start string) string {
	t.Helper()
	var others []string
	for {
		r, err := c.Read()
		if err != nil {
			t.Fatalf("%q was not told: %v; heard %q", start, err, others)
		}
		if len(r.Elems) == 4 {
			text := r.Elems[2].Text + " " + r.Elems[3].Text
			if strings.HasPrefix(text, start) {
				return text
			}
			others = append(others, text)
		}
	}
}

// The survivors tell their subscribers who leads now, once, and that the old one is down, a replica, and
// back.
func TestSentinelTellsOfAFailover(t *testing.T) {
	w := newWorld(t)
	w.settled()
	old := w.Leader()
	var ears []*wire.Conn
	for _, n := range w.Followers() {
		c := dial(t, sentinelAddr(n))
		c.Timeout = 60 * time.Second
		want(t, c, "", "PSUBSCRIBE *")
		ears = append(ears, c)
	}
	// What is published on the data port is no Sentinel's word.
	old.Do("PUBLISH", "+switch-master", "redkeep 1.1.1.1 1 2.2.2.2 2")
	old.Kill9()
	at := func(n *node.Node) string { return strings.ReplaceAll(n.ClientAddr, ":", " ") }
	for _, c := range ears {
		heard(t, c, "+odown master redkeep "+at(old))
		told := heard(t, c, "+switch-master ")
		if now := w.Leader(); told != "+switch-master redkeep "+at(old)+" "+at(now) {
			t.Errorf("told %q, the leader is %s", told, now.ClientAddr)
		}
		heard(t, c, "+slave slave "+old.ClientAddr+" "+at(old)+" @ redkeep "+at(w.Leader()))
	}
	old.Start()
	for _, c := range ears {
		heard(t, c, "-sdown slave "+old.ClientAddr+" ")
	}
}

// When the leader hands over and stops, the address changes hands, too, and is told.
func TestSentinelTellsOfAHandOver(t *testing.T) {
	w := newWorld(t, "--cluster-name", "mymaster")
	w.settled()
	old := w.Leader()
	c := dial(t, sentinelAddr(w.Follower()))
	c.Timeout = 60 * time.Second
	want(t, c, "", "PSUBSCRIBE +switch-mast[e]r")
	old.Stop()
	told := heard(t, c, "+switch-master mymaster ")
	if now := w.Leader(); !strings.HasSuffix(told, " "+strings.ReplaceAll(now.ClientAddr, ":", " ")) {
		t.Errorf("told %q, the leader is %s", told, now.ClientAddr)
	}
}

// CLUSTER FAILOVER makes the follower that it is sent to the leader, SENTINEL FAILOVER another member;
// nothing acknowledged is lost by it, and the Sentinels tell of it.
func TestFailoverByHand(t *testing.T) {
	w := newWorld(t)
	w.settled()
	ear := dial(t, sentinelAddr(w.Leader()))
	ear.Timeout = 60 * time.Second
	want(t, ear, "", "PSUBSCRIBE +switch-mast[e]r")
	heir := w.Follower()
	c := dial(t, heir.ClientAddr)
	want(t, c, "OK", "SET k v")
	leads := dial(t, w.Leader().ClientAddr)
	want(t, leads, "ERR You should send CLUSTER FAILOVER to a replica", "CLUSTER FAILOVER")
	want(t, c, "ERR syntax error", "CLUSTER FAILOVER NOW")
	want(t, c, "OK", "CLUSTER FAILOVER")
	if now := w.Leader(); now != heir {
		t.Fatalf("the leader is %s", now.Name)
	}
	heard(t, ear, "+switch-master "+masterName+" ")
	want(t, c, "v", "GET k")
	want(t, dial(t, sentinelAddr(w.Follower())), "OK", "SENTINEL FAILOVER "+masterName)
	if now := w.Leader(); now == heir {
		t.Errorf("the leader is still %s", now.Name)
	}
	heard(t, ear, "+switch-master "+masterName+" ")
	want(t, dial(t, w.Leader().ClientAddr), "v", "GET k")
}
