package commands

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
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
				Summary:    "Sets parameters of this node until it stops, or the cluster's requirepass; few can change.",
				Args:       args(argBlock("data", argString("parameter"), argString("value")).many()),
				block:      configSet, hidden: true},
			{Name: "resetstat", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.0.0",
				Complexity: "O(1)", Summary: "Resets the server's statistics.", session: configResetStat},
			{Name: "rewrite", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.8.0",
				Complexity: "O(1)", Summary: "Writes what CONFIG SET has changed into the file of --config.",
				session: configRewrite},
			{Name: "help", Arity: 2, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Since: "5.0.0",
				Complexity: "O(1)", Summary: "Returns helpful text about the different subcommands.",
				session: help},
		}},
}

// parameter is one Redis parameter that clients read, with the value that is true of this server. One that
// has set can be changed, on this node and until it stops, to an integer from low to high.
type parameter struct {
	name, value string
	low, high   int64
	set         func(n int64)
	parse       func(value string) (set func(), err error) // for what is no number

	cluster func(s *session, wait waiting, value string) error // for what is no parameter of this node
}

// TLSParameters is what CONFIG GET tells of TLS: names and numbers, never what is in a file.
type TLSParameters struct {
	Port                      int
	CertFile, KeyFile, CAFile string
	AuthClients               string // as Redis has it: yes, no or optional
	Protocols                 string
}

// parameters are those with Redis's names.
func (p *TLSParameters) parameters() []parameter {
	auth, protocols := cmp.Or(p.AuthClients, "no"), cmp.Or(p.Protocols, "TLSv1.2 TLSv1.3")
	return []parameter{
		{name: "tls-auth-clients", value: auth}, {name: "tls-ca-cert-file", value: p.CAFile},
		{name: "tls-cert-file", value: p.CertFile}, {name: "tls-key-file", value: p.KeyFile},
		{name: "tls-port", value: strconv.Itoa(p.Port)}, {name: "tls-protocols", value: protocols},
	}
}

// hiddenPassword stands for a password that is set. Setting it is no change, so that what was read can be
// written back.
const hiddenPassword = "(hidden)"

// requirePass is the parameter that is the default user's password.
func (d *Dispatcher) requirePass() parameter {
	p := parameter{name: "requirepass", value: hiddenPassword, cluster: d.setDefaultPassword}
	if d.directory().accounts[defaultUser].NoPass {
		p.value = ""
	}
	return p
}

// setDefaultPassword gives the default user a password, its only one, or none if it is empty; on all members.
func (d *Dispatcher) setDefaultPassword(s *session, wait waiting, password string) error {
	rules := []string{"resetpass", ">" + password}
	if password == "" {
		rules = []string{"nopass"}
	}
	_, done, err := d.changeUsers(s, wait, func(dir *directory) ([]raftfsm.UserChange, resp.Value, error) {
		u := dir.accounts[defaultUser].Clone()
		if err := u.Apply(d.table.catalog, d.users.secrets, rules); err != nil {
			return nil, resp.Value{}, errRule(err)
		}
		rec := raftfsm.UserRecord{Name: defaultUser, Rules: u.Rules()}
		return []raftfsm.UserChange{{UserRecord: rec}}, resp.OK(), nil
	})
	d.auditUsers(s, done, "user changed", append([]string{defaultUser}, withoutSecrets(rules)...))
	return err
}

// outputLimits are Redis's classes. A reply is made while it is written, so there is nothing to limit for
// clients without subscriptions.
func (d *Dispatcher) outputLimits() string {
	most := cmp.Or(d.cfg.PushLimits, resp.PubSubLimits)
	return fmt.Sprintf("normal 0 0 0 slave 0 0 0 pubsub %d %d %d", most.Hard, most.Soft, int(most.For.Seconds()))
}

// absoluteDir is the data directory as Redis shows dir, for programs that run elsewhere.
func (d *Dispatcher) absoluteDir() string {
	if dir, err := filepath.Abs(d.cfg.DataDir); err == nil {
		return dir
	}
	return d.cfg.DataDir
}

// maxBulkBytes is Redis's default of proto-max-bulk-len, the most --max-request-bytes can be.
const maxBulkBytes = 512 << 20

// longestBulk bounds how far a write may make a value longer than what is in it: a request of a few bytes
// must not cost every member half a gigabyte, for good, since the log repeats it at each start.
func (d *Dispatcher) longestBulk() int64 { return min(d.cfg.MaxRequestBytes, maxBulkBytes) }

