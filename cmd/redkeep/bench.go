package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"
)

type benchOptions struct {
	kind      string // set, get or mixed
	clients   int
	pipeline  int
	valueSize int
	keySpace  int
	reads     int // per cent, of mixed
	requests  int64
	duration  time.Duration
	multi     bool // each pipeline is a transaction
}

func newBench(c *client) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench set|get|mixed",
		Short: "Measure throughput and latency",
		Long: `Measure throughput and latency: SET and GET of random keys named bench:<12 digits>.

Every client has one connection, to the endpoints in turn, and sends the next pipeline when the last is
answered. Latency is that of a whole pipeline. GET of keys that no "bench set" with this --key-space wrote
counts as missing. The keys stay in the store.`,
		Annotations: noTable,
		ValidArgs:   []string{"set", "get", "mixed"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return badArgsf("bench command needs one argument: set, get or mixed")
			}
			o.kind = args[0]
			return c.bench(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.clients, "clients", 50, "connections")
	f.IntVar(&o.pipeline, "pipeline", 1, "requests sent at once")
	f.BoolVar(&o.multi, "multi", false, "send each pipeline between MULTI and EXEC")
	f.IntVar(&o.valueSize, "value-size", 128, "bytes of a value")
	f.IntVar(&o.keySpace, "key-space", 100_000, "number of different keys")
	f.IntVar(&o.reads, "reads", 80, "per cent of GET, for mixed")
	f.Int64Var(&o.requests, "requests", 100_000, "requests in all")
	f.DurationVar(&o.duration, "duration", 0, "run so long instead")
	cmd.MarkFlagsMutuallyExclusive("requests", "duration")
	return cmd
}

func (o benchOptions) check() error {
	limits := []struct {
		name             string
		value, low, high int
	}{
		{"clients", o.clients, 1, 100_000}, {"pipeline", o.pipeline, 1, 100_000},
		{"value-size", o.valueSize, 0, 32 << 20}, {"key-space", o.keySpace, 1, 1_000_000_000},
		{"reads", o.reads, 0, 100}, {"requests", int(o.requests), 1, 1 << 40},
	}
	for _, l := range limits {
		if l.value < l.low || l.value > l.high {
			return badArgsf("--%s %d: must be %d to %d", l.name, l.value, l.low, l.high)
		}
	}
	if o.kind != "set" && o.kind != "get" && o.kind != "mixed" {
		return badArgsf("unknown benchmark %q: use set, get or mixed", o.kind)
	}
	if o.duration < 0 {
		return badArgsf("--duration %v: must be above 0", o.duration)
	}
	return nil
}

func (c *client) bench(ctx context.Context, o benchOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	load, err := c.newLoad(ctx, o)
	if err != nil {
		return err
	}
	defer load.close()
	stop := c.showBar(o.kind, load.progress, func() string { return fmt.Sprintf(" %.0f/s", load.rate()) })
	r, err := load.run(ctx)
	stop()
	if err != nil {
		return err
	}
	if err := c.print(benchReport(o, len(c.endpoints), r)); err != nil || r.errors == 0 {
		return err
	}
	return fmt.Errorf("%d requests got an error: %s", r.errors, r.lastError)
}

// benchResult is one run's report; the tags are the names of the JSON line.
type benchResult struct {
	Bench     string             `json:"bench"`
	Clients   int                `json:"clients"`
	Pipeline  int                `json:"pipeline"`
	Multi     bool               `json:"multi"`
	ValueSize int                `json:"value_size"`
	KeySpace  int                `json:"key_space"`
	Endpoints int                `json:"endpoints"`
	Requests  int64              `json:"requests"`
	Errors    int64              `json:"errors"`
	Missing   int64              `json:"missing"`
	Seconds   float64            `json:"seconds"`
	PerSecond float64            `json:"per_second"`
	LatencyMS map[string]float64 `json:"latency_ms"`
}

var percentiles = []float64{50, 75, 90, 95, 99, 99.9, 100}

func percentileName(q float64) string {
	if q == 100 {
		return "max"
	}
	return fmt.Sprintf("p%v", q)
}

func benchReport(o benchOptions, endpoints int, t tally) benchResult {
	r := benchResult{
		Bench: o.kind, Clients: o.clients, Pipeline: o.pipeline, Multi: o.multi, ValueSize: o.valueSize,
		KeySpace: o.keySpace, Endpoints: endpoints, Requests: t.requests, Errors: t.errors, Missing: t.missing,
		Seconds: t.took.Seconds(), PerSecond: float64(t.requests-t.errors) / t.took.Seconds(),
		LatencyMS: map[string]float64{"mean": t.latency.Mean() / 1000},
	}
	for _, q := range percentiles {
		r.LatencyMS[percentileName(q)] = milliseconds(t.latency, q)
	}
	return r
}

func milliseconds(h *hdrhistogram.Histogram, q float64) float64 {
	return float64(h.ValueAtQuantile(q)) / 1000
}

func (r benchResult) simple(p *page) {
	together := "pipeline"
	if r.Multi {
		together = "transactions of"
	}
	p.line("%s: %d requests, %d clients, %s %d, %d-byte values, %d keys, %d endpoint(s)",
		r.Bench, r.Requests, r.Clients, together, r.Pipeline, r.ValueSize, r.KeySpace, r.Endpoints)
	p.line("  throughput  %.0f requests/s over %.2f s", r.PerSecond, r.Seconds)
	fmt.Fprint(p, "  latency ms ")
	for _, q := range percentiles {
		fmt.Fprintf(p, " %s %.3f ", percentileName(q), r.LatencyMS[percentileName(q)])
	}
	p.line("")
	if r.Missing > 0 {
		p.line("  missing     %d keys had no value", r.Missing)
	}
}

func (r benchResult) fields(p *page) {
	all, _ := json.Marshal(r)
	var flat map[string]any
	_ = json.Unmarshal(all, &flat)
	for _, name := range []string{"bench", "clients", "pipeline", "multi", "value_size", "key_space",
		"endpoints", "requests", "errors", "missing", "seconds", "per_second"} {
		p.field(name, flat[name])
	}
	for _, q := range percentiles {
		p.field("latency_ms_"+percentileName(q), r.LatencyMS[percentileName(q)])
	}
}
