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

// lagFaults leave a node so far behind that the log it needs is gone, and it gets a snapshot.
//
// REQUIRES: a profile with a --snapshot-bytes far below lagBytes.
var lagFaults = []*Fault{
	{Name: "lag behind a snapshot", Strike: lag},
}

// lagBytes is written while the node is away, to keys that no client uses.
const lagBytes = 6 << 20

func lag(w *world) func() {
	n := w.follower()
	if n == nil {
		return nil
	}
	n.Kill9()
	others := w.free()
	written := 0
	for i := 0; written < lagBytes && len(others) > 0; i++ {
		value := strings.Repeat("x", 64<<10)
		r, err := wire.Once(others[i%len(others)].ClientAddr, 3*time.Second, "SET", "filler:"+strconv.Itoa(i%4), value)
		if err == nil && r.Text == "OK" {
			written += len(value)
		} else if i > 400 {
			break
		}
	}
	w.note("%s missed %d KiB", n.Name, written>>10)
	return func() { w.launch(n) }
}

// installed returns how many snapshots a process has taken from a leader, 0 if it does not answer.
func installed(n *node.Node) int {
	get := http.Client{Timeout: 2 * time.Second}
	defer get.CloseIdleConnections()
	answer, err := get.Get("http://" + n.HTTPAddr + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "redkeep_snapshots_installed_total "); ok {
			count, _ := strconv.Atoi(text)
			return count
		}
	}
	return 0
}
