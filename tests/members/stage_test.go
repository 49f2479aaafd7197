package members

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/network"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(node.MainIsolated(m)) }

const (
	machines = 5
	patience = 60 * time.Second
)

// stage is a cluster on the first machines; the others are spare.
type stage struct {
	*node.Cluster
	t    *testing.T
	net  *network.Network
	next int // the next spare machine
}

func newStage(t *testing.T, nodes int) *stage {
	t.Helper()
	net, err := network.New(machines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(net.Close)
	s := &stage{t: t, net: net, next: nodes}
	s.Cluster = node.Start(t, node.Options{Nodes: nodes, Faults: true, Place: s.place})
	return s
}

// place moves a node to a machine.
func (s *stage) place(i int, n *node.Node) {
	m := s.net.Machines[i]
	host := m.Addr.String()
	n.ClientAddr, n.PeerAddr, n.HTTPAddr = host+":6379", host+":16379", host+":8379"
	n.On = m.On
}

// spare prepares a node on the next free machine; the flags say how it joins.
func (s *stage) spare(name string, flags ...string) *node.Node {
	s.t.Helper()
	i := s.next
	s.next++
	return s.Prepare(name, node.Options{Faults: true}, func(n *node.Node) { s.place(i, n) }, flags...)
}

// machine returns the number of a node's machine.
func (s *stage) machine(n *node.Node) int {
	for i, m := range s.net.Machines {
		if strings.HasPrefix(n.ClientAddr, m.Addr.String()+":") {
			return i
		}
	}
	panic("a node on no machine")
}

// cut takes a node off the network that the members share, or puts it back; the test still reaches it.
func (s *stage) cut(n *node.Node, on bool) {
	i := s.machine(n)
	for j := range s.net.Machines {
		if i != j {
			s.net.Link(i, j).Cut(on)
			s.net.Link(j, i).Cut(on)
		}
	}
}

// seed is the flag that joins by a node.
func seed(n *node.Node) string { return "--join=" + n.PeerAddr }

// entry is one member as MEMBER.LIST shows it.
type entry map[string]string

// list asks a node for the members.
func list(via *node.Node) (out []entry, err error) {
	r, err := wire.Once(via.ClientAddr, 5*time.Second, "MEMBER.LIST")
	if err != nil {
		return nil, err
	}
	if r.IsErr() {
		return nil, errors.New(r.Text)
	}
	for _, m := range r.Elems {
		e := entry{}
		for i := 0; i+1 < len(m.Elems); i += 2 {
			e[m.Elems[i].Text] = m.Elems[i+1].Text
		}
		out = append(out, e)
	}
	return out, nil
}

// awaitMember waits until a node lists a member of that name as ok wants it.
func (s *stage) awaitMember(via *node.Node, name, what string, ok func(entry) bool) (found entry) {
	s.t.Helper()
	node.Eventually(s.t, patience, name+" is "+what, func() error {
		members, err := list(via)
		if err != nil {
			return err
		}
		for _, m := range members {
			if m["name"] == name && ok(m) {
				found = m
				return nil
			}
		}
		return fmt.Errorf("members %v", members)
	})
	return found
}

func votes(e entry) bool { return e["learner"] == "0" && e["status"] == "started" }

func learns(e entry) bool { return e["learner"] == "1" && e["status"] == "started" }

// id is that of a member, which must be listed.
func (s *stage) id(via *node.Node, name string) string {
	s.t.Helper()
	return s.awaitMember(via, name, "listed", func(entry) bool { return true })["id"]
}

// must runs a command that must not be refused for good. One change may be met by another, and who has just
// come back may not have been noticed yet: that it says, and is repeated.
func (s *stage) must(via *node.Node, args ...string) wire.Reply {
	s.t.Helper()
	var r wire.Reply
	node.Eventually(s.t, patience, strings.Join(args, " "), func() error {
		r = via.Do(args...)
		for _, passing := range []string{"under way", "does not answer", "CLUSTERDOWN "} {
			if strings.Contains(r.Text, passing) {
				return errors.New(r.Text)
			}
		}
		return nil
	})
	if r.IsErr() {
		s.t.Fatalf("%q through %s: %s", args, via.Name, r.Text)
	}
	return r
}

// refused runs a command that must be refused with a text, and leave the members as they are.
func (s *stage) refused(via *node.Node, text string, args ...string) {
	s.t.Helper()
	before, err := list(via)
	if err != nil {
		s.t.Fatal(err)
	}
	r := via.Do(args...)
	if !r.IsErr() || !strings.HasPrefix(r.Text, "ERR ") || !strings.Contains(r.Text, text) {
		s.t.Errorf("%q through %s: %s, want a refusal with %q", args, via.Name, r.Text, text)
	}
	if after, err := list(via); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		s.t.Errorf("%q was refused; the members were %v and are %v (%v)", args, before, after, err)
	}
}

