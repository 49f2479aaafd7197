package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// restoreOptions are the flags of snapshot restore, etcdutl's where it has them.
type restoreOptions struct {
	dataDir, name, initial, advertise, logStore string
	bump                                        int64
}

func newSnapshotRestore(c *client) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore <file>",
		Short: "Make the data directory of a new cluster from a backup",
		Long: `Make the data directory of a new cluster from a backup. Keys, values, deadlines, leases, locks and
revisions are the backup's; cluster and members are new, and nobody of the old cluster can join by mistake.
For a cluster of several, restore the same file with the same --initial-cluster and --bump-revision once for
each member, with that member's --name, and start all of them.

The revision is raised by --bump-revision, and what was before counts as compacted: so no client sees a
revision twice that it saw before the disaster, no fencing token is given twice, and every watch that goes on
from an old revision is told that it has to read anew.`,
		Annotations: noTable,
		Args:        argsBetween(1, 1, "snapshot restore requires exactly one argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.snapshotRestore(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.dataDir, "data-dir", "./redkeep.data", "directory to make; it must not exist or be empty")
	f.StringVar(&o.name, "name", "default", "name of the member whose directory it is")
	f.StringVar(&o.initial, "initial-cluster", "",
		"all members as name=peer-address,..., the same list for each (default: this member alone)")
	f.StringVar(&o.advertise, "initial-advertise-peer-addr", "",
		"this member's peer address (default: its entry in --initial-cluster, else 127.0.0.1:16379)")
	f.Int64Var(&o.bump, "bump-revision", raftfsm.DefaultBump,
		"how far to raise the revision; 0 leaves it as it was")
	f.StringVar(&o.logStore, "log-store", cluster.LogStoreWAL, "log store of the new member: wal or boltdb")
	return cmd
}

// members returns the initial cluster.
func (o *restoreOptions) members() ([]cluster.Peer, error) {
	var s settings
	if err := setName(&s, o.name); err != nil {
		return nil, badArgsf("--name %q: %w", o.name, err)
	}
	if o.advertise != "" && checkAddress(o.advertise) != nil {
		return nil, badArgsf("--initial-advertise-peer-addr %q: must be host:port", o.advertise)
	}
	if err := setCluster(&s, o.initial); err != nil {
		return nil, badArgsf("--initial-cluster: %w", err)
	}
	if o.logStore != cluster.LogStoreWAL && o.logStore != cluster.LogStoreBoltDB {
		return nil, badArgsf("--log-store %q: must be wal or boltdb", o.logStore)
	}
	if o.bump < 0 {
		return nil, badArgsf("--bump-revision %d: must not be below 0", o.bump)
	}
	if len(s.initialCluster) == 0 {
		addr := o.advertise
		if addr == "" {
			addr = "127.0.0.1:16379"
		}
		return []cluster.Peer{{Name: o.name, Addr: addr}}, nil
	}
	for _, p := range s.initialCluster {
		if p.Name == o.name && o.advertise != "" && p.Addr != o.advertise {
			return nil, badArgsf("--initial-advertise-peer-addr %s: --initial-cluster has %s for %s",
				o.advertise, p.Addr, o.name)
		}
	}
	return s.initialCluster, nil
}

func (c *client) snapshotRestore(ctx context.Context, path string, o restoreOptions) error {
	members, err := o.members()
	if err != nil {
		return err
	}
	if err := cluster.Unused(o.dataDir); err != nil {
		return notRestored(err)
	}
	in, err := c.inspect(ctx, path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return badInput{err}
	}
	defer f.Close()
	p := c.progress("restoring", in.Bytes)
	defer p.end()
	var header raftfsm.SnapshotHeader
	made, err := cluster.Found(cluster.Founding{
		DataDir: o.dataDir, Name: o.name, Initial: members, LogStore: o.logStore,
		Seal: fmt.Sprintf("%x+%d", in.SHA256, o.bump), // members restored in different ways are no cluster
	}, func(w io.Writer) (err error) {
		header, err = raftfsm.ResetSnapshot(p.reader(ctx, f), w, o.bump)
		return err
	})
	p.end()
	if err != nil {
		return notRestored(err)
	}
	return c.print(restoredReply{
		DataDir: o.dataDir, Name: o.name, ClusterID: uint64(made.Cluster), MemberID: uint64(made.Member),
		Revision: int64(header.Revision), From: int64(in.Header.Revision), Keys: header.Keys, members: members,
	})
}

func notRestored(err error) error {
	if errors.Is(err, cluster.ErrDataDirUsed) {
		return badInput{fmt.Errorf("%w; nothing was changed: name another --data-dir, or move this one away",
			err)}
	}
	return fmt.Errorf("nothing was restored: %w", err)
}

type restoredReply struct {
	DataDir   string `json:"data_dir"`
	Name      string `json:"name"`
	ClusterID uint64 `json:"cluster_id"`
	MemberID  uint64 `json:"member_id"`
	Revision  int64  `json:"revision"`
	From      int64  `json:"snapshot_revision"`
	Keys      int64  `json:"keys"`
	members   []cluster.Peer
}

func (r restoredReply) simple(p *page) {
	p.line("Restored %d keys into %s: member %s (%016x) of the new cluster %016x", r.Keys, r.DataDir, r.Name,
		r.MemberID, r.ClusterID)
	if r.Revision != r.From {
		p.line("The revision is %d; it was %d in the backup, and all below %d counts as compacted", r.Revision,
			r.From, r.Revision)
	} else {
		p.line("The revision is %d, as in the backup: clients may meet revisions again that they have seen",
			r.Revision)
	}
	if len(r.members) > 1 {
		p.line("Restore the same file with the same list for the other %d members, then start all",
			len(r.members)-1)
	}
	p.line("Start it: redkeep server --name %s --data-dir %s ...", r.Name, r.DataDir)
}

func (r restoredReply) fields(p *page) {
	p.field("DataDir", r.DataDir)
	p.field("Name", r.Name)
	p.field("ClusterID", r.ClusterID)
	p.field("MemberID", r.MemberID)
	p.field("Revision", r.Revision)
	p.field("SnapshotRevision", r.From)
	p.field("Keys", r.Keys)
}
