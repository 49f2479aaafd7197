package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

type recoverOptions struct {
	dataDir, advertise string
	bump               int64
	salvage, yes       bool
}

func newRecover(c *client) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "The majority is lost for good: make one survivor a new cluster",
		Long: `The majority is lost for good: make the data directory of one survivor, whose node does not run,
that of a new cluster of this member alone. Other members then join it with empty directories.

It keeps all that this member has. What only the lost members had is gone, even if it was acknowledged. If
several survive, take the one whose log ends with the highest term, and among those with one term the one with
the highest entry: without --yes this tells what a directory has and changes nothing. The lost members cannot
come back into the new cluster; remove their directories. If a majority can be brought back, do that instead.

The old files move into a folder beside the new ones; nothing is removed.`,
		Annotations: noTable,
		Args:        argsBetween(0, 0, "recover takes no argument; name the directory with --data-dir"),
		RunE:        func(*cobra.Command, []string) error { return c.recover(o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.dataDir, "data-dir", "./redkeep.data", "directory of the survivor")
	f.BoolVar(&o.yes, "yes", false, "do it; without this only tell what would be kept")
	f.BoolVar(&o.salvage, "salvage", false,
		"the directory is damaged: take what stands before the damage, and lose the rest")
	f.StringVar(&o.advertise, "advertise-peer-addr", "",
		"peer address in the new cluster (default: as it was)")
	f.Int64Var(&o.bump, "bump-revision", raftfsm.DefaultBump,
		"how far to raise the revision, for clients may have seen more than is left; 0 leaves it as it was")
	return cmd
}

// bumped is the replayed state as the recovery writes it.
type bumped struct {
	*raftfsm.Replay
	bump   int64
	header *raftfsm.SnapshotHeader
}

func (b bumped) Write(out io.Writer) (err error) {
	*b.header, err = b.Replay.Write(out, b.bump)
	return err
}

func (c *client) recover(o recoverOptions) (err error) {
	if o.advertise != "" && checkAddress(o.advertise) != nil {
		return badArgsf("--advertise-peer-addr %q: must be host:port", o.advertise)
	}
	if o.bump < 0 {
		return badArgsf("--bump-revision %d: must not be below 0", o.bump)
	}
	replay := raftfsm.NewReplay()
	defer replay.Close()
	var header raftfsm.SnapshotHeader
	r, err := cluster.Survey(o.dataDir, dataChecks, bumped{replay, o.bump, &header}, o.salvage)
	if errors.Is(err, cluster.ErrInterrupted) {
		return c.finishRecovery(o)
	}
	if err != nil {
		return notRecovered(o, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	reply := surveyReply(o, r.Recovered, replay.Header())
	if !o.yes {
		return errors.Join(c.print(reply), badInput{errors.New("nothing was changed: add --yes to do it")})
	}
	if err := r.Become(o.advertise, time.Now()); err != nil {
		return fmt.Errorf("%s: %w", o.dataDir, err)
	}
	reply.ClusterID, reply.MemberID = uint64(r.New.Cluster), uint64(r.New.Member)
	reply.MovedTo, reply.Revision = r.MovedTo, int64(header.Revision)
	return c.print(reply)
}

func surveyReply(o recoverOptions, r cluster.Recovered, has raftfsm.SnapshotHeader) recoverReply {
	reply := recoverReply{
		DataDir: o.dataDir, Name: r.Name, Was: uint64(r.Old.Cluster), Lost: lostMembers(r),
		LastEntry: uint64(r.Last), Term: uint64(r.Term), Keys: has.Keys, Revision: int64(has.Revision),
		Salvage: o.salvage,
	}
	if r.Damage != nil {
		reply.Damage = strings.ReplaceAll(r.Damage.Error(), "\n", "; ")
	}
	return reply
}

func lostMembers(r cluster.Recovered) (names []string) {
	for _, m := range r.Members {
		if m.ID == r.Old.Member {
			continue
		}
		name := m.Name
		if name == "" {
			name = m.ID.String()
		}
		names = append(names, name+"="+m.Addr)
	}
	return names
}

func notRecovered(o recoverOptions, err error) error {
	if errors.Is(err, cluster.ErrCorrupt) && !o.salvage {
		return badInput{fmt.Errorf("%w; nothing was changed. Take another survivor, or restore a backup; "+
			"--salvage takes what stands before the damage and loses the rest", err)}
	}
	return offlineError(fmt.Errorf("%w; nothing was changed", err))
}

func (c *client) finishRecovery(o recoverOptions) error {
	movedTo, err := cluster.Finish(o.dataDir, time.Now())
	if err != nil {
		return offlineError(err)
	}
	_, err = fmt.Fprintf(c.out, "An interrupted recovery of %s was brought to its end; old files are in %s\n",
		o.dataDir, movedTo)
	return err
}

type recoverReply struct {
	DataDir   string   `json:"data_dir"`
	Name      string   `json:"name"`
	Was       uint64   `json:"old_cluster_id"`
	Lost      []string `json:"lost_members,omitempty"`
	LastEntry uint64   `json:"last_entry"`
	Term      uint64   `json:"last_term"`
	Revision  int64    `json:"revision"`
	Keys      int64    `json:"keys"`
	Damage    string   `json:"damage,omitempty"`
	Salvage   bool     `json:"salvage,omitempty"`
	ClusterID uint64   `json:"cluster_id,omitempty"`
	MemberID  uint64   `json:"member_id,omitempty"`
	MovedTo   string   `json:"moved_to,omitempty"`
}

func (r recoverReply) simple(p *page) {
	others := strings.Join(r.Lost, ", ")
	if others == "" {
		others = "none"
	}
	p.line("%s is member %s of cluster %016x; others: %s", r.DataDir, r.Name, r.Was, others)
	p.line("It has %d keys, and its log ends with entry %d of term %d", r.Keys, r.LastEntry, r.Term)
	if r.Damage != "" {
		p.line("LOST: everything from entry %d on: %s", r.LastEntry+1, r.Damage)
	}
	if r.ClusterID == 0 {
		p.line("Kept would be all of that. Lost would be what only other members have, acknowledged or not")
		if len(r.Lost) > 0 {
			p.line("If others of them survive, too, take the one whose log ends with the highest term, and among " +
				"those with the highest entry")
		}
		return
	}
	p.line("Now it is member %016x of the new cluster %016x, alone, at revision %d", r.MemberID, r.ClusterID,
		r.Revision)
	p.line("The old files are in %s: remove them when nobody misses anything", r.MovedTo)
	p.line("Start it without --initial-cluster: redkeep server --name %s --data-dir %s ...", r.Name,
		r.DataDir)
}

func (r recoverReply) fields(p *page) {
	p.field("DataDir", r.DataDir)
	p.field("Name", r.Name)
	p.field("OldClusterID", r.Was)
	p.field("LostMembers", r.Lost)
	p.field("LastEntry", r.LastEntry)
	p.field("LastTerm", r.Term)
	p.field("Revision", r.Revision)
	p.field("Keys", r.Keys)
	p.field("Damage", r.Damage)
	p.field("ClusterID", r.ClusterID)
	p.field("MemberID", r.MemberID)
	p.field("MovedTo", r.MovedTo)
}
