package directed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// alarmed reports whether a member's alarm is up, seen from a node. member "" is any.
func alarmed(via *node.Node, alarm, member string) (bool, error) {
	r, err := wire.Once(via.ClientAddr, 2*time.Second, "ALARM.LIST")
	if err != nil || r.IsErr() {
		return false, fmt.Errorf("ALARM.LIST: %v, %w", r, errors.Join(err))
	}
	for _, a := range r.Elems {
		name, _ := a.Field("name")
		kind, _ := a.Field("alarm")
		if kind.Text == alarm && (member == "" || name.Text == member) {
			return true, nil
		}
	}
	return false, nil
}

func awaitAlarm(t *testing.T, via *node.Node, alarm, member string, want bool) {
	t.Helper()
	what := fmt.Sprintf("%s of %q on %s: %v", alarm, member, via.Name, want)
	node.Eventually(t, 30*time.Second, what, func() error {
		up, err := alarmed(via, alarm, member)
		if err == nil && up != want {
			err = errors.New("not yet")
		}
		return err
	})
}

// answers waits until a command gets a reply with this prefix; "-CORRUPT " is an error.
func answers(t *testing.T, n *node.Node, prefix string, args ...string) {
	t.Helper()
	node.Eventually(t, 30*time.Second, fmt.Sprintf("%s answers %q with %q", n.Name, args, prefix), func() error {
		r, err := wire.Once(n.ClientAddr, 5*time.Second, args...)
		if err == nil && !strings.HasPrefix(r.Raw, prefix) {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
}

// differ makes the state of a member wrong, as an entry that it applied wrongly would, and has one more entry
// applied: members compare what they were at the end of an entry.
func differ(t *testing.T, bad, lead *node.Node) {
	t.Helper()
	bad.Fault("flip k")
	do(t, lead, "SET", "next", "entry")
}

// refuses demands that a node serves nothing, whatever the connection asks for.
func refuses(t *testing.T, n *node.Node) {
	t.Helper()
	for _, args := range [][]string{{"GET", "k"}, {"SET", "k", "x"}, {"KV.RANGE", "k"}, {"SUBSCRIBE", "watch:k"},
		{"EVAL", "return 1", "0"}, {"KV.WATCH", "k"}, {"KV.GET", "k", "SERIALIZABLE"}} {
		if r := n.Do(args...); !strings.HasPrefix(r.Raw, "-CORRUPT ") {
			t.Errorf("%s: %q = %v", n.Name, args, r)
		}
	}
	c, err := wire.Dial(n.ClientAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Do("READONLY"); err != nil || r.IsErr() {
		t.Fatalf("READONLY: %v, %v", r, err)
	}
	if r, err := c.Do("GET", "k"); err != nil || !strings.HasPrefix(r.Raw, "-CORRUPT ") {
		t.Errorf("%s: READONLY GET = %v, %v", n.Name, r, err)
	}
}

// A member whose state differs is found, whoever it is, is served from no longer, and stays fenced off
// through a restart until somebody disarms the alarm. The others serve on.
func TestAMemberThatDiffersIsFencedOff(t *testing.T) {
	for _, who := range []string{"follower", "leader"} {
		t.Run(who, func(t *testing.T) {
			c := node.Start(t, node.Options{Nodes: 3, Faults: true})
			do(t, c.Nodes[0], "SET", "k", "good")
			c.WaitSame()
			bad := c.Leader()
			if who == "follower" {
				bad = c.Follower()
			}
			differ(t, bad, c.Leader())
			var others []*node.Node
			for _, n := range c.Nodes {
				if n != bad {
					others = append(others, n)
				}
			}
			awaitAlarm(t, others[0], "CORRUPT", bad.Name, true)
			answers(t, bad, "-CORRUPT ", "GET", "k")
			refuses(t, bad)
			for _, n := range others {
				answers(t, n, "$4\r\ngood\r\n", "GET", "k")
				answers(t, n, "+OK", "SET", "other", n.Name)
			}
			node.Eventually(t, 30*time.Second, "somebody else leads", func() error {
				if c.Leader() == bad {
					return errors.New(bad.Name + " still leads")
				}
				return nil
			})
			bad.Restart() // the log has the right value, so the state is right again; the alarm stays
			awaitAlarm(t, bad, "CORRUPT", bad.Name, true)
			refuses(t, bad)
			answers(t, others[0], ":1\r\n", "ALARM.DISARM")
			answers(t, bad, "$4\r\ngood\r\n", "GET", "k")
			awaitAlarm(t, bad, "CORRUPT", "", false)
		})
	}
}

// The alarm is part of the state: it outlives the log that it was raised in. And disarming does not help a
// member whose state is still wrong.
func TestAnAlarmOutlivesTheLog(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true, Flags: []string{"--snapshot-bytes", "16KiB"}})
	do(t, c.Nodes[0], "SET", "k", "good")
	c.WaitSame()
	bad, lead := c.Follower(), c.Leader()
	differ(t, bad, lead)
	awaitAlarm(t, lead, "CORRUPT", bad.Name, true)
	taken := func() (n int64) {
		_, rest, _ := strings.Cut(do(t, bad, "INFO", "persistence").Text, "rdb_saves:")
		fmt.Sscan(rest, &n)
		return n
	}
	before := taken()
	for i := range 200 {
		do(t, lead, "SET", fmt.Sprint("fill", i), strings.Repeat("x", 400))
	}
	node.Eventually(t, 30*time.Second, "a snapshot with the alarm", func() error {
		if taken() < before+2 {
			return errors.New("not yet")
		}
		return nil
	})
	c.WaitSame()
	bad.Restart()
	refuses(t, bad)
	awaitAlarm(t, bad, "CORRUPT", bad.Name, true)
	answers(t, c.Leader(), ":1\r\n", "ALARM.DISARM", "corrupt")
	awaitAlarm(t, c.Leader(), "CORRUPT", bad.Name, true)
	answers(t, bad, "-CORRUPT ", "GET", "k")
}

// Of two members that differ nobody knows which is right: neither is served from, until they agree again.
func TestTwoMembersThatDifferServeNothing(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 2, Faults: true})
	do(t, c.Nodes[0], "SET", "k", "good")
	c.WaitSame()
	bad := c.Nodes[1]
	differ(t, bad, c.Leader())
	for _, n := range c.Nodes {
		answers(t, n, "-CORRUPT ", "GET", "k")
		refuses(t, n)
	}
	bad.Restart()
	for _, n := range c.Nodes {
		answers(t, n, "$4\r\ngood\r\n", "GET", "k")
	}
	awaitAlarm(t, bad, "CORRUPT", "", false)
}

