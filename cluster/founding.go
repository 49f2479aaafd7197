package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/raft"
)

// A founded data directory: one that starts with a state instead of with nothing.
//
// Idea. It is what a member looks like that was sent a snapshot and nothing since: a snapshot at index 1 of
// term 1, which names all members, and an empty log. Raft knows how to go on from there, so a restored
// cluster needs no code of its own when it starts. Every member of the new cluster is founded from the same
// state with the same list, each on its own machine, and finds the others by having come to the same id.
//
// Invariants.
//  1. The cluster id follows from the list and from Seal, which stands for the state. So members founded
//     from different states do not talk to each other, and no member of the cluster that the state came
//     from talks to one of the new, even where names and addresses are the same.
//  2. meta.json is written last. A directory without it is taken neither for a new one nor for a member.
//  3. A directory that holds anything is refused and not touched.
//
// Rejected: starting empty and loading the state through the log (a restore would be visible half done, and
// take as long as writing everything once more).
// Drawback: each member reads the whole file, and somebody has to bring it there.

// Founding is what a directory is founded with. LogStore may be empty for the default.
type Founding struct {
	DataDir  string
	Name     string
	Initial  []Peer
	LogStore string
	Seal     string
}

// Founded names what came of it.
type Founded struct {
	Cluster ClusterID
	Member  MemberID
}

// Found makes a data directory whose state is what content writes. When it fails it leaves nothing behind.
func Found(f Founding, content func(io.Writer) error) (made Founded, err error) {
	cfg := Config{Name: f.Name, LogStore: f.LogStore, InitialCluster: f.Initial}.withDefaults()
	if err := cfg.validatePeers(); err != nil {
		return made, err
	}
	if err := Unused(f.DataDir); err != nil {
		return made, err
	}
	d, err := openDataDir(f.DataDir)
	if err != nil {
		return made, err
	}
	defer func() {
		if err != nil {
			d.exists = false
			err = errors.Join(err, d.unmake())
		}
		err = errors.Join(err, d.release())
	}()
	made.Cluster = foundedClusterID(f.Initial, f.Seal)
	made.Member = memberID(made.Cluster, f.Name)
	d.meta = metaData{
		Format: metaFormat, ClusterID: made.Cluster.String(), MemberID: made.Member.String(), Name: f.Name,
		LogStore: cfg.LogStore, Initial: f.Initial, Bootstrapped: true,
	}
	if err := d.foundState(content); err != nil {
		return made, err
	}
	return made, d.saveMeta()
}

// Unused returns an error unless a data directory can be founded at path. It lets through a directory that
// does not exist or is empty, as a fresh file system is.
func Unused(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", ErrDataDirAccess, path, err)
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			return fmt.Errorf("%w: %s has %s", ErrDataDirUsed, path, e.Name())
		}
	}
	return nil
}

func foundedClusterID(initial []Peer, seal string) ClusterID {
	lines := make([]string, 0, len(initial))
	for _, p := range initial {
		lines = append(lines, p.Name+"="+p.Addr)
	}
	slices.Sort(lines)
	return ClusterID(hash64("founded cluster", strings.Join(lines, ",")+"\x00"+seal))
}

// foundState writes everything but meta.json.
func (d *dataDir) foundState(content func(io.Writer) error) error {
	stable, err := openStable(d.file(stableFile), &fatalSwitch{tell: func(error) {}})
	if err != nil {
		return err
	}
	err = errors.Join(stable.SetUint64([]byte(keyCurrentTerm), 1), stable.Close())
	if err != nil {
		return err
	}
	quiet := newRaftLogger(slog.New(slog.DiscardHandler), "snapshot")
	files, err := raft.NewFileSnapshotStoreWithLogger(d.path, 2, quiet)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	snaps := &snapshotStore{FileSnapshotStore: files, dir: d.file(snapshotDir)}
	_, trans := raft.NewInmemTransport("")
	sink, err := snaps.Create(raft.SnapshotVersionMax, 1, 1, d.firstConfiguration(), 1, trans)
	if err != nil {
		return err
	}
	if err := content(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return errors.Join(sink.Close(), syncDir(d.file(snapshotDir)))
}

// unmake removes what a failed Found has made.
func (d *dataDir) unmake() error {
	var errs []error
	for _, name := range []string{metaFile, metaFile + ".tmp", stableFile, snapshotDir} {
		errs = append(errs, os.RemoveAll(d.file(name)))
	}
	return errors.Join(errs...)
}
