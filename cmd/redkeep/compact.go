package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

func newCompact(c *client) *cobra.Command {
	physical := false
	cmd := &cobra.Command{
		Use:     "compact <revision>",
		Aliases: []string{"compaction"},
		Short:   "Forget what was superseded before a revision",
		Long: `Forget what was superseded before a revision; the state at that revision itself stays readable.
Nodes do this by themselves to keep --history-bytes and --history-age.`,
		Args: argsBetween(1, 1, "compaction command needs 1 argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.compact(cmd.Context(), args[0], physical)
		},
	}
	cmd.Flags().BoolVar(&physical, "physical", false, "wait until the records are gone from memory")
	return cmd
}

// compact prints the same line in every format, as etcdctl does.
func (c *client) compact(ctx context.Context, revision string, physical bool) error {
	rev, err := strconv.ParseInt(revision, 10, 64)
	if err != nil {
		return badArgsf("%q is not a revision: write a whole number", revision)
	}
	args := []any{"KV.COMPACT", rev}
	if physical {
		args = append(args, "PHYSICAL")
	}
	if _, _, err := c.ask(ctx, false, args...); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, "compacted revision", rev)
	return err
}
