package faults

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// compactFaults compact the history, which is kept in the archive first.
var compactFaults = []*Fault{
	{Name: "compact", Strike: compact},
}

func compact(w *world) func() {
	for _, n := range w.free() {
		revision, err := w.run.archive.collect(n.ClientAddr, w.run.first, w.run.partitions)
		if err == nil && w.run.profile.Lockers > 0 {
			err = w.run.journal.collect(n.ClientAddr)
		}
		if err == nil {
			err = compactAt(n, revision)
		}
		if err == nil {
			w.note("compacted at revision %d", revision)
			return nothing
		}
		w.note("compacting through %s: %v", n.Name, err)
	}
	return nil
}

// compactAt compacts; that it was done already is as good.
func compactAt(n *node.Node, revision int64) error {
	r, err := wire.Once(n.ClientAddr, 3*time.Second, "KV.COMPACT", strconv.FormatInt(revision, 10))
	if err == nil && r.IsErr() && !strings.HasPrefix(r.Text, "COMPACTED ") {
		err = fmt.Errorf("KV.COMPACT: %s", r.Text)
	}
	return err
}
