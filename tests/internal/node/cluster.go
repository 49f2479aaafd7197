package node

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Options says how a cluster differs from the default.
type Options struct {
	Nodes  int                  // 0 means 1
	Flags  []string             // for every node
	Each   func(i int) []string // more flags per node, may be nil
	Binary string               // "" means the tree's own
	Place  func(i int, n *Node) // moves a node to addresses and folders of its own, may be nil
	Faults bool                 // a binary that obeys Node.Fault
	TLS    bool                 // clients and members speak TLS, with certificates on both sides
	Users  bool                 // the default user has a password, with which the test logs in
}

// Cluster is a set of nodes with the same --initial-cluster. It belongs to one goroutine at a time.
type Cluster struct {
	Nodes []*Node
	Certs string // with Options.TLS: the folder of certificates
	t     testing.TB
}

// New prepares a cluster and starts nothing.
func New(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Binary == "" && o.Faults {
		o.Binary = FaultBinary(t)
	} else if o.Binary == "" {
		o.Binary = Binary(t)
	}
	c := &Cluster{t: t}
	var peers []string
	for i := range max(o.Nodes, 1) {
		n := newNode(t, "n"+strconv.Itoa(i+1), o.Binary)
		n.Flags = append(n.Flags, o.Flags...)
		if o.Each != nil {
			n.Flags = append(n.Flags, o.Each(i)...)
		}
		if o.Place != nil {
			o.Place(i, n)
		}
		if o.Faults {
			n.openFaults()
		}
		peers = append(peers, n.Name+"="+n.PeerAddr)
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		if len(c.Nodes) > 1 {
			n.initial = strings.Join(peers, ",")
		}
	}
	if o.TLS {
		c.secure(o.Binary)
	}
	if o.Users {
		c.demandPassword()
	}
	return c
}

// Start prepares a cluster, starts its nodes and waits until each is ready.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := New(t, o)
	c.StartAll()
	return c
}

// StartAll starts every node and waits until each is ready.
func (c *Cluster) StartAll() {
	c.t.Helper()
	for _, n := range c.Nodes {
		n.Launch()
	}
	for _, n := range c.Nodes {
		n.WaitReady()
	}
}

// KillAll ends every node with SIGKILL.
func (c *Cluster) KillAll() {
	for _, n := range c.Nodes {
		n.Kill9()
	}
}

// Addrs returns the client addresses of all nodes.
func (c *Cluster) Addrs() []string {
	out := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		out[i] = n.ClientAddr
	}
	return out
}

// Leader waits until a running node says that it leads, and returns the one with the highest term.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	Eventually(c.t, 30*time.Second, "a leader", func() (err error) {
		leader, err = c.findLeader()
		return err
	})
	return leader
}

func (c *Cluster) findLeader() (*Node, error) {
	var leader *Node
	var best int64 = -1
	var errs []error
	for _, n := range c.Nodes {
		if n.Proc == nil || !n.Proc.Running() {
			continue
		}
		st, err := n.Status()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		term, err := strconv.ParseInt(st["term"], 10, 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("term of %s: %w", n.Name, err))
			continue
		}
		if st["is_leader"] == "1" && term > best {
			leader, best = n, term
		}
	}
	if leader == nil {
		return nil, errors.Join(append(errs, errors.New("no node says that it leads"))...)
	}
	return leader, nil
}

// Follower waits for a leader and returns a running node that is not it.
func (c *Cluster) Follower() *Node {
	c.t.Helper()
	return c.Followers()[0]
}

// Followers waits for a leader and returns the running nodes that are not it.
func (c *Cluster) Followers() []*Node {
	c.t.Helper()
	leader := c.Leader()
	var out []*Node
	for _, n := range c.Nodes {
		if n != leader && n.Proc.Running() {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		c.t.Fatal("no follower runs")
	}
	return out
}

// WaitSame waits until every running node has applied the same index.
func (c *Cluster) WaitSame() {
	c.t.Helper()
	Eventually(c.t, 60*time.Second, "all nodes apply the same index", func() error {
		seen := map[string]string{}
		for _, n := range c.Nodes {
			if !n.Proc.Running() {
				continue
			}
			st, err := n.Status()
			if err != nil {
				return err
			}
			seen[st["applied_index"]] = n.Name
		}
		if len(seen) != 1 {
			return fmt.Errorf("applied indexes %v", seen)
		}
		return nil
	})
}

// Prepare makes one more node, which is in nobody's --initial-cluster, and does not start it: its flags say
// how it joins. It is not among Nodes.
func (c *Cluster) Prepare(name string, like Options, place func(*Node), flags ...string) *Node {
	c.t.Helper()
	binary := like.Binary
	if binary == "" && like.Faults {
		binary = FaultBinary(c.t)
	} else if binary == "" {
		binary = Binary(c.t)
	}
	n := newNode(c.t, name, binary)
	if place != nil {
		place(n)
	}
	if like.Faults {
		n.openFaults()
	}
	n.Flags = append(append(n.Flags, like.Flags...), flags...)
	return n
}

// Rejoin takes all data from a node that does not run, and lets it join its cluster anew, with these flags.
func (n *Node) Rejoin(flags ...string) {
	n.t.Helper()
	if err := os.RemoveAll(n.Dir); err != nil {
		n.t.Fatal(err)
	}
	n.initial = ""
	n.Flags = append(slices.DeleteFunc(n.Flags, func(f string) bool {
		return strings.HasPrefix(f, "--join") || strings.HasPrefix(f, "--replace")
	}), flags...)
}
