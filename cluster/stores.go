package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
)

// fatalSwitch remembers the first failed write and tells the owner once. After it no write is tried again:
// a failed sync may have dropped the pages it was to write, so a later sync that succeeds proves nothing.
type fatalSwitch struct {
	once  sync.Once
	on    atomic.Bool
	tell  func(error)
	quiet atomic.Bool // closing: errors are expected
}

// trip returns err. OnFatal runs on a goroutine of its own so that it may take its time.
func (f *fatalSwitch) trip(err error) error {
	if f.quiet.Load() {
		return err
	}
	f.on.Store(true)
	f.once.Do(func() { f.tell(err) })
	return err
}

// end tells the owner to end the process although the disk is in order: writes go on until then.
func (f *fatalSwitch) end(err error) { f.once.Do(func() { f.tell(err) }) }

func (f *fatalSwitch) tripped() bool { return f.on.Load() }

// logInner is what the stack stands on: raft-wal, raft-boltdb, or a faulty store in a test.
type logInner interface {
	raft.LogStore
	Close() error
}

// logStore is raft's log: clock, fatal switch and cache around a logInner.
type logStore struct {
	inner    logInner
	cache    *entryCache
	counts   byteCounts
	fatal    *fatalSwitch
	onStored func()
	starting func([]*raft.Log) // runs before entries are written; must not block
	observe  func(took time.Duration, entries, bytes int)

	sinceSnap  atomic.Int64  // bytes appended since the last snapshot
	snapAt     atomic.Int64  // wake snapshots when sinceSnap reaches it; <= 0 never
	snapWanted chan struct{} // one slot

	snapshotEnd atomic.Pointer[func(Index) (Term, bool)] // see snapshotend.go; nil: there is none
	snapshotAt  atomic.Pointer[func() Index]             // of the newest snapshot; nil: not known yet

	running stopwatch // of StoreLogs
	slow    slowSyncs
}

func newLogStore(inner logInner, cfg Config, fatal *fatalSwitch) *logStore {
	s := &logStore{
		inner: inner, cache: newEntryCache(cfg.CacheBytes), fatal: fatal,
		onStored: cfg.OnStored, starting: func([]*raft.Log) {}, observe: cfg.Metrics.StoreLogs,
		snapWanted: make(chan struct{}, 1),
	}
	s.snapAt.Store(cfg.SnapshotBytes)
	return s
}

// openLog verifies the log and opens it. It changes nothing when the log is damaged.
func openLog(d *dataDir, cfg Config, snapshot Index, fatal *fatalSwitch) (*logStore, error) {
	var inner logInner
	var err error
	if cfg.LogStore == LogStoreBoltDB {
		inner, err = openCheckedBolt(d.file(boltLogFile), cfg, snapshot)
	} else {
		inner, err = openCheckedWAL(d.file(walDir), cfg)
	}
	if err != nil {
		return nil, err
	}
	if cfg.wrapLog != nil {
		inner = cfg.wrapLog(inner)
	}
	return newLogStore(inner, cfg, fatal), nil
}

func openCheckedBolt(path string, cfg Config, snapshot Index) (logInner, error) {
	if err := checkBoltLog(path, cfg.CheckEntry, snapshot); err != nil {
		return nil, err
	}
	return openBoltLog(path, cfg.CheckEntry)
}

func openCheckedWAL(dir string, cfg Config) (logInner, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	if err := checkWAL(dir, cfg.CheckEntry, cfg.SegmentBytes, cfg.Logger); err != nil {
		return nil, err
	}
	space := newSegmentSpace(dir, cfg.SegmentBytes)
	w, err := wal.Open(dir,
		wal.WithCodec(walCodec{}),
		wal.WithMetaStore(&segmentList{}),
		wal.WithSegmentFiler(codecFiler{segment.NewFiler(dir, space)}),
		wal.WithSegmentSize(cfg.SegmentBytes),
		wal.WithLogger(newRaftLogger(cfg.Logger, "wal")))
	if err != nil {
		space.close()
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	return &walLog{w, space, dir, cfg.Logger}, nil
}

// walLog names the file when a record turns out to be damaged while the node runs.
type walLog struct {
	*wal.WAL
	space *segmentSpace
	dir   string
	log   *slog.Logger
}

func (w *walLog) GetLog(index uint64, l *raft.Log) error {
	err := w.WAL.GetLog(index, l)
	if err == nil && l.Index != index {
		err = ErrCorrupt
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, wal.ErrCorrupt) {
		path := filepath.Join(w.dir, "*.wal")
		return fmt.Errorf("%w log file %s (entry index %d): %w", ErrCorrupt, path, index, err)
	}
	return err
}

func (w *walLog) Close() error {
	err := w.WAL.Close()
	w.space.close()
	return err
}

func (s *logStore) FirstIndex() (uint64, error) { return s.inner.FirstIndex() }
func (s *logStore) LastIndex() (uint64, error)  { return s.inner.LastIndex() }

// IsMonotonic makes raft remove the whole log when it is given a snapshot. raft-wal needs that, for it cannot
// leave gaps; and in any store the entries before the snapshot may be others than the leader's (sentry.go).
func (s *logStore) IsMonotonic() bool { return true }

func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	if s.cache.get(index, l) {
		return nil
	}
	err := s.inner.GetLog(index, l)
	if errors.Is(err, ErrCorrupt) {
		return s.fatal.trip(err)
	}
	if errors.Is(err, raft.ErrLogNotFound) && s.endOfSnapshot(index, l) {
		return nil
	}
	return err
}

