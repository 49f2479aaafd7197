package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

// Recovery: the majority is lost for good, and one survivor becomes a cluster of its own.
//
// Idea. What the survivor has, its newest snapshot and every entry behind it, becomes the first snapshot of
// a new cluster (founding.go). Entries at the end of its log may not have been committed; nobody was told
// that they were not, so taking them is right. What only the lost members had is gone, and who acknowledged
// it cannot be known here: that is for the operator to accept.
//
// Invariants.
//  1. Nothing that was there is changed or removed. The old files move, by renaming, into a folder
//     beside the new ones; moving them back undoes the recovery.
//  2. The directory is at every moment a whole old one, a whole new one, or one without meta.json, which no
//     node starts with and which the next recovery brings to its end.
//  3. The cluster id is new and random: the lost members, should they come back, are strangers.
//  4. Without salvage a damaged or missing entry or snapshot refuses all of it. With it, what stands
//     before the damage is taken, and the report says what is not.
//
// Rejected: raft.RecoverCluster, which rewrites the directory in place, keeps ids, and falls back to an
// older snapshot without a word. Drawback: the disk has to hold the state once more.

// Replayer is the state machine that a recovery feeds. Entries of other types than commands are left out.
type Replayer interface {
	Restore(in io.ReadCloser) error
	Apply(l *raft.Log) error
	Write(out io.Writer) error
}

// Recovered is what a survivor had, and what became of it.
type Recovered struct {
	Name       string
	Old        Founded
	Members    []Member // of the old cluster, as this member knew them
	Snapshot   Index    // what the replay started from; 0: from nothing
	Last       Index    // the last entry taken
	Term       Term     // of it
	Damage     error    // with Salvage: what ended the replay early; nil if nothing did
	New        Founded  // zero until Become
	MovedTo    string   // where the old files are
	Unfinished bool     // an earlier recovery was brought to its end
}

// Recovery is one on its way. Its owner calls Close.
type Recovery struct {
	Recovered
	offline  *Offline
	path     string
	replay   Replayer
	logStore string
	addr     string // this member's, in the old cluster
}

const (
	recoveringDir = "recovering"
	beforePrefix  = "before-recover-"
)

// ErrInterrupted: a recovery was begun and not finished in this directory. Finish does that.
var ErrInterrupted = errors.New("a recovery was interrupted here")

// Survey reads everything that the survivor has into replay, and changes nothing.
func Survey(path string, checks Checks, replay Replayer, salvage bool) (*Recovery, error) {
	if interrupted(path) {
		return nil, fmt.Errorf("%w: %s", ErrInterrupted, path)
	}
	o, err := OpenOffline(path, checks)
	if err != nil {
		return nil, err
	}
	r := &Recovery{offline: o, path: path, replay: replay, logStore: o.dir.meta.LogStore}
	r.Name = o.dir.meta.Name
	r.Old = Founded{o.dir.clusterID(), o.dir.memberID()}
	r.learnMembers(o.dir.firstConfiguration())
	if err := r.read(salvage); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return r, nil
}

// Close gives the directory back.
func (r *Recovery) Close() error { return r.offline.Close() }

func (r *Recovery) read(salvage bool) error {
	err := r.restore(salvage)
	if err != nil {
		return err
	}
	err = r.offline.eachEntry(r.apply)
	if err == nil || !errors.Is(err, ErrCorrupt) || !salvage {
		return err
	}
	if r.Last == 0 {
		return fmt.Errorf("nothing can be salvaged, neither a snapshot nor the beginning of the log: %w", err)
	}
	r.Damage = errors.Join(r.Damage, err)
	return nil
}

// restore loads the newest snapshot; with salvage, the newest that is whole.
func (r *Recovery) restore(salvage bool) error {
	list, err := r.offline.newestSnapshots()
	if err != nil {
		return err
	}
	if !salvage {
		if err := r.offline.snaps.checkMeta(); err != nil {
			return err
		}
	}
	for _, meta := range list {
		err := r.restoreOne(meta)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("%w snapshot file %s: %w", ErrCorrupt,
			filepath.Join(r.offline.snaps.dir, meta.ID, stateFile), err)
		if !salvage {
			return err
		}
		r.Damage = errors.Join(r.Damage, err)
	}
	return nil
}

func (r *Recovery) restoreOne(meta *raft.SnapshotMeta) error {
	if _, err := checkSnapshotSeal(filepath.Join(r.offline.snaps.dir, meta.ID)); err != nil {
		return err
	}
	_, in, err := r.offline.snaps.Open(meta.ID)
	if err != nil {
		return err
	}
	if err := r.replay.Restore(in); err != nil {
		return err
	}
	r.Snapshot, r.Last, r.Term = Index(meta.Index), Index(meta.Index), Term(meta.Term)
	r.learnMembers(meta.Configuration)
	return nil
}

