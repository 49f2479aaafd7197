package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// A node that waits for the others tries an election about once a second. An operator is told of it at once,
// in words that say what is missing, and then now and again; raft's own lines are there at debug.
func TestElectionsWithoutEndAreToldNowAndAgain(t *testing.T) {
	for _, c := range []struct {
		level      slog.Level
		told, each int
	}{{slog.LevelInfo, 2, 0}, {slog.LevelDebug, 2, 40}} {
		var out bytes.Buffer
		handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: c.level})
		l := newRaftLogger(slog.New(handler), "raft").(*raftLogger)
		for round := range 2 {
			for range 20 {
				l.Warn(electionAgain)
			}
			if round == 0 {
				l.toldElection.Store(0) // as if long ago
			}
		}
		told := strings.Count(out.String(), "level=WARN")
		why := strings.Count(out.String(), "a majority of the voters")
		each := strings.Count(out.String(), electionAgain)
		if told != c.told || why != c.told || each != c.each {
			t.Errorf("at %v: told %d times, %d with the reason, raft's line %d times; want %d, %d, %d\n%s",
				c.level, told, why, each, c.told, c.told, c.each, out.String())
		}
	}
}

// A healthy node is quiet: it looks at its snapshots while it writes one.
func TestASnapshotBeingWrittenIsNoWarning(t *testing.T) {
	var out bytes.Buffer
	log := newRaftLogger(slog.New(slog.NewTextHandler(&out, nil)), "snapshot")
	store, err := raft.NewFileSnapshotStoreWithLogger(t.TempDir(), 2, log)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := store.Create(raft.SnapshotVersionMax, 7, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Cancel()
	if _, err := store.List(); err != nil || out.Len() > 0 {
		t.Errorf("%v, told %s", err, out.String())
	}
}
