package main

import (
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// dataChecks verify what the state machine has written.
var dataChecks = cluster.Checks{Entry: raftfsm.CheckEntry, Snapshot: raftfsm.VerifySnapshot}

func newCheck(c *client) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Verify every file of a data directory whose node does not run",
		Long: `Verify every file of a data directory whose node does not run: identity, terms and votes, each entry
of the log, each snapshot, each backup. Nothing is changed. The exit code is 0 if all is well and 1 if a file
is damaged.`,
		Args: argsBetween(0, 0, "check takes no argument; name the directory with --data-dir"),
		RunE: func(*cobra.Command, []string) error { return c.check(dir) },
	}
	cmd.Flags().StringVar(&dir, "data-dir", "./redkeep.data", "directory to verify")
	return cmd
}

func (c *client) check(dir string) error {
	found, err := cluster.CheckDataDir(dir, dataChecks)
	if err != nil {
		return offlineError(err)
	}
	r := checkReply{DataDir: dir, Name: found.Name, ClusterID: uint64(found.Cluster),
		MemberID: uint64(found.Member)}
	for _, f := range found.Findings {
		line := checkedFile{File: f.File, Bytes: f.Bytes, What: f.Note, OK: f.Err == nil}
		if f.Err != nil {
			line.Error = f.Err.Error()
		}
		r.Files = append(r.Files, line)
	}
	if err := c.print(r); err != nil {
		return err
	}
	if bad := len(found.Damaged()); bad > 0 {
		fmt.Fprintf(c.err, "Error: %d of %d files of %s are damaged. %s\n", bad, len(r.Files), dir,
			damageAdvice(dir))
		return errReported
	}
	return nil
}

// damageAdvice is what to do about a damaged directory. Nothing is ever repaired in silence: which way is
// right depends on whether others have the data.
func damageAdvice(dir string) string {
	return "Nothing was changed. If a majority of the cluster still serves, replace this member by a new one; " +
		"if not, restore a backup, or take what is whole with: redkeep recover --salvage --data-dir " + dir
}

// offlineError says what to do about a directory that cannot be worked on.
func offlineError(err error) error {
	switch {
	case errors.Is(err, cluster.ErrDataDirInUse):
		return badInput{fmt.Errorf("%w; stop the node first", err)}
	case errors.Is(err, cluster.ErrInterrupted):
		return badInput{fmt.Errorf("%w; run `redkeep recover` on it, which brings it to its end", err)}
	}
	return badInput{err}
}

type checkedFile struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	What  string `json:"what"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (f checkedFile) verdict() string {
	if f.OK {
		return "ok"
	}
	return "DAMAGED"
}

type checkReply struct {
	DataDir   string        `json:"data_dir"`
	Name      string        `json:"name"`
	ClusterID uint64        `json:"cluster_id"`
	MemberID  uint64        `json:"member_id"`
	Files     []checkedFile `json:"files"`
}

func (r checkReply) simple(p *page) {
	for _, f := range r.Files {
		p.line("%-8s %s: %s", f.verdict(), f.File, f.What)
		if !f.OK {
			p.line("         %s", f.Error)
		}
	}
}

func (r checkReply) fields(p *page) {
	p.field("DataDir", r.DataDir)
	p.field("Name", r.Name)
	p.field("ClusterID", r.ClusterID)
	p.field("MemberID", r.MemberID)
	for _, f := range r.Files {
		p.field("File", f.File)
		p.field("Bytes", f.Bytes)
		p.field("What", f.What)
		p.field("OK", f.OK)
		p.field("Error", f.Error)
		p.line("")
	}
}

func (r checkReply) table() (table.Row, []table.Row) {
	var rows []table.Row
	for _, f := range r.Files {
		what := f.What
		if !f.OK {
			what = f.Error
		}
		rows = append(rows, table.Row{f.File, f.Bytes, f.verdict(), what})
	}
	return table.Row{"File", "Bytes", "Verdict", "What"}, rows
}