// awaitRemoved waits until a node says that it was removed, everywhere where it should.
func (s *stage) awaitRemoved(n *node.Node) {
	s.t.Helper()
	s.awaitMember(n, n.Name, "removed", func(e entry) bool { return e["status"] == "removed" })
	for _, args := range [][]string{{"GET", "a"}, {"SET", "a", "1"}, {"SUBSCRIBE", "watch:a"}} {
		if r := n.Do(args...); !strings.HasPrefix(r.Text, "CLUSTERDOWN this member was removed") {
			s.t.Errorf("%v on the removed %s: %s", args, n.Name, r)
		}
	}
	// READONLY reads need no majority, so nothing but the removal itself can refuse them.
	c, err := wire.Dial(n.ClientAddr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	c.Do("READONLY")
	if r, err := c.Do("GET", "a"); err != nil || !strings.HasPrefix(r.Text, "CLUSTERDOWN this member") {
		s.t.Errorf("a local read on the removed %s: %v, %v", n.Name, r, err)
	}
	st := n.Do("CLUSTER.STATUS")
	if errs, ok := st.Field("errors"); !ok || !strings.Contains(errs.String(), "removed") {
		s.t.Errorf("CLUSTER.STATUS of the removed %s: %s", n.Name, st)
	}
	if !strings.Contains(n.Proc.Output(), "was removed from the cluster") {
		s.t.Errorf("%s has not logged that it was removed", n.Name)
	}
}

// writer writes unique keys through one node after the other and remembers what was acknowledged.
type writer struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	count atomic.Int64
	keys  []string
}

func (s *stage) write(via ...*node.Node) *writer {
	w := &writer{stop: make(chan struct{})}
	w.wg.Go(func() { w.run(via) })
	s.t.Cleanup(w.end)
	return w
}

func (w *writer) run(via []*node.Node) {
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		case <-pace.C:
		}
		key := fmt.Sprint("w", i)
		r, err := wire.Once(via[i%len(via)].ClientAddr, 2*time.Second, "SET", key, key)
		if err == nil && r.Text == "OK" {
			w.keys = append(w.keys, key)
			w.count.Add(1)
		}
	}
}

func (w *writer) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.wg.Wait()
}

// grow waits until this many more writes are acknowledged.
func (w *writer) grow(s *stage, more int64) {
	s.t.Helper()
	want := w.count.Load() + more
	node.Eventually(s.t, patience, fmt.Sprint(more, " more writes"), func() error {
		if have := w.count.Load(); have < want {
			return fmt.Errorf("%d are missing", want-have)
		}
		return nil
	})
}

// check reads every acknowledged key through each node.
func (w *writer) check(s *stage, via ...*node.Node) {
	s.t.Helper()
	w.end()
	for _, n := range via {
		c, err := wire.Dial(n.ClientAddr)
		if err != nil {
			s.t.Fatal(err)
		}
		lost := 0
		for _, key := range w.keys {
			if r, err := c.Do("GET", key); err != nil || r.Text != key {
				lost++
			}
		}
		c.Close()
		if lost > 0 {
			s.t.Errorf("%d of %d acknowledged writes are missing on %s", lost, len(w.keys), n.Name)
		}
	}
}
