package commands

import (
	"math/bits"

	"github.com/redkeep/redkeep/resp"
)

// What monitoring tools ask besides INFO; see notice.go.

var statisticsRows = []Command{
	{Name: "latency", Arity: -2, Kind: KindAdmin, Group: "server", Since: "2.8.13",
		Complexity: "Depends on subcommand.", Summary: "A container for latency diagnostics commands.",
		Subs: []Command{
			{Name: "latest", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.13",
				Complexity: "O(1)", Summary: "Returns the latest latency sample of each event.",
				Tips: []string{"nondeterministic_output"}, session: latencyLatest},
			{Name: "history", Arity: 3, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.13",
				Complexity: "O(1)", Summary: "Returns the latency samples of an event.",
				Tips: []string{"nondeterministic_output"}, Args: args(argString("event")), session: latencyHistory},
			{Name: "reset", Arity: -2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.13",
				Complexity: "O(1)", Summary: "Forgets the latency samples of some events, or of all.",
				Args: args(argString("event").opt().many()), session: latencyReset},
			{Name: "graph", Arity: 3, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.13",
				Complexity: "O(1)", Summary: "Draws the latency samples of an event.",
				Tips: []string{"nondeterministic_output"}, Args: args(argString("event")), session: latencyGraph},
			{Name: "doctor", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.13",
				Complexity: "O(1)", Summary: "Tells what the latency samples mean.",
				Tips: []string{"nondeterministic_output"}, session: latencyDoctor},
			{Name: "histogram", Arity: -2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "7.0.0",
				Complexity: "O(N) where N is the number of commands with latency information.",
				Summary:    "Returns the cumulative distribution of latencies of a subset or all commands.",
				Tips:       []string{"nondeterministic_output"},
				Args:       args(argString("command").opt().many()), session: latencyHistogram},
			{Name: "help", Arity: 2, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Since: "2.8.13",
				Complexity: "O(1)", Summary: "Returns helpful text about the different subcommands.",
				session: help},
		}},
	{Name: "slowlog", Arity: -2, Kind: KindAdmin, Group: "server", Since: "2.2.12",
		Complexity: "Depends on subcommand.", Summary: "A container for slow log commands.", Subs: []Command{
			{Name: "get", Arity: -2, Kind: KindAdmin, Flags: FlagAdmin | FlagLoading | FlagStale, Since: "2.2.12",
				Complexity: "O(N) where N is the number of entries returned",
				Summary:    "Returns the slow log's entries, newest first.",
				Tips:       []string{"nondeterministic_output"},
				Args:       args(argInteger("count").opt()), session: slowlogGet},
			{Name: "len", Arity: 2, Kind: KindAdmin, Flags: FlagAdmin | FlagLoading | FlagStale, Since: "2.2.12",
				Complexity: "O(1)", Summary: "Returns the number of entries in the slow log.",
				Tips: []string{"nondeterministic_output"}, session: slowlogLen},
			{Name: "reset", Arity: 2, Kind: KindAdmin, Flags: FlagAdmin | FlagLoading | FlagStale, Since: "2.2.12",
				Complexity: "O(1)", Summary: "Clears all entries from the slow log.", session: slowlogReset},
			{Name: "help", Arity: 2, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Since: "6.2.0",
				Complexity: "O(1)", Summary: "Returns helpful text about the different subcommands.",
				session: help},
		}},
	{Name: "module", Arity: -2, Kind: KindAdmin, Group: "server", Since: "4.0.0",
		Complexity: "Depends on subcommand.", Summary: "A container for module commands.", Subs: []Command{
			{Name: "list", Arity: 2, Kind: KindAdmin, Flags: FlagAdmin | FlagNoScript, Since: "4.0.0",
				Complexity: "O(1)", Summary: "Returns all loaded modules: none.",
				Tips: []string{unstable}, session: emptyList},
			{Name: "help", Arity: 2, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Since: "5.0.0",
				Complexity: "O(1)", Summary: "Returns helpful text about the different subcommands.",
				session: help},
		}},
}

func emptyList(*call, *session) (resp.Value, error) { return resp.Array(), nil }
func latencyHistogram(c *call, _ *session) (resp.Value, error) {
	rows := c.d.table.All()
	if len(c.args) > 2 {
		rows = nil
		for _, name := range c.args[2:] {
			if row := c.d.table.find(name); row != nil {
				rows = append(rows, row)
			}
		}
	}
	out := []resp.Value{}
	for _, row := range rows {
		if st := row.stats.snapshot(row.Name); st.Calls > 0 {
			out = append(out, resp.Bulk(row.Name), resp.Map(
				resp.Bulk("calls"), resp.Int(st.Calls),
				resp.Bulk("histogram_usec"), cumulative(st.Latency)))
		}
	}
	return resp.Map(out...), nil
}

// cumulative gives, for each power of two of microseconds that adds something, the calls that took at most so
// long: Redis's form.
func cumulative(buckets []LatencyBucket) resp.Value {
	out := []resp.Value{}
	total, lastPower := int64(0), int64(-1)
	for _, b := range buckets {
		total += b.Count
		power := int64(1) << bits.Len64(uint64(max(b.UpTo.Microseconds(), 1)-1))
		if power == lastPower {
			out[len(out)-1] = resp.Int(total)
			continue
		}
		out = append(out, resp.Int(power), resp.Int(total))
		lastPower = power
	}
	return resp.Map(out...)
}
