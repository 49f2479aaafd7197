package cluster

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A data directory:
//
//	LOCK        flock held by the running process; holds its pid
//	meta.json   who this is; written before anything else, and later only for what is told of its fields
//	stable.db   raft's terms and votes (raft-boltdb)
//	log/        raft-wal's segments, or log.db (raft-boltdb)
//	snapshots/  raft.FileSnapshotStore
const (
	lockFile    = "LOCK"
	metaFile    = "meta.json"
	stableFile  = "stable.db"
	walDir      = "log"
	boltLogFile = "log.db"
	snapshotDir = "snapshots"

	metaFormat = 1
)

// metaData is meta.json.
type metaData struct {
	Format    int    `json:"format"`
	ClusterID string `json:"cluster_id"`
	MemberID  string `json:"member_id"`
	Name      string `json:"name"`
	LogStore  string `json:"log_store"`
	Initial   []Peer `json:"initial_cluster"`
	// Bootstrapped is false between the creation of the directory and the moment the first configuration is in
	// the log, so that a crash in between is finished at the next start.
	Bootstrapped bool `json:"bootstrapped"`
	// Checksum is written and verified by seal.go.
	Checksum string `json:"checksum,omitempty"`
	// Joined says that this member was added to a running cluster; Join what it still has to ask for.
	Joined bool       `json:"joined,omitempty"`
	Join   *joinState `json:"join,omitempty"`
	// Removed is set for good when this member has learned that it was removed from its cluster.
	Removed bool `json:"removed,omitempty"`
}

type dataDir struct {
	path   string
	lock   *os.File
	fresh  bool // made by this Open: undone when it fails early
	noDir  bool // the directory itself was made by this Open
	meta   metaData
	exists bool // meta.json was there
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// openDataDir locks the directory and reads meta.json. It changes nothing but LOCK.
func openDataDir(path string) (*dataDir, error) {
	d := &dataDir{path: path}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		d.noDir = true
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDataDirAccess, path, err)
	}
	if unix.Access(path, unix.W_OK|unix.X_OK) != nil {
		return nil, fmt.Errorf("%w: %s", ErrDataDirAccess, path)
	}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	if err := d.readMeta(); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

// acquire takes the lock. The file may have been unlinked by an Open that failed between our open and our
// flock, so the lock counts only when the path still names the locked file.
func (d *dataDir) acquire() error {
	for {
		_, err := os.Stat(d.file(lockFile))
		d.fresh = errors.Is(err, fs.ErrNotExist)
		f, err := os.OpenFile(d.file(lockFile), os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDataDirAccess, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			holder, _ := os.ReadFile(d.file(lockFile))
			f.Close()
			return fmt.Errorf("%w: %s%s", ErrDataDirInUse, d.path, describePid(holder))
		}
		ours, err1 := f.Stat()
		named, err2 := os.Stat(d.file(lockFile))
		if err1 == nil && err2 == nil && os.SameFile(ours, named) {
			d.lock = f
			return d.writePid()
		}
		f.Close()
	}
}

