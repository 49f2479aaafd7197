package faults

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// lagFaults leave a node so far behind that the log it needs is gone, and it gets a snapshot: as it starts,
// or while it runs and watchers are connected to it.
//
// REQUIRES: a profile with a --snapshot-bytes far below what is written.
var lagFaults = []*Fault{
	{Name: "lag behind a snapshot", Strike: func(w *world) func() {
		return lag(w, func(n *node.Node) func() {
			n.Kill9()
			return func() { w.launch(n) }
		})
	}},
	{Name: "lag while cut off", Strike: func(w *world) func() {
		return lag(w, func(n *node.Node) func() {
			i := w.index(n)
			return cut(w, false, i, func(from, to int) bool { return from == i || to == i })
		})
	}},
}

// While the node is away, values of lagBytes are written to keys that no client uses, until the others have
// snapshots that cover lagEntries more than the node has seen. A node keeps 128 entries behind a snapshot.
const (
	lagEntries = 300
	lagBytes   = 16 << 10
	lagTime    = 4 * time.Second
)

func lag(w *world, away func(*node.Node) (back func())) (heal func()) {
	n := w.follower()
	if n == nil {
		return nil
	}
	back := away(n)
	if !outgrow(w.free()) {
		w.note("%s missed too little: another fault holds the majority", n.Name)
		back()
		return nil
	}
	w.note("%s was left behind", n.Name)
	return back
}

// outgrow writes through the nodes in turn until each has a snapshot of what was written; false if that
// takes too long, as when another fault has taken the majority.
func outgrow(nodes []*node.Node) bool {
	value := strings.Repeat("x", lagBytes)
	want := 0
	for _, n := range nodes {
		want = max(want, gauge(n, "redkeep_raft_proposals_committed_total")+lagEntries)
	}
	end := time.Now().Add(lagTime)
	for i := 0; len(nodes) > 0 && time.Now().Before(end); i++ {
		wire.Once(nodes[i%len(nodes)].ClientAddr, clientTimeout, "SET", "filler:"+strconv.Itoa(i%4), value)
		if i%50 == 49 && covered(nodes, want) {
			return true
		}
	}
	return false
}

// covered reports whether each node has a snapshot up to an index.
func covered(nodes []*node.Node, index int) bool {
	for _, n := range nodes {
		if gauge(n, "redkeep_raft_snapshot_index") < index {
			return false
		}
	}
	return true
}

// installed returns how many snapshots a process has taken from a leader.
func installed(n *node.Node) int { return gauge(n, "redkeep_snapshots_installed_total") }

// gauge returns a number from a node's metrics, 0 if it does not answer.
func gauge(n *node.Node, name string) int {
	get := http.Client{Timeout: 2 * time.Second}
	defer get.CloseIdleConnections()
	answer, err := get.Get("http://" + n.HTTPAddr + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, _ := strconv.ParseFloat(text, 64)
			return int(value)
		}
	}
	return 0
}
