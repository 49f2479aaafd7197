package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/commands"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
)

func TestCheckPages(t *testing.T) {
	mux := http.NewServeMux()
	good := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errors.New("no leader is known") }
	serveChecks(mux, "/livez", []check{{"process", good}})
	serveChecks(mux, "/readyz", []check{{"disk", good}, {"leader", bad}})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/livez", 200, "ok\n"},
		{"/livez?verbose", 200, "[+]process ok\n"},
		{"/readyz", 503, "[-]leader failed: no leader is known\n"},
		{"/readyz?verbose", 503, "[+]disk ok\n[-]leader failed: no leader is known\n"},
		{"/readyz?exclude=leader", 200, "ok\n"},
		{"/readyz/disk", 200, "ok\n"},
		{"/readyz/leader", 503, "[-]leader failed: no leader is known\n"},
		{"/readyz/moon", 404, "404 page not found\n"},
	} {
		r, err := http.Get(server.URL + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != c.code || string(body) != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.path, r.StatusCode, body, c.code, c.body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestCumulate compares with counting each fine bucket on its own.
func TestCumulate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ends := rapid.SliceOfDistinct(rapid.Int64Range(0, 20_000_000), rapid.ID[int64]).Draw(t, "ends")
		slices.Sort(ends)
		var fine []commands.LatencyBucket
		for _, e := range ends {
			n := rapid.Int64Range(1, 9).Draw(t, "n")
			fine = append(fine, commands.LatencyBucket{UpTo: time.Duration(e) * time.Microsecond, Count: n})
		}
		count, buckets := cumulate(fine)
		all := uint64(0)
		for _, f := range fine {
			all += uint64(f.Count)
		}
		for bound, got := range buckets {
			want := uint64(0)
			for _, f := range fine {
				if f.UpTo.Seconds() <= bound {
					want += uint64(f.Count)
				}
			}
			if got != want {
				t.Fatalf("bucket %v holds %d, want %d", bound, got, want)
			}
		}
		if count != all {
			t.Fatalf("count %d, want %d", count, all)
		}
	})
}

func TestMetricNames(t *testing.T) {
	m := newMeter()
	st := commands.Stats{Errors: map[string]int64{"ERR": 1}, PerCommand: []commands.CommandStats{{
		Name: "get", Calls: 3, Failed: 1, Rejected: 2, Time: time.Second,
		Latency: []commands.LatencyBucket{{UpTo: time.Millisecond, Count: 3}},
	}}}
	look := func() moment { return moment{engine: &raftfsm.Stats{}, hub: &pubsub.Stats{}} }
	m.registry.MustRegister(newPartsCollector(look, func() commands.Stats { return st },
		map[string]float64{"x": 1}))
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, name := range []string{"redkeep_commands_total", "redkeep_command_seconds", "redkeep_raft_has_leader",
		"redkeep_raft_is_leader", "redkeep_raft_leader_changes_total", "redkeep_raft_term",
		"redkeep_raft_proposals_committed_total", "redkeep_wal_fsync_seconds", "redkeep_apply_seconds",
		"redkeep_batch_requests", "redkeep_barrier_rounds_total", "redkeep_keys", "redkeep_state_bytes",
		"redkeep_history_bytes", "redkeep_revision", "redkeep_compact_revision", "redkeep_connections",
		"redkeep_watch_fell_behind_total", "redkeep_watch_canceled_total",
		"redkeep_build_info", "go_goroutines", "process_resident_memory_bytes"} {
		if n, err := testutil.GatherAndCount(m.registry, name); err != nil || n == 0 {
			t.Errorf("%s: %d series, %v", name, n, err)
		}
	}
}

func TestGCPercent(t *testing.T) {
	percent := map[uint64]int64{0: 4800, 4 << 20: 4800, 192 << 20: 100, 384 << 20: 80, 1 << 30: 80}
	for live, want := range percent {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes live: GOGC %d, want %d", live, got, want)
		}
	}
	last := heap{live: 500 << 20, objects: 600 << 20, allocated: 7 << 30}
	for allocated, want := range map[uint64]bool{7 << 30: true, 7<<30 + 1<<20: true, 7<<30 + 40<<20: false} {
		now := heap{live: last.live, objects: last.objects, allocated: allocated}
		if now.worthCollecting(last) != want {
			t.Errorf("%d bytes allocated: worth collecting is %v", allocated-last.allocated, !want)
		}
	}
	if (heap{live: 500 << 20, objects: 510 << 20}).worthCollecting(heap{}) {
		t.Error("a heap without much garbage is worth collecting")
	}
	rapid.Check(t, func(t *rapid.T) {
		live := rapid.Uint64Range(1<<20, 1<<36).Draw(t, "live")
		room := float64(live) * float64(gcPercent(live)) / 100
		if room > max(smallRoom, float64(live)*largeShare)*1.01 {
			t.Fatalf("%d bytes live may grow by %.0f", live, room)
		}
	})
}
