package main

import (
	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/commands"
)

// newDocs is what `make docs` calls; users have the page it writes.
func newDocs(c *client) *cobra.Command {
	return &cobra.Command{
		Use:    "docs",
		Short:  "Write the page of all commands, generated from the command table",
		Hidden: true,
		Args:   argsBetween(0, 0, "docs command takes no argument"),
		RunE:   func(*cobra.Command, []string) error { return commands.WriteDocs(c.out) },
	}
}