// A leader whose disk hangs gives leadership up within two heartbeat timeouts and an election, and every
// member says what is wrong; so it is with a follower's disk.
func TestAHungDiskIsToldAndCostsLittle(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	old := c.Leader()
	do(t, old, "SET", "k", "before")
	other := c.Follower()
	c.WaitSame()
	old.Fault("disk hang")
	wire.Begin(t, old.ClientAddr, "SET", "stuck", "v")
	began := time.Now()
	node.Eventually(t, 30*time.Second, "another leader takes a write", func() error {
		r, err := wire.Once(other.ClientAddr, 6*time.Second, "SET", "k", "after")
		if err == nil && r.Text != "OK" {
			err = errors.New(r.Text)
		}
		return err
	})
	t.Logf("a write was taken %v after the leader's disk hung", time.Since(began).Round(time.Millisecond))
	awaitAlarm(t, other, "HUNGDISK", old.Name, true)
	if !strings.Contains(old.Proc.Output(), "leadership is offered to another member") {
		t.Error("the leader gave way to silence, not by itself")
	}
	old.Fault("disk heal")
	awaitAlarm(t, other, "HUNGDISK", "", false)
	follower := c.Follower()
	follower.Fault("disk hang")
	do(t, c.Leader(), "SET", "k", "more")
	awaitAlarm(t, c.Leader(), "HUNGDISK", follower.Name, true)
	follower.Fault("disk heal")
	awaitAlarm(t, c.Leader(), "HUNGDISK", "", false)
}

// A disk that takes long again and again is told of.
func TestASlowDiskIsTold(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 1, Faults: true})
	c.Nodes[0].Fault("disk slow 600ms")
	for range 3 {
		do(t, c.Nodes[0], "SET", "k", "v")
	}
	awaitAlarm(t, c.Nodes[0], "SLOWDISK", "n1", true)
}

// A wall clock that jumps is told of. When it is set back time does not stand still: what was to live for
// half a second is gone soon, not after an hour.
func TestTimeGoesOnWhenTheClockIsSetBack(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	lead := c.Leader()
	lead.Fault("clock +1h")
	awaitAlarm(t, c.Follower(), "CLOCK", lead.Name, true)
	do(t, lead, "SET", "stamped", "an hour ahead")
	lead.Fault("clock 0")
	via := c.Leader()
	do(t, via, "SET", "short", "v", "PX", "500")
	node.Eventually(t, 20*time.Second, "the key is gone", func() error {
		if r := do(t, via, "GET", "short"); !r.Null {
			return fmt.Errorf("short = %v", r)
		}
		return nil
	})
	if r := do(t, via, "SET", "long", "v", "EX", "100"); r.Text != "OK" {
		t.Fatal(r)
	}
	if r := do(t, via, "TTL", "long"); r.Int() < 95 || r.Int() > 100 {
		t.Errorf("TTL = %v", r)
	}
}

// A member whose disk is nearly full takes no writes and does not lead while another can.
func TestAFullDiskDoesNotLead(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true, Each: func(i int) []string {
		if i == 0 {
			return []string{"--disk-reserve-bytes", "1TiB"}
		}
		return nil
	}})
	awaitAlarm(t, c.Nodes[1], "DISKFULL", "n1", true)
	answers(t, c.Nodes[0], "-OOM ", "SET", "k", "v")
	answers(t, c.Nodes[1], "+OK", "SET", "k", "v")
	answers(t, c.Nodes[0], "$1\r\nv\r\n", "GET", "k")
	id, _ := do(t, c.Nodes[0], "CLUSTER.STATUS").Field("member_id")
	answers(t, c.Nodes[1], "+OK", "MEMBER.MOVELEADER", id.Text)
	node.Eventually(t, 30*time.Second, "another leads", func() error {
		if c.Leader() == c.Nodes[0] {
			return errors.New("n1 leads")
		}
		return nil
	})
}
