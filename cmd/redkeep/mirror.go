package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/migrate"
)

// mirrorFlags are those of mirror.
type mirrorFlags struct {
	migrate.MirrorOptions
	stateKey     string
	passwordFile string // of the destination
	toGiven      bool
}

func newMirror(c *client) *cobra.Command {
	var o mirrorFlags
	cmd := &cobra.Command{
		Use:   "mirror DEST",
		Short: "Copy keys into another Redkeep, or into a Redis, and keep the copy up to date",
		Long: `Copy the keys of the cluster that --endpoints names into another Redkeep or a Redis (6.2 or later),
then follow every change, until interrupted. DEST is host:port, several of them with commas, or a URL such
as redis://user@host:6379/0 (rediss:// for TLS). The destination's password belongs into a file, named by
--dest-password-file: one that stands in the URL can be seen by everybody on this machine.

What the destination holds is always one revision of the source, once the first copy is complete. How far it
is stands in a key of the destination, so that a mirror that ended, in whichever way, goes on from there when
the same command is given again. A destination that is full or away is tried again until it is not.

Keys keep their deadlines. Leases stay behind; when one ends, its keys are deleted at the destination too.`,
		Args: argsBetween(1, 1, "mirror needs 1 argument: the destination"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.toGiven = cmd.Flags().Changed("dest-prefix")
			return c.mirror(cmd.Context(), args[0], o)
		},
		Annotations: noTable,
	}
	f := cmd.Flags()
	f.StringVar(&o.Prefix, "prefix", "", "only keys that begin with it")
	f.StringVar(&o.DestPrefix, "dest-prefix", "", "what they begin with there instead (default --prefix)")
	f.StringVar(&o.passwordFile, "dest-password-file", "",
		"file whose first line is the password at the destination, of the URL's user if it names one")
	f.BoolVar(&o.Replace, "replace", false, "the destination may hold keys: make them equal to the source")
	f.BoolVar(&o.Once, "once", false, "end when the destination has what the source has now")
	f.StringVar(&o.stateKey, "state-key", "redkeep:mirror", "key of the destination that says how far it is")
	f.DurationVar(&o.Every, "report", 10*time.Second, "how often a line says how far it is")
	return cmd
}

// destination reads DEST.
func (c *client) destination(text string) (nodes []*redis.Options, err error) {
	if strings.Contains(text, "://") {
		o, err := redis.ParseURL(text)
		if err != nil {
			return nil, badArgsf("destination: %w", err)
		}
		plain := c.optionsFor(o.Addr, c.timeout)
		o.PoolSize, o.MaxRetries, o.DialerRetries, o.Protocol = 1, -1, 1, 2
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = plain.DialTimeout, plain.ReadTimeout, plain.WriteTimeout
		o.DisableIdentity = true
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		return []*redis.Options{o}, nil
	}
	for _, addr := range strings.Split(text, ",") {
		if checkAddress(addr) != nil {
			return nil, badArgsf("destination %q: must be host:port or a URL redis://…", addr)
		}
		o := c.optionsFor(addr, c.timeout)
		o.Username, o.Password, o.TLSConfig = "", "", nil // those of the source are not for others to see
		nodes = append(nodes, o)
	}
	return nodes, nil
}

// withPassword gives the destination's nodes the password that a file has.
func withPassword(nodes []*redis.Options, file string) error {
	password, err := readSecret("dest-password-file", file)
	for _, o := range nodes {
		if o.Password != "" && err == nil {
			err = badArgsf("the destination has a password in its URL and one in --dest-password-file; leave one out")
		}
		o.Password = password
	}
	return err
}

func (c *client) mirror(ctx context.Context, dest string, o mirrorFlags) error {
	nodes, err := c.destination(dest)
	if err == nil && o.passwordFile != "" {
		err = withPassword(nodes, o.passwordFile)
	}
	if err != nil {
		return err
	}
	if o.Every <= 0 {
		return badArgsf("--report %v: must be above 0", o.Every)
	}
	if !o.toGiven {
		o.DestPrefix = o.Prefix
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	lines := &lockedOutput{w: c.err}
	o.Notice = func(text string) { fmt.Fprintln(lines, text) }
	target, err := migrate.OpenTarget(ctx, migrate.TargetConfig{Nodes: nodes, Key: o.stateKey, Notice: o.Notice})
	if err != nil {
		return err
	}
	defer target.Close()
	source := migrate.NewSource(c.nodes(), o.Notice)
	defer source.Close()
	return c.runMirror(ctx, source, target, o)
}

// runMirror runs the mirror and shows how far it is: a bar while it copies, then a line now and then.
func (c *client) runMirror(ctx context.Context, s *migrate.Source, t *migrate.Target, o mirrorFlags) error {
	var meter migrate.Meter
	bar := sync.OnceFunc(c.showBar("copy", func() float64 {
		if meter.Revision.Load() > 0 {
			return 1
		}
		return float64(meter.Done.Load()) / float64(max(meter.Total.Load(), 1))
	}, func() string { return fmt.Sprintf(" %d of %d keys", meter.Done.Load(), meter.Total.Load()) }))
	defer bar()
	o.Report = func() {
		if meter.Revision.Load() > 0 {
			bar()
		} else if c.terminal() != nil {
			return
		}
		fmt.Fprintln(c.out, mirrorLine(&meter))
	}
	err := migrate.Mirror(ctx, s, t, o.MirrorOptions, &meter)
	bar()
	if err == nil || meter.Revision.Load() > 0 {
		fmt.Fprintln(c.out, mirrorLine(&meter))
	}
	if errors.Is(err, context.Canceled) {
		return nil // as it was asked to
	}
	return err
}

// mirrorLine says how far a mirror is.
func mirrorLine(m *migrate.Meter) string {
	revision := m.Revision.Load()
	if revision == 0 {
		return fmt.Sprintf("copying: %d of %d keys", m.Done.Load(), m.Total.Load())
	}
	return fmt.Sprintf("at revision %d, %d behind the source; %d keys written, %d deleted", revision,
		max(0, m.Source.Load()-revision), m.Written.Load(), m.Deleted.Load())
}
