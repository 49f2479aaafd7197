package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this binary was made from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// thisBuild takes the commit from what the Go tool recorded.
func thisBuild() build {
	b := build{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value[:min(12, len(s.Value))]
		}
	}
	return b
}

func newVersion(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  argsBetween(0, 0, "version command takes no argument"),
		RunE:  func(*cobra.Command, []string) error { return c.printVersion(thisBuild()) },
	}
}

func (c *client) printVersion(b build) error {
	if c.format == formatJSON {
		return json.NewEncoder(c.out).Encode(b)
	}
	fmt.Fprintln(c.out, "redkeep version:", b.Version)
	if b.Commit != "" {
		fmt.Fprintln(c.out, "Git commit:", b.Commit)
	}
	_, err := fmt.Fprintln(c.out, "Go version:", b.Go)
	return err
}
