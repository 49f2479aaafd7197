package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotter decides when raft takes a snapshot: when the log has grown since the last one by
// Config.SnapshotBytes and by twice that snapshot's size, so that writing snapshots costs half of what
// writing the log does; or on demand. The second time of the size is bounded (mostExtra), for all of that log
// is applied again when the node starts. raft's own trigger counts entries, and an entry here is anything
// from 100 bytes to half a megabyte.
//
// Behind a snapshot the log keeps about as many bytes as trigger the next one, and never fewer than 128
// entries, so that a follower that was away for a moment catches up from the log, and one that needs the
// snapshot finds the entries behind it still there when it has loaded it. TrailingLogs counts entries; it
// is set anew each time.
type snapshotter struct {
	raft   *raft.Raft
	snaps  raft.SnapshotStore
	log    *logStore
	out    *slog.Logger
	keep   int64
	least  int64 // Config.SnapshotBytes
	report func(took time.Duration, err error)
	demand chan chan error
	taken  atomic.Int64
	pinned atomic.Pointer[func() (index uint64, ok bool)] // what followers need of the log; see install.go
	stop   chan struct{}
	done   chan struct{}
}

// Changed only by binaries that inject faults, in faultlog.go.
var (
	minTrailingBytes int64 = 64 << 20
	mostExtra        int64 = 256 << 20
)

const (
	minTrailingEntries = 128
	snapshotRetry      = 2 * time.Second
)

func newSnapshotter(r *raft.Raft, snaps raft.SnapshotStore, log *logStore, cfg Config) *snapshotter {
	s := &snapshotter{
		raft: r, snaps: snaps, log: log, out: cfg.Logger, least: cfg.SnapshotBytes,
		keep:   max(cfg.SnapshotBytes, minTrailingBytes),
		report: cfg.Metrics.Snapshot, demand: make(chan chan error),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if cfg.trailingBytes > 0 {
		s.keep = cfg.trailingBytes
	}
	s.aim()
	if at := log.snapAt.Load(); at > 0 && log.sinceSnap.Load() >= at {
		wake(log.snapWanted)
	}
	go s.run()
	return s
}

func (s *snapshotter) run() {
	defer close(s.done)
	var retry <-chan time.Time
	for {
		var err error
		select {
		case <-s.stop:
			return
		case answer := <-s.demand:
			err = s.take()
			answer <- err
		case <-s.log.snapWanted:
			err = s.maybeTake()
		case <-retry:
			err = s.maybeTake()
		}
		retry = nil
		if err != nil && !errors.Is(err, raft.ErrRaftShutdown) {
			s.out.Warn("snapshot not taken", "error", err)
			retry = time.After(snapshotRetry)
		}
	}
}

// maybeTake measures again: a snapshot installed by the leader counts as one.
func (s *snapshotter) maybeTake() error {
	grown := s.log.counts.since(s.aim())
	if grown < s.log.snapAt.Load() {
		s.log.sinceSnap.Store(grown)
		return nil
	}
	return s.take()
}

// aim sets how much log calls for the next snapshot, and returns the index of the last one.
func (s *snapshotter) aim() Index {
	last := s.last()
	if s.least > 0 {
		s.log.snapAt.Store(due(s.least, last.Size))
	}
	return last.Index
}

// due returns by how many bytes the log may grow behind a snapshot of that size.
func due(least, size int64) int64 { return max(least, size+min(size, mostExtra)) }

func (s *snapshotter) take() error {
	start := time.Now()
	conf := s.raft.ReloadableConfig()
	conf.TrailingLogs = s.trailing()
	if err := s.raft.ReloadConfig(conf); err != nil {
		return fmt.Errorf("set trailing logs: %w", err)
	}
	s.log.sinceSnap.Store(0)
	err := s.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	if err == nil {
		s.taken.Add(1)
		s.aim()
	}
	if s.report != nil {
		s.report(time.Since(start), err)
	}
	return err
}

// now takes a snapshot on demand.
func (s *snapshotter) now(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case s.demand <- answer:
	case <-s.stop:
		return ErrShutdown
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *snapshotter) last() SnapshotInfo {
	list, err := s.snaps.List()
	if err != nil || len(list) == 0 {
		return SnapshotInfo{}
	}
	m := list[0]
	return SnapshotInfo{ID: m.ID, Index: Index(m.Index), Term: Term(m.Term), Size: m.Size}
}

// takenAt is when a snapshot was begun, which raft puts at the end of its id, in milliseconds; the zero time
// without one.
func (i SnapshotInfo) takenAt() time.Time {
	ms, err := strconv.ParseInt(i.ID[strings.LastIndexByte(i.ID, '-')+1:], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
