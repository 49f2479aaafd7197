package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft"
)

// Checking a data directory that no node uses: every byte that means something, with the file it is in.
//
// A start verifies what it is going to use. This verifies the rest too: the older snapshot, backups, the
// spare segment, the list of free pages. It changes nothing, and it repairs nothing: which of the ways on
// is right (replacing the member, recovering, restoring) depends on whether others still have the data.

// Finding is what was found in one file.
type Finding struct {
	File  string // relative to the directory
	Bytes int64
	Note  string // what it is
	Err   error  // nil if nothing is wrong
}

// Checked is the outcome.
type Checked struct {
	Name     string
	Cluster  ClusterID
	Member   MemberID
	Findings []Finding
}

// Damaged returns the findings with something wrong.
func (c Checked) Damaged() (bad []Finding) {
	for _, f := range c.Findings {
		if f.Err != nil {
			bad = append(bad, f)
		}
	}
	return bad
}

// tornNote is how the end of a log that was torn by a crash is spoken of.
const tornNote = "that was never completed"

// BackupDir is the folder of backups in a data directory.
const BackupDir = "backups"

// CheckDataDir verifies a data directory. The error is nil unless it could not be looked at, because a
// process uses it or it is none.
func CheckDataDir(path string, checks Checks) (Checked, error) {
	if interrupted(path) {
		return Checked{}, fmt.Errorf("%w: %s", ErrInterrupted, path)
	}
	o, err := OpenOffline(path, checks)
	if errors.Is(err, ErrCorrupt) {
		return Checked{Findings: []Finding{{File: metaFile, Note: "who this is", Err: err}}}, nil
	}
	if err != nil {
		return Checked{}, err
	}
	defer o.Close()
	c := &checkUp{Offline: o}
	c.Name, c.Cluster, c.Member = o.dir.meta.Name, o.dir.clusterID(), o.dir.memberID()
	c.add(metaFile, "member "+c.Name+" of cluster "+c.Cluster.String(), nil)
	hasTerm, err := checkStable(o.dir.file(stableFile))
	c.add(stableFile, "terms and votes", err)
	c.snapshots()
	if begun := c.log(); begun && !hasTerm && err == nil {
		c.add(stableFile, "terms and votes", errNoVote(o.dir.file(stableFile)))
	}
	c.backups()
	c.others()
	return c.Checked, nil
}

type checkUp struct {
	*Offline
	Checked
}

func (c *checkUp) add(name, note string, err error) {
	var size int64
	if info, statErr := os.Stat(c.dir.file(name)); statErr == nil {
		size = info.Size()
	}
	c.Findings = append(c.Findings, Finding{name, size, note, err})
}

// snapshots looks at each one, though a start uses the newest alone.
func (c *checkUp) snapshots() {
	s, err := c.snapshotStore()
	if err != nil {
		c.add(snapshotDir, "snapshots", err)
		return
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		c.add(snapshotDir, "snapshots", err)
		return
	}
	list, err := s.FileSnapshotStore.List()
	if err != nil {
		c.add(snapshotDir, "snapshots", err)
		return
	}
	for _, e := range entries {
		name := filepath.Join(snapshotDir, e.Name())
		at := slices.IndexFunc(list, func(m *raft.SnapshotMeta) bool { return m.ID == e.Name() })
		switch {
		case strings.HasSuffix(e.Name(), ".tmp"):
			c.add(name, "unfinished, goes with the next start", nil)
		case at >= 0:
			c.snapshot(name, list[at])
		default:
			c.unlisted(name, len(list))
		}
	}
}

// unlisted is a snapshot that raft does not see: damaged, or one too many, for raft lists two and keeps two.
func (c *checkUp) unlisted(name string, listed int) {
	sealed, err := checkSnapshotSeal(c.dir.file(name))
	if err == nil && (!sealed || listed < 2) {
		err = fmt.Errorf("%w offset 0: unreadable", ErrCorrupt)
	}
	c.add(filepath.Join(name, raftMetaFile), "description of a snapshot that is not in use", err)
}

