package discovery

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/network"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(node.MainIsolated(m)) }

// masterName is the default of --cluster-name.
const masterName = "redkeep"

// world is a cluster with a machine for each node. Their addresses differ in the host, as on real machines.
type world struct {
	*node.Cluster
	t   *testing.T
	net *network.Network
}

// newWorld starts a cluster of three with Sentinel listeners.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	net, err := network.New(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(net.Close)
	w := &world{t: t, net: net}
	w.Cluster = node.New(t, node.Options{Nodes: 3, Flags: flags, Place: w.place})
	w.StartAll()
	return w
}

// place listens on every address of the machine: what clients are told must not be 0.0.0.0.
func (w *world) place(i int, n *node.Node) {
	host := w.net.Machines[i].Addr.String()
	n.ClientAddr, n.PeerAddr, n.HTTPAddr = host+":6379", host+":16379", ""
	every := []string{"--client-addr", "0.0.0.0:6379", "--sentinel-addr", "0.0.0.0:26379"}
	n.Flags = append(every, n.Flags...)
	n.On = w.net.Machines[i].On
}

// sentinelAddr is where a node answers clients of Sentinel.
func sentinelAddr(n *node.Node) string {
	host, _, _ := net.SplitHostPort(n.ClientAddr)
	return host + ":26379"
}

func (w *world) sentinels() []string {
	var out []string
	for _, n := range w.Nodes {
		out = append(out, sentinelAddr(n))
	}
	return out
}

// settled waits until every running node shows the same leader, and all others that run as replicas.
func (w *world) settled() {
	w.t.Helper()
	node.Eventually(w.t, 60*time.Second, "all nodes to show the same cluster", func() error {
		seen := map[string]bool{}
		for _, n := range w.Nodes {
			if !n.Proc.Running() {
				continue
			}
			text, err := slotsText(n)
			if err != nil {
				return err
			}
			seen[text] = true
			if shown := strings.Count(text, ":6379"); shown != w.running() {
				return fmt.Errorf("%s shows %s", n.Name, text)
			}
		}
		if len(seen) != 1 {
			return fmt.Errorf("%v", seen)
		}
		return nil
	})
}

func (w *world) running() (n int) {
	for _, one := range w.Nodes {
		if one.Proc.Running() {
			n++
		}
	}
	return n
}

// slotsText is CLUSTER SLOTS as addresses, the master's first.
func slotsText(n *node.Node) (string, error) {
	r, err := wire.Once(n.ClientAddr, 2*time.Second, "CLUSTER", "SLOTS")
	if err != nil {
		return "", err
	}
	if len(r.Elems) != 1 {
		return "", errors.New(r.Raw)
	}
	var addrs []string
	for _, member := range r.Elems[0].Elems[2:] {
		addrs = append(addrs, net.JoinHostPort(member.Elems[0].Text, fmt.Sprint(member.Elems[1].Int())))
	}
	return strings.Join(addrs, " "), nil
}

// calls is how often a node has served a command, from INFO.
func calls(t *testing.T, n *node.Node, command string) int64 {
	t.Helper()
	_, rest, _ := strings.Cut(n.Do("INFO", "commandstats").Text, "cmdstat_"+command+":calls=")
	digits, _, _ := strings.Cut(rest, ",")
	var count int64
	fmt.Sscan(digits, &count)
	return count
}
