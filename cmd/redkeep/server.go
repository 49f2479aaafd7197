package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkeep/redkeep/cluster"
)

// closeTimeout bounds a graceful stop: handing over leadership, answering what runs, closing the log.
const closeTimeout = 15 * time.Second

func newServer(io streams, environ []string) *cobra.Command {
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	flags.SortFlags = false
	for _, o := range options {
		flags.Var(&textFlag{value: o.def, kind: o.kind}, o.name, o.help)
		if o.kind == "true|false" {
			flags.Lookup(o.name).NoOptDefVal = "true"
		}
	}
	flags.Var(&textFlag{kind: "file"}, "config", "YAML file with these settings; its keys are the flags' names")
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node",
		Long: `Run a node. Without flags: a durable single node with its data in ./redkeep.data.

Every setting is a flag, an environment variable (REDKEEP_QUOTA_BYTES for --quota-bytes) and a key in
--config (quota-bytes: 4GiB). The flag counts before the variable, the variable before the file. Sizes are
whole numbers with B, KiB, MiB, GiB or TiB; times are written as 250ms, 5s, 2m or 1h30m.

A cluster of three, each with the same list:
  redkeep server --name n1 --client-addr 10.0.0.1:6379 --initial-cluster \
      n1=10.0.0.1:16379,n2=10.0.0.2:16379,n3=10.0.0.3:16379
One more, or one in the place of a member that is lost for good:
  redkeep server --name n4 --client-addr 10.0.0.4:6379 --join 10.0.0.1:16379,10.0.0.2:16379
  redkeep server --name n5 --client-addr 10.0.0.5:6379 --join 10.0.0.1:16379 --replace n2`,
		Annotations: map[string]string{"role": "server"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := refuseClientFlags(cmd, args); err != nil {
				return err
			}
			s, err := loadSettings(flags, environ)
			if err != nil {
				return err
			}
			return runServer(cmd.Context(), s, io)
		},
	}
	cmd.Flags().AddFlagSet(flags)
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := fmt.Fprint(cmd.OutOrStderr(), serverUsage(flags))
		return err
	})
	return cmd
}

// textFlag keeps what was typed; the option's row reads it, as it reads the environment and the file.
type textFlag struct{ value, kind string }

func (f *textFlag) String() string     { return f.value }
func (f *textFlag) Set(s string) error { f.value = s; return nil }
func (f *textFlag) Type() string       { return f.kind }

// refuseClientFlags: the global flags of the client verbs would have no effect here.
func refuseClientFlags(cmd *cobra.Command, args []string) (err error) {
	if len(args) > 0 {
		return fmt.Errorf("server takes no argument: %q", args[0])
	}
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			err = fmt.Errorf("--%s is a flag of the client verbs; the server has none of that name", f.Name)
		}
	})
	return err
}

// serverUsage lists the settings in their groups.
func serverUsage(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("Usage:\n  redkeep server [flags]\n")
	for _, group := range []string{groupNode, groupTLS, groupUsers, groupLimits, groupRaft, groupLog} {
		part := pflag.NewFlagSet(group, pflag.ContinueOnError)
		part.SortFlags = false
		for _, o := range options {
			if o.group == group {
				part.AddFlag(flags.Lookup(o.name))
			}
		}
		if group == groupNode {
			part.AddFlag(flags.Lookup("config"))
		}
		fmt.Fprintf(&b, "\n%s:\n%s", group, part.FlagUsagesWrapped(108))
	}
	return b.String()
}

// runServer runs a node until a signal ends it, and returns nil after a graceful stop.
func runServer(ctx context.Context, s settings, io streams) error {
	log := newLogger(s, io)
	endProfile, err := startProfile()
	if err != nil {
		return err
	}
	defer endProfile()
	tuner := startGCTuner()
	defer tuner.stop()
	stop, ignore := stopSignals()
	defer ignore()
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	endFaults, err := listenForFaults(log)
	if err != nil {
		return err
	}
	defer endFaults()
	n, err := startNode(s, log, stop)
	switch {
	case errors.Is(err, cluster.ErrStopped):
		return nil
	case errors.Is(err, cluster.ErrCorrupt):
		return fmt.Errorf("%w. %s", err, damageAdvice(s.dataDir))
	case err != nil:
		return err
	}
	ready, removed := n.engine.Ready(), n.engine.Removed()
	for {
		select {
		case <-ready:
			ready = nil
			fmt.Fprint(io.out, n.greeting())
		case <-hangUps:
			n.reloadCertificates()
		case <-removed:
			removed = nil
			n.expel()
		case err := <-n.fatal:
			return err // the disk is in doubt: nothing more is written, not even a farewell
		case <-stop:
			return n.stop(ctx)
		case <-n.asked:
			return n.stop(ctx)
		}
	}
}

// echoTime: timeout(1) and terminals signal a process and its group, so that one stop may arrive twice.
const echoTime = 200 * time.Millisecond

// stopSignals returns a channel that is closed by the first SIGTERM or SIGINT. A second one, which is not
// the echo of the first, ends the process at once.
func stopSignals() (stop <-chan struct{}, ignore func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	first, over, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-signals:
			close(first)
		case <-over:
			return
		}
		for began := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(began) > echoTime {
					os.Exit(exitFailure)
				}
			case <-over:
				return
			}
		}
	}()
	return first, func() {
		signal.Stop(signals)
		close(over)
		<-ended
	}
}

func newLogger(s settings, io streams) *slog.Logger {
	o := &slog.HandlerOptions{Level: s.logLevel}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(io.err, o))
	}
	return slog.New(slog.NewTextHandler(io.err, o))
}

// plainReason is the innermost reason of a failed system call: "address already in use".
func plainReason(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}