func (c *checkUp) snapshot(name string, m *raft.SnapshotMeta) {
	sealed, err := checkSnapshotSeal(c.dir.file(name))
	note := fmt.Sprintf("snapshot at index %d of term %d", m.Index, m.Term)
	if !sealed {
		note += ", its description has no checksum"
	}
	if err == nil && !strings.HasPrefix(m.ID, fmt.Sprintf("%d-%d-", m.Term, m.Index)) {
		err = fmt.Errorf("%w offset 0: index and term do not match the directory's name", ErrCorrupt)
	}
	c.add(filepath.Join(name, raftMetaFile), note, err)
	state := filepath.Join(name, stateFile)
	err = c.verify(state)
	if info, statErr := os.Stat(c.dir.file(state)); err == nil && statErr == nil && info.Size() != m.Size {
		err = fmt.Errorf("%w: it does not have the %d bytes noted", ErrCorrupt, m.Size)
	}
	c.add(state, "its content", err)
}

// verify reads a file in the snapshot format.
func (c *checkUp) verify(name string) error {
	f, err := os.Open(c.dir.file(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.checks.Snapshot(f); err != nil {
		return fmt.Errorf("%w file %s: %w", ErrCorrupt, c.dir.file(name), err)
	}
	return nil
}

// log reads all entries, and wants them to go on from the newest snapshot. begun tells that there is either.
func (c *checkUp) log() (begun bool) {
	if c.dir.meta.LogStore == LogStoreWAL {
		c.spare()
	}
	newest := Index(0)
	if list, err := c.newestSnapshots(); err == nil && len(list) > 0 {
		newest = Index(list[0].Index)
	}
	var first, last Index
	err := c.eachEntry(func(l *raft.Log) error {
		index := Index(l.Index)
		if first == 0 {
			first = index
		}
		if last != 0 && index > max(last, newest)+1 {
			return fmt.Errorf("%w: the entries from index %d to %d are missing", ErrCorrupt, last+1, index-1)
		}
		last = index
		return nil
	})
	if err == nil && first > newest+1 {
		err = missingBetween(newest, first)
	}
	if err == nil && c.dir.meta.Bootstrapped && first == 0 && newest == 0 {
		err = fmt.Errorf("%w: there is neither a snapshot nor a log", ErrCorrupt)
	}
	if c.dir.meta.LogStore == LogStoreBoltDB {
		c.add(boltLogFile, fmt.Sprintf("log from entry %d to %d", first, last), err)
		return first != 0 || newest != 0
	}
	seen := false
	for _, part := range c.parts {
		seen = seen || part.Err != nil
		if _, err := os.Stat(c.dir.file(filepath.Join(walDir, part.File))); err != nil && part.Err == nil {
			continue // the next start makes it
		}
		c.add(filepath.Join(walDir, part.File), part.Note, part.Err)
	}
	if err != nil && !seen {
		c.add(walDir, "log", err)
	} else if c.torn > 0 && err == nil {
		c.add(walDir, fmt.Sprintf("%d bytes at the end are of a write %s; the next start drops them", c.torn,
			tornNote), nil)
	}
	return first != 0 || newest != 0
}

// spare is where the next segment is prepared: it must be blank.
func (c *checkUp) spare() {
	kept, _ := filepath.Glob(c.dir.file(filepath.Join(walDir, "*"+keptSuffix))) // the pattern is well formed
	for _, path := range kept {
		c.add(filepath.Join(walDir, filepath.Base(path)), "an old segment, to become the next spare", nil)
	}
	name := filepath.Join(walDir, spareFile)
	b, err := os.ReadFile(c.dir.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if used := bytes.TrimLeft(b, "\x00"); err == nil && len(used) > 0 {
		err = fmt.Errorf("%w offset %d: not blank; it holds no data and may be removed", ErrCorrupt,
			len(b)-len(used))
	}
	c.add(name, "blank, for the next segment", err)
}

func (c *checkUp) backups() {
	entries, _ := os.ReadDir(c.dir.file(BackupDir))
	for _, e := range entries {
		name := filepath.Join(BackupDir, e.Name())
		if strings.HasSuffix(e.Name(), ".part") {
			c.add(name, "unfinished backup, may be removed", nil)
			continue
		}
		c.add(name, "backup", c.verify(name))
	}
}

// others names what is no part of the data.
func (c *checkUp) others() {
	known := []string{lockFile, metaFile, stableFile, walDir, boltLogFile, snapshotDir, BackupDir}
	entries, _ := os.ReadDir(c.dir.path)
	for _, e := range entries {
		switch {
		case slices.Contains(known, e.Name()):
		case strings.HasPrefix(e.Name(), beforePrefix):
			c.add(e.Name(), "what a recovery moved away; not looked at", nil)
		default:
			c.add(e.Name(), "no part of the data", nil)
		}
	}
}
