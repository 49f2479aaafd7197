package commands

import (
	"slices"
	"strconv"

	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

var configRows = []Command{
	{Name: "config", Arity: -2, Kind: KindAdmin, Group: "server", Since: "2.0.0",
		Complexity: "Depends on subcommand.", Summary: "A container for server configuration commands.",
		Subs: []Command{
			{Name: "get", Arity: -3, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.0.0",
				Complexity: "O(N) when N is the number of configuration parameters provided",
				Summary:    "Returns the effective values of configuration parameters.",
				Args:       args(argString("parameter").many()), session: configGet},
			{Name: "set", Arity: -4, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.0.0",
				Complexity: "O(N) when N is the number of configuration parameters provided",
				Summary:    "Sets configuration parameters of this node in-flight.",
				Args:       args(argBlock("data", argString("parameter"), argString("value")).many()),
				session:    configSet},
			{Name: "resetstat", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.0.0",
				Complexity: "O(1)", Summary: "Resets the server's statistics.", session: configResetStat},
			{Name: "rewrite", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.0",
				Complexity: "O(1)", Summary: "Refused: the effective configuration is never written back.",
				session: configRewrite},
			{Name: "help", Arity: 2, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Since: "5.0.0",
				Complexity: "O(1)", Summary: "Returns helpful text about the different subcommands.",
				session: help},
		}},
}

// parameter is one Redis parameter that clients read, with the value that is true of this server.
type parameter struct{ name, value string }

// maxBulkBytes is Redis's default of proto-max-bulk-len, the most --max-request-bytes can be.
const maxBulkBytes = 512 << 20

// parameters are all parameters, sorted by name.
func (d *Dispatcher) parameters() []parameter {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []parameter{
		{"appendfsync", "always"},
		{"appendonly", "yes"},
		{"client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 33554432 8388608 60"},
		{"cluster-enabled", "no"},
		{"databases", "1"},
		{"dir", d.cfg.DataDir},
		{"hz", "10"},
		{"io-threads", "1"},
		{"latency-tracking", "yes"},
		{"maxclients", number(int64(d.cfg.MaxClients))},
		{"maxmemory", number(d.cfg.QuotaBytes)},
		{"maxmemory-policy", "noeviction"},
		{"notify-keyspace-events", d.engine.Hub().Notify().String()},
		{"port", number(int64(d.cfg.ClientPort))},
		{"proto-max-bulk-len", number(min(d.cfg.MaxRequestBytes, maxBulkBytes))},
		{"repl-backlog-size", "0"},
		{"requirepass", ""},
		{"save", ""},
		{"slowlog-log-slower-than", "-1"},
		{"slowlog-max-len", "0"},
		{"tcp-keepalive", "15"},
		{"timeout", "0"},
		{"tracking-table-max-keys", number(int64(d.engine.Hub().Tracker().Limit()))},
	}
}

func configGet(c *call, _ *session) (resp.Value, error) {
	out := []resp.Value{}
	for _, p := range c.d.parameters() {
		if name, ok := askedFor(c.args[2:], p.name); ok {
			out = append(out, resp.Bulk(name), resp.Bulk(p.value))
		}
	}
	return resp.Map(out...), nil
}

// askedFor finds a parameter among names and patterns. Redis answers with a name as it was spelled.
func askedFor(wanted [][]byte, name string) (shown string, ok bool) {
	for _, w := range wanted {
		switch {
		case lower(string(w)) == name:
			return string(w), true
		case matchGlob(lower(string(w)), name):
			return name, true
		}
	}
	return "", false
}

// changeable are the parameters that CONFIG SET changes, on this member and until it restarts. An error ends
// the error text.
var changeable = map[string]func(d *Dispatcher, value string) error{
	"notify-keyspace-events": func(d *Dispatcher, value string) error {
		n, ok := pubsub.ParseNotify(value)
		if !ok {
			return errNotifyClass
		}
		d.engine.Hub().SetNotify(n)
		return nil
	},
	"tracking-table-max-keys": func(d *Dispatcher, value string) error {
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return errConfigNumber
		}
		d.engine.Hub().Tracker().SetLimit(int(n))
		return nil
	},
}

// configSet refuses most changes. Setting a parameter to the value it has is not one, so frameworks that set
// what they need at start get through where the server already is as they need it.
func configSet(c *call, _ *session) (resp.Value, error) {
	if len(c.args)%2 != 0 {
		return resp.Value{}, errSyntax
	}
	all := c.d.parameters()
	for i := 2; i < len(c.args); i += 2 {
		name := lower(string(c.args[i]))
		at := slices.IndexFunc(all, func(p parameter) bool { return p.name == name })
		if at < 0 {
			return resp.Value{}, errConfigUnknown(c.args[i])
		}
		if change := changeable[name]; change != nil {
			if err := change(c.d, string(c.args[i+1])); err != nil {
				return resp.Value{}, errConfigFailed(name, err.Error())
			}
			continue
		}
		if all[at].value != string(c.args[i+1]) {
			return resp.Value{}, errConfigFailed(name, errSetImmutable)
		}
	}
	return resp.OK(), nil
}

func configResetStat(c *call, _ *session) (resp.Value, error) {
	c.d.resetStatistics()
	return resp.OK(), nil
}

func configRewrite(*call, *session) (resp.Value, error) { return resp.Value{}, errConfigRewrite }