func describePid(content []byte) string {
	if pid := strings.TrimSpace(string(content)); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

func (d *dataDir) writePid() error {
	if err := d.lock.Truncate(0); err != nil {
		return fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	_, err := d.lock.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// release gives the lock back and removes what a failed Open of a new directory has made.
func (d *dataDir) release() error {
	if d.fresh && !d.exists {
		err := os.Remove(d.file(lockFile))
		if d.noDir {
			err = errors.Join(err, os.Remove(d.path))
		}
		return errors.Join(err, d.lock.Close())
	}
	return d.lock.Close()
}

func (d *dataDir) readMeta() error {
	raw, err := os.ReadFile(d.file(metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d.refuseStray()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields() // one flipped byte makes the name of a field unknown
	if err := strict.Decode(&d.meta); err != nil {
		return fmt.Errorf("%w file %s: %w", ErrCorrupt, d.file(metaFile), err)
	}
	if d.meta.Checksum != "" && !sealHolds(raw) {
		return fmt.Errorf("%w file %s offset 0: %w", ErrCorrupt, d.file(metaFile), errSeal)
	}
	if d.meta.Format != metaFormat {
		return fmt.Errorf("%w: %s has format %d, this version reads %d",
			ErrDataDirFormat, d.path, d.meta.Format, metaFormat)
	}
	d.exists = true
	return nil
}

// refuseStray keeps a directory whose meta.json got lost from being taken for a new one.
func (d *dataDir) refuseStray() error {
	if interrupted(d.path) {
		return fmt.Errorf("%w: %s: run `redkeep recover` on it again, which finishes it", ErrInterrupted, d.path)
	}
	for _, name := range []string{stableFile, walDir, boltLogFile, snapshotDir} {
		if _, err := os.Stat(d.file(name)); err == nil {
			return fmt.Errorf("%w: %s has %s but no %s", ErrDataDirFormat, d.path, name, metaFile)
		}
	}
	return nil
}

// identify decides who this node is. For a known directory it compares with the configuration and changes
// nothing; for a new one it fills meta, which create writes later.
func (d *dataDir) identify(cfg Config, advertise string) (notes []string, err error) {
	if !d.exists {
		return nil, d.newIdentity(cfg, advertise)
	}
	if cfg.LogStore != d.meta.LogStore {
		return nil, fmt.Errorf("%w: %s was made with --log-store=%s, not %s",
			ErrOtherLogStore, d.path, d.meta.LogStore, cfg.LogStore)
	}
	if d.strangers(cfg.InitialCluster) {
		return nil, fmt.Errorf("%w: %s is of cluster %s, where no other member of the initial cluster given "+
			"was at the beginning", ErrOtherCluster, d.path, d.meta.ClusterID)
	}
	if len(cfg.InitialCluster) > 0 && cfg.Name != d.meta.Name {
		return nil, fmt.Errorf("%w: %s is member %q, not %q", ErrOtherMember, d.path, d.meta.Name, cfg.Name)
	}
	if cfg.Name != d.meta.Name {
		notes = append(notes, fmt.Sprintf("name %q is ignored, the data directory says %q", cfg.Name, d.meta.Name))
	}
	return notes, nil
}

// strangers tells a list that belongs to another cluster from one that is merely out of date, which is
// ignored because members come and go after the first start: none of the others on it was there at the
// beginning.
func (d *dataDir) strangers(list []Peer) bool {
	others := slices.DeleteFunc(slices.Clone(list), func(p Peer) bool { return p.Name == d.meta.Name })
	known := func(p Peer) bool { return slices.Contains(d.meta.Initial, p) }
	return len(others) > 0 && !d.meta.Joined && !slices.ContainsFunc(others, known)
}

func (d *dataDir) newIdentity(cfg Config, advertise string) error {
	initial, id := cfg.InitialCluster, ClusterID(0)
	if len(initial) == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		initial, id = []Peer{{cfg.Name, advertise}}, ClusterID(binary.BigEndian.Uint64(b[:])|1)
	} else {
		id = initialClusterID(initial)
	}
	d.meta = metaData{
		Format: metaFormat, ClusterID: id.String(), MemberID: memberID(id, cfg.Name).String(),
		Name: cfg.Name, LogStore: cfg.LogStore, Initial: initial,
	}
	return nil
}

// initialClusterID is the same on every node that is given the same list, in whatever order.
func initialClusterID(initial []Peer) ClusterID {
	lines := make([]string, 0, len(initial))
	for _, p := range initial {
		lines = append(lines, p.Name+"="+p.Addr)
	}
	slices.Sort(lines)
	return ClusterID(hash64("cluster", strings.Join(lines, ",")))
}

func memberID(c ClusterID, name string) MemberID {
	return MemberID(hash64("member", c.String()+"/"+name))
}

// hash64 never returns 0, which means "nobody".
func hash64(kind, s string) uint64 {
	sum := sha256.Sum256([]byte("redkeep " + kind + "\x00" + s))
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

func (d *dataDir) clusterID() ClusterID { return ClusterID(parseHex(d.meta.ClusterID)) }
func (d *dataDir) memberID() MemberID   { return MemberID(parseHex(d.meta.MemberID)) }

func parseHex(s string) (v uint64) {
	if _, err := fmt.Sscanf(s, "%016x", &v); err != nil {
		return 0
	}
	return v
}

// saveMeta replaces meta.json in one step and makes it durable.
func (d *dataDir) saveMeta() error {
	d.meta.Checksum = ""
	raw, err := json.MarshalIndent(d.meta, "", "  ")
	if err != nil {
		return err
	}
	tmp := d.file(metaFile + ".tmp")
	if err := writeSynced(tmp, sealMeta(append(raw, '\n'))); err != nil {
		return err
	}
	if err := rename(tmp, d.file(metaFile)); err != nil {
		return err
	}
	d.exists = true
	return syncDir(d.path)
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = write(f, content)
	return errors.Join(err, syncFile(f), f.Close())
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(syncFile(f), f.Close())
}

// cleanSnapshots removes what a crash left half-written; raft's store never does.
func (d *dataDir) cleanSnapshots() error {
	left, err := filepath.Glob(filepath.Join(d.file(snapshotDir), "*.tmp"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

func diskFree(path string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * st.Bsize
}
