package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/migrate"
)

// importOptions are the flags that both kinds of import have.
type importOptions struct {
	migrate.ImportOptions
	stateKey string
	wait     time.Duration
}

func newImport(c *client) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import rdb|etcd FILE",
		Short: "Bring in the keys of a Redis RDB file or of an etcd snapshot",
		Long: `Bring in the keys of a Redis RDB file or of an etcd snapshot, while the cluster serves others.

The file is verified from end to end before the first key is written. An import that was interrupted goes on
where it was when the same command is given again. A store that holds keys is refused unless told otherwise.`,
		RunE: func(*cobra.Command, []string) error {
			return badArgsf("import needs to know what: `import rdb FILE` or `import etcd FILE`")
		},
	}
	cmd.AddCommand(newImportRDB(c), newImportEtcd(c))
	return cmd
}

func (o *importOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Prefix, "prefix", "", "only keys that begin with it")
	f.StringVar(&o.DestPrefix, "dest-prefix", "", "what they begin with here instead of --prefix")
	f.BoolVar(&o.Replace, "replace", false, "write over keys that are there")
	f.BoolVar(&o.Keep, "keep", false, "leave keys that are there as they are")
	f.StringVar(&o.stateKey, "state-key", "redkeep:import", "key that says, while it lasts, how far it is")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "give up when no node takes writes for so long")
	cmd.MarkFlagsMutuallyExclusive("replace", "keep")
	cmd.Annotations = noTable
}

func newImportRDB(c *client) *cobra.Command {
	var o importOptions
	var db uint64
	cmd := &cobra.Command{
		Use:   "rdb FILE",
		Short: "Bring in the strings of a Redis RDB file, with their deadlines",
		Long: `Bring in the strings of a Redis RDB file (versions 1 to 13), with their deadlines.

Other types of values, and functions, are left out and counted. A running Redis writes such a file with
"redis-cli --rdb FILE".`,
		Args: argsBetween(1, 1, "import rdb needs 1 argument: the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.importRDB(cmd.Context(), args[0], db, o)
		},
	}
	o.flags(cmd)
	cmd.Flags().Uint64Var(&db, "db", 0, "which of the file's databases")
	return cmd
}

