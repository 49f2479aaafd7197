package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/raftfsm"
)

func newSnapshot(c *client) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Back up and restore: save, status, restore",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSnapshotSave(c), newSnapshotStatus(c), newSnapshotRestore(c))
	return cmd
}

func newSnapshotStatus(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "status <file>",
		Short: "Verify every byte of a backup, and print hash, revision, keys and size",
		Args:  argsBetween(1, 1, "snapshot status requires exactly one argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := c.inspect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.print(newSnapshotReply(in))
		},
	}
}

// inspect verifies a file from the first to the last byte.
func (c *client) inspect(ctx context.Context, path string) (in raftfsm.Inspection, err error) {
	f, err := os.Open(path)
	if err != nil {
		return in, badInput{err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return in, err
	}
	p := c.progress("verifying", info.Size())
	in, err = raftfsm.InspectSnapshot(p.reader(ctx, f))
	p.end()
	if err != nil {
		return in, badInput{fmt.Errorf("%s: %w: the file cannot be used, take another backup", path, err)}
	}
	return in, nil
}

type snapshotReply struct {
	Hash            uint32 `json:"hash"` // the first 32 bits of the SHA-256
	Revision        int64  `json:"revision"`
	TotalKey        int64  `json:"totalKey"`
	TotalSize       int64  `json:"totalSize"`
	CompactRevision int64  `json:"compactRevision"` // this and what follows are not etcd's
	SHA256          string `json:"sha256"`
}

func newSnapshotReply(in raftfsm.Inspection) snapshotReply {
	return snapshotReply{
		Hash:            first32(in.SHA256[:]),
		Revision:        int64(in.Header.Revision),
		CompactRevision: int64(in.Header.CompactRevision), TotalKey: in.Header.Keys, TotalSize: in.Bytes,
		SHA256: fmt.Sprintf("%x", in.SHA256),
	}
}

func first32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func (r snapshotReply) row() table.Row {
	return table.Row{fmt.Sprintf("%08x", r.Hash), r.Revision, r.TotalKey, decimalSize(r.TotalSize)}
}

func (r snapshotReply) simple(p *page) { p.row(r.row()) }

func (r snapshotReply) fields(p *page) {
	p.field("Hash", r.Hash)
	p.field("Revision", r.Revision)
	p.field("Keys", r.TotalKey)
	p.field("Size", r.TotalSize)
	p.field("CompactRevision", r.CompactRevision)
	p.field("SHA256", r.SHA256)
}

func (r snapshotReply) table() (table.Row, []table.Row) {
	return table.Row{"Hash", "Revision", "Total Keys", "Total Size"}, []table.Row{r.row()}
}

// decimalSize is etcdctl's: 25 kB, 2.1 MB.
func decimalSize(bytes int64) string {
	size, unit := float64(bytes), 0
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for size >= 999.5 && unit < len(units)-1 {
		size, unit = size/1000, unit+1
	}
	if unit > 0 && size < 9.95 {
		return fmt.Sprintf("%.1f %s", size, units[unit])
	}
	return fmt.Sprintf("%.0f %s", size, units[unit])
}

// readTo is io.Reader until ctx is done.
type readTo struct {
	ctx context.Context
	in  io.Reader
	add func(n int)
}

func (r readTo) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(b)
	r.add(n)
	return n, err
}