// parameters are all parameters, sorted by name.
func (d *Dispatcher) parameters() []parameter {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	enabled := "no"
	if d.cfg.ClusterProtocol {
		enabled = "yes"
	}
	all := []parameter{
		{name: "appendfsync", value: "always"},
		{name: "appendonly", value: "yes"},
		{name: "client-output-buffer-limit", value: d.outputLimits()},
		{name: "cluster-enabled", value: enabled},
		{name: "databases", value: "1"},
		{name: "dir", value: d.absoluteDir()},
		{name: "hz", value: "10"},
		{name: "io-threads", value: "1"},
		{name: "latency-monitor-threshold", value: number(d.latency.threshold.Load()),
			high: math.MaxInt64, set: d.latency.threshold.Store},
		{name: "latency-tracking", value: "yes"},
		{name: "maxclients", value: number(int64(d.cfg.MaxClients))},
		{name: "maxmemory", value: number(d.cfg.QuotaBytes)},
		{name: "maxmemory-policy", value: "noeviction"},
		{name: "notify-keyspace-events", value: d.hub.Notify().String(), parse: d.parseNotify},
		{name: "port", value: number(int64(d.cfg.ClientPort))},
		{name: "proto-max-bulk-len", value: number(d.longestBulk())},
		{name: "repl-backlog-size", value: "0"},
		d.requirePass(),
		{name: "save", value: ""},
		{name: "slowlog-log-slower-than", value: number(d.slow.threshold.Load()),
			low: -1, high: math.MaxInt64, set: d.slow.threshold.Store},
		{name: "slowlog-max-len", value: number(d.slow.room.Load()), high: slowLogMostRoom, set: d.slow.resize},
		{name: "tcp-keepalive", value: "15"},
		{name: "timeout", value: "0"},
		{name: "tracking-table-max-keys", value: number(int64(d.hub.Tracker().Limit())),
			high: math.MaxInt32, set: func(n int64) { d.hub.Tracker().SetLimit(int(n)) }},
	}
	all = append(all, d.cfg.TLS.parameters()...)
	slices.SortFunc(all, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	return all
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

// configSet changes all parameters or none. Setting one to the value it has is no change, so frameworks that
// set what they need at start get through where the server already is as they need it. What is the cluster's
// is changed first: only that can fail.
func configSet(c *call, s *session, wait waiting) (resp.Value, error) {
	if len(c.args)%2 != 0 {
		return resp.Value{}, errSyntax
	}
	all := c.d.parameters()
	var changes []func()
	var ofCluster []func() error
	seen := map[string]bool{}
	for i := 2; i < len(c.args); i += 2 {
		name := lower(string(c.args[i]))
		at := slices.IndexFunc(all, func(p parameter) bool { return p.name == name })
		switch {
		case at < 0:
			return resp.Value{}, errConfigUnknown(c.args[i])
		case seen[name]:
			return resp.Value{}, errConfigFailed(name, errSetTwice)
		}
		seen[name] = true
		p, value := &all[at], string(c.args[i+1])
		if p.cluster != nil && p.value != value {
			ofCluster = append(ofCluster, func() error { return p.cluster(s, wait, value) })
			continue
		}
		change, err := p.change(value)
		if err != nil {
			return resp.Value{}, err
		}
		changes = append(changes, change)
	}
	for _, change := range ofCluster {
		if err := change(); err != nil {
			return resp.Value{}, err
		}
	}
	for _, change := range changes {
		change()
	}
	return resp.OK(), nil
}

// change checks a new value and returns what makes it the parameter's.
func (p *parameter) change(value string) (func(), error) {
	switch {
	case p.value == value:
		return func() {}, nil
	case p.parse != nil:
		return p.parse(value)
	case p.set == nil:
		return nil, errConfigFailed(p.name, errSetImmutable)
	}
	n, ok := parseInt([]byte(value))
	switch {
	case !ok:
		return nil, errConfigFailed(p.name, errSetInteger)
	case n < p.low || n > p.high:
		return nil, errConfigFailed(p.name, fmt.Sprintf(errSetRange, p.low, p.high))
	}
	return func() { p.set(n) }, nil
}

func (d *Dispatcher) parseNotify(value string) (func(), error) {
	classes, ok := pubsub.ParseNotify(value)
	if !ok {
		return nil, errConfigFailed("notify-keyspace-events", errNotifyClass)
	}
	return func() { d.hub.SetNotify(classes) }, nil
}

func configResetStat(c *call, _ *session) (resp.Value, error) {
	c.d.resetStatistics()
	return resp.OK(), nil
}

// Setting is a parameter that CONFIG SET can change, by its name in the configuration file.
type Setting struct{ Name, Value string }

func configRewrite(c *call, _ *session) (resp.Value, error) {
	if c.d.cfg.Rewrite == nil {
		return resp.Value{}, errConfigRewrite
	}
	var now []Setting
	for _, p := range c.d.parameters() {
		if p.set != nil || p.parse != nil {
			now = append(now, Setting{p.name, p.value})
		}
	}
	if err := c.d.cfg.Rewrite(now); err != nil {
		return resp.Value{}, errConfigUnwritten(err)
	}
	return resp.OK(), nil
}