func newImportEtcd(c *client) *cobra.Command {
	var o importOptions
	noLeases := false
	cmd := &cobra.Command{
		Use:   "etcd FILE",
		Short: "Bring in the keys and leases of an etcd snapshot",
		Long: `Bring in the keys and leases of an etcd snapshot, as "etcdctl snapshot save FILE" writes it.

Keys come as they last were, without their history. Leases keep their ids and begin anew with the time they
were granted for, as after a restore of etcd; somebody has to keep them alive. Users and roles are left out.`,
		Args: argsBetween(1, 1, "import etcd needs 1 argument: the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.importEtcd(cmd.Context(), args[0], !noLeases, o)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&noLeases, "no-leases", false, "bring in keys without their leases")
	return cmd
}

func (c *client) importRDB(ctx context.Context, path string, db uint64, o importOptions) error {
	content, err := migrate.OpenRDB(path, db)
	if err != nil {
		return err
	}
	r := importReport{Kind: "rdb", LeftOut: maps.Clone(content.Summary.Others), file: path}
	for other, n := range content.Elsewhere {
		r.LeftOut[fmt.Sprintf("string of database %d", other)] += n
	}
	if n := content.Summary.Functions; n > 0 {
		r.LeftOut["function library"] = n
	}
	if !content.Summary.Summed {
		c.say("the file carries no checksum: Redis was told not to write one; damage cannot be told from data")
	}
	return c.importContent(ctx, content, o, &r)
}

func (c *client) importEtcd(ctx context.Context, path string, leases bool, o importOptions) error {
	content, err := migrate.OpenEtcd(path, leases)
	if err != nil {
		return err
	}
	defer content.Close()
	r := importReport{Kind: "etcd", LeftOut: map[string]int64{}, file: path, SourceRevision: content.Revision}
	if content.Users > 0 {
		r.LeftOut["user"] = int64(content.Users)
	}
	if content.Roles > 0 {
		r.LeftOut["role"] = int64(content.Roles)
	}
	if !content.Summed {
		c.say("the file carries no checksum: it is a copy of a database; damage cannot be told from data")
	}
	return c.importContent(ctx, content, o, &r)
}

// say tells the user something beside the result.
func (c *client) say(text string) { fmt.Fprintln(c.err, text) }

// importContent runs an import and prints what became of the file.
func (c *client) importContent(ctx context.Context, content migrate.Content, o importOptions,
	r *importReport,
) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	target, err := migrate.OpenTarget(ctx, migrate.TargetConfig{
		Nodes: c.nodes(), Key: o.stateKey, Wait: o.wait, Notice: c.say})
	if err != nil {
		return err
	}
	defer target.Close()
	o.Resumed = func(done int64) {
		c.say(fmt.Sprintf("going on behind string %d of %d: an earlier import came so far", done, content.Total()))
	}
	var meter migrate.Meter
	began := time.Now()
	ended := c.showBar("import "+r.Kind, func() float64 {
		return float64(meter.Done.Load()) / float64(max(meter.Total.Load(), 1))
	}, func() string {
		return fmt.Sprintf(" %d keys, %.0f/s", meter.Written.Load(),
			float64(meter.Written.Load())/time.Since(began).Seconds())
	})
	result, err := migrate.Import(ctx, target, content, o.ImportOptions, &meter)
	ended()
	if err != nil {
		return err
	}
	r.take(result, time.Since(began))
	return c.print(r)
}

// nodes are the endpoints, for a part that tries them by itself.
func (c *client) nodes() (all []*redis.Options) {
	for _, e := range c.endpoints {
		all = append(all, c.optionsFor(e, c.timeout))
	}
	return all
}

// importReport is what became of a file; the tags are the names of the JSON line.
type importReport struct {
	Kind           string           `json:"kind"`
	Imported       int64            `json:"imported"`
	Kept           int64            `json:"kept,omitempty"`
	Expired        int64            `json:"expired,omitempty"`
	Other          int64            `json:"other_prefix,omitempty"`
	Leases         int64            `json:"leases,omitempty"`
	SourceRevision int64            `json:"source_revision,omitempty"`
	LeftOut        map[string]int64 `json:"left_out"`
	Seconds        float64          `json:"seconds"`
	file           string
}

func (r *importReport) take(result migrate.ImportResult, took time.Duration) {
	r.Imported, r.Kept, r.Other, r.Leases = result.Written, result.Kept, result.Other, result.Leases
	r.Expired = result.Expired + result.Ended
	r.Seconds = took.Seconds()
}

// MarshalJSON implements json.Marshaler.
func (r *importReport) MarshalJSON() ([]byte, error) {
	type plain importReport
	return json.Marshal((*plain)(r))
}

func (r *importReport) simple(p *page) {
	p.line("imported %d keys from %s in %.1f s", r.Imported, r.file, r.Seconds)
	for _, l := range []struct {
		n    int64
		text string
	}{
		{r.Leases, "leases granted, each for its full time"},
		{r.Kept, "keys were there already and stay as they were"},
		{r.Expired, "keys had expired"}, {r.Other, "keys do not begin with the prefix"},
	} {
		if l.n > 0 {
			p.line("  %d %s", l.n, l.text)
		}
	}
	if len(r.LeftOut) > 0 {
		p.line("left out, because there is no such thing here:")
	}
	for _, kind := range slices.Sorted(maps.Keys(r.LeftOut)) {
		p.line("  %d %s", r.LeftOut[kind], kind)
	}
}

func (r *importReport) fields(p *page) {
	p.field("Imported", r.Imported)
	p.field("Kept", r.Kept)
	p.field("Expired", r.Expired)
	p.field("OtherPrefix", r.Other)
	p.field("Leases", r.Leases)
	for _, kind := range slices.Sorted(maps.Keys(r.LeftOut)) {
		p.field("LeftOut "+kind, r.LeftOut[kind])
	}
}