// apply takes the next entry of the log.
func (r *Recovery) apply(l *raft.Log) error {
	switch index := Index(l.Index); {
	case index <= r.Last:
		return nil // the snapshot has it
	case index > r.Last+1:
		return fmt.Errorf("%w log of %s: the entries from index %d to %d are missing",
			ErrCorrupt, r.path, r.Last+1, index-1)
	}
	switch l.Type {
	case raft.LogCommand:
		if err := r.replay.Apply(l); err != nil {
			return fmt.Errorf("apply entry %d: %w", l.Index, err)
		}
	case raft.LogConfiguration:
		r.learnMembers(raft.DecodeConfiguration(l.Data))
	}
	r.Last, r.Term = Index(l.Index), Term(l.Term)
	return nil
}

func (r *Recovery) learnMembers(c raft.Configuration) {
	names := map[MemberID]string{}
	for _, p := range r.offline.dir.meta.Initial {
		names[memberID(r.Old.Cluster, p.Name)] = p.Name
	}
	r.Members = nil
	for _, s := range c.Servers {
		id := parseMember(s.ID)
		r.Members = append(r.Members, Member{ID: id, Name: names[id], Addr: string(s.Address),
			Voter: s.Suffrage == raft.Voter})
		if id == r.Old.Member {
			r.addr = string(s.Address)
		}
	}
}

// Become makes the directory that of a new cluster's only member. addr is its peer address; empty: the one
// it had.
func (r *Recovery) Become(addr string, now time.Time) error {
	if addr == "" {
		addr = r.addr
	}
	var seal [16]byte
	if _, err := rand.Read(seal[:]); err != nil {
		return err
	}
	aside := filepath.Join(r.path, recoveringDir)
	if err := os.RemoveAll(aside); err != nil { // of an earlier attempt that changed nothing yet
		return err
	}
	made, err := Found(Founding{
		DataDir: aside, Name: r.Name, Initial: []Peer{{r.Name, addr}}, LogStore: r.logStore,
		Seal: hex.EncodeToString(seal[:]),
	}, r.replay.Write)
	if err != nil {
		return err
	}
	r.New, r.MovedTo = made, beforeRecover(r.path, now)
	return swap(r.path, r.MovedTo)
}

// interrupted reports whether a recovery stopped while it moved files.
func interrupted(path string) bool {
	_, err := os.Stat(filepath.Join(path, metaFile))
	_, err2 := os.Stat(filepath.Join(path, recoveringDir, metaFile))
	return errors.Is(err, os.ErrNotExist) && err2 == nil
}

// Finish brings an interrupted recovery to its end. movedTo is where the old files are, all of them.
func Finish(path string, now time.Time) (movedTo string, err error) {
	d, err := lockDataDir(path)
	if err != nil {
		return "", err
	}
	if movedTo = begunIn(path); movedTo == "" {
		movedTo = beforeRecover(path, now)
	}
	err = swap(path, movedTo)
	return movedTo, errors.Join(err, d.release())
}

// lockDataDir locks a directory that may lack meta.json.
func lockDataDir(path string) (*dataDir, error) {
	d := &dataDir{path: path, exists: true}
	return d, d.acquire()
}

// beforeRecover is the folder for the old files of a recovery that begins now.
func beforeRecover(path string, now time.Time) string {
	return filepath.Join(path, beforePrefix+now.UTC().Format("20060102T150405Z"))
}

// begunIn returns the folder that an interrupted recovery has begun to move the old files to: the newest with
// a meta.json, which moves first; older ones are of recoveries before. It is empty if there is none.
func begunIn(path string) (movedTo string) {
	all, _ := filepath.Glob(filepath.Join(path, beforePrefix+"*", metaFile)) // the pattern is well formed
	for _, meta := range all {
		movedTo = max(movedTo, filepath.Dir(meta))
	}
	return movedTo
}

// swap moves the old files to movedTo and the new ones in.
func swap(path, movedTo string) error {
	if err := os.MkdirAll(movedTo, 0o750); err != nil {
		return err
	}
	for _, m := range swapMoves(path, movedTo) {
		if err := m.do(); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(filepath.Join(path, recoveringDir)), syncDir(path))
}

// move is the renaming of one file or folder.
type move struct{ from, name, to string }

// swapMoves are the moves that are left. So it can be begun anew after any of them: meta.json goes first
// and comes last, and a name that the new directory still has aside is an old one here.
func swapMoves(path, movedTo string) (moves []move) {
	aside := filepath.Join(path, recoveringDir)
	for _, name := range []string{metaFile, walDir, boltLogFile} { // the new directory has no log yet
		moves = append(moves, move{path, name, movedTo})
	}
	for _, name := range []string{stableFile, snapshotDir, metaFile} {
		if _, err := os.Lstat(filepath.Join(aside, name)); err == nil {
			moves = append(moves, move{path, name, movedTo}, move{aside, name, path})
		}
	}
	return moves
}

// do moves the file, if it is there, and makes that durable.
func (m move) do() error {
	err := rename(filepath.Join(m.from, m.name), filepath.Join(m.to, m.name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(m.to), syncDir(m.from))
}
