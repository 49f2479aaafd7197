package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes, etcdctl's.
const (
	exitOK         = 0
	exitFailure    = 1
	exitBadInput   = 3
	exitBadFeature = 4
	exitBadArgs    = 128
)

// version is set at link time: -X main.version=v1.2.3.
var version = "dev"

func main() {
	relaxTimers(os.Args)
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Environ()))
}

// streams are what a verb may read from and write to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// badArgs marks an error of the command line itself: exit code 128.
type badArgs struct{ error }

func (e badArgs) Unwrap() error { return e.error }

func badArgsf(format string, args ...any) error { return badArgs{fmt.Errorf(format, args...)} }

// badFeature marks a value of a flag that names nothing there is: exit code 4.
type badFeature struct{ error }

func (e badFeature) Unwrap() error { return e.error }

func badFeaturef(format string, args ...any) error { return badFeature{fmt.Errorf(format, args...)} }

// errReported ends a verb with exit code 1 after it has written its own lines to stderr.
var errReported = errors.New("reported")

// run executes one command line and returns its exit code.
func run(args []string, io streams, environ []string) int {
	root := newRoot(io, environ)
	root.SetArgs(args)
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	var passed exitWith
	if errors.As(err, &passed) {
		return passed.code
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(io.err, "Error:", err)
	}
	var feature badFeature
	if errors.As(err, &feature) {
		return exitBadFeature
	}
	var input badInput
	if errors.As(err, &input) {
		return exitBadInput
	}
	var bad badArgs
	if errors.As(err, &bad) {
		return exitBadArgs
	}
	return exitFailure
}

// newRoot builds the whole tree of verbs.
func newRoot(io streams, environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "redkeep",
		Short: "A strongly consistent, replicated key-value store that speaks the Redis protocol",
		Long: `A strongly consistent, replicated key-value store that speaks the Redis protocol.

  redkeep server                     a durable single node in ./redkeep.data
  redkeep put foo "Hello World!"     write a key through any node
  redkeep get foo                    read it, linearizably, from any node
  redis-cli -p 6379                  every Redis client is a client`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	c := &client{streams: io}
	c.addFlags(root)
	root.SetFlagErrorFunc(flagError)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Annotations["role"] == "server" {
			return nil
		}
		return c.prepare(cmd, environ)
	}
	root.AddGroup(&cobra.Group{ID: "node", Title: "The node:"}, &cobra.Group{ID: "keys", Title: "Keys:"},
		&cobra.Group{ID: "locks", Title: "Leases, locks, elections:"},
		&cobra.Group{ID: "cluster", Title: "The cluster:"}, &cobra.Group{ID: "tools", Title: "Tools:"})
	addVerbs(root, "node", newServer(io, environ))
	addVerbs(root, "keys", newPut(c), newGet(c), newDel(c), newTxn(c), newWatch(c), newHistory(c), newCompact(c))
	addVerbs(root, "locks", newLease(c), newLock(c), newElect(c))
	addVerbs(root, "cluster", newEndpoint(c), newMember(c), newMoveLeader(c), newUser(c), newAlarm(c),
		newSnapshot(c), newRecover(c), newCheck(c))
	addVerbs(root, "tools", newImport(c), newMirror(c), newBench(c), newCert(c), newVersion(c), newDocs(c))
	root.SetHelpCommandGroupID("tools")
	root.SetCompletionCommandGroupID("tools")
	return root
}

func addVerbs(root *cobra.Command, group string, verbs ...*cobra.Command) {
	for _, v := range verbs {
		v.GroupID = group
		root.AddCommand(v)
	}
}