func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs returns when the entries are on disk. Any error is fatal to the node.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if s.fatal.tripped() {
		return ErrStoreFailed
	}
	if err := s.refuseGap(logs[0].Index); err != nil {
		return err
	}
	start := time.Now()
	s.running.start()
	s.starting(logs)
	err := s.inner.StoreLogs(logs)
	s.running.stop()
	if err != nil {
		return s.fatal.trip(fmt.Errorf("store %d log entries: %w", len(logs), err))
	}
	s.slow.note(time.Since(start))
	s.cache.put(logs)
	bytes := s.counts.add(logs)
	if at := s.snapAt.Load(); s.sinceSnap.Add(int64(bytes)) >= at && at > 0 {
		wake(s.snapWanted)
	}
	if s.observe != nil {
		s.observe(time.Since(start), len(logs), bytes)
	}
	s.onStored()
	return nil
}

// refuseGap refuses entries that an empty log cannot begin with, as they do not follow the newest snapshot.
// raft offers such when it believes in the end of a log that it has removed (sentry.go), and a leader goes on
// from there. With a gap behind its snapshot the node could never start again; without them it can, and that
// mends raft's belief.
func (s *logStore) refuseGap(first uint64) error {
	at := s.snapshotAt.Load()
	if last, err := s.inner.LastIndex(); err != nil || last > 0 || at == nil {
		return err
	}
	snapshot := (*at)()
	if first <= uint64(snapshot)+1 {
		return nil
	}
	err := fmt.Errorf("%w: its log is empty, and entry %d does not follow the snapshot at %d", ErrWedged, first,
		snapshot)
	s.fatal.end(err)
	return err
}

// dropCovered removes a log that ends before the newest snapshot. A follower has one when it stops between
// the moment an installed snapshot is durable and the moment raft has removed the log before it. raft would
// go on behind the snapshot, which leaves a gap that raft-wal refuses, at each start again. All of the log
// goes in one step, so a crash here leaves it as it was.
func (s *logStore) dropCovered(snapshot Index) error {
	first, err1 := s.inner.FirstIndex()
	last, err2 := s.inner.LastIndex()
	if err := errors.Join(err1, err2); err != nil || last == 0 || last >= uint64(snapshot) {
		return err
	}
	if err := s.inner.DeleteRange(first, last); err != nil {
		return fmt.Errorf("remove the log up to entry %d, which the snapshot at %d has: %w", last, snapshot, err)
	}
	return nil
}

// follows refuses a log that does not go on from the newest snapshot: raft would panic.
func (s *logStore) follows(snapshot Index) error {
	first, err := s.inner.FirstIndex()
	if err == nil && Index(first) > snapshot+1 {
		err = missingBetween(snapshot, Index(first))
	}
	return err
}

func missingBetween(snapshot, first Index) error {
	return fmt.Errorf("%w: the entries from index %d to %d, between snapshot and log, are missing", ErrCorrupt,
		snapshot+1, first-1)
}

// warm reads what was appended after the last snapshot: raft is about to apply it, and its bytes count
// towards the next snapshot.
func (s *logStore) warm(after Index) error {
	first, err1 := s.inner.FirstIndex()
	last, err2 := s.inner.LastIndex()
	if err := errors.Join(err1, err2); err != nil || last == 0 {
		return err
	}
	for i := max(first, uint64(after)+1); i <= last; i++ {
		var l raft.Log
		if err := s.inner.GetLog(i, &l); err != nil {
			return err
		}
		one := []*raft.Log{&l}
		s.cache.put(one)
		s.sinceSnap.Add(int64(s.counts.add(one)))
	}
	return nil
}

// DeleteRange forgets entries in the cache first, so that the cache never knows more than the disk. A
// failure to remove a suffix is fatal, for raft would go on with a log it believes shorter; that of a
// prefix only wastes space.
func (s *logStore) DeleteRange(from, to uint64) error {
	if s.fatal.tripped() {
		return ErrStoreFailed
	}
	last, err := s.inner.LastIndex()
	if err != nil {
		return s.fatal.trip(err)
	}
	s.cache.deleteRange(from, to)
	err = s.inner.DeleteRange(from, to)
	if err == nil && to < last {
		s.counts.forget(Index(to))
	}
	if err != nil && to >= last {
		return s.fatal.trip(fmt.Errorf("remove log entries %d to %d: %w", from, to, err))
	}
	return err
}

// runningFor returns how long the running StoreLogs has taken, 0 when none runs.
func (s *logStore) runningFor() time.Duration { return s.running.running() }

func (s *logStore) Close() error { return s.inner.Close() }

// wake puts a token into a one-slot channel unless one is there.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
