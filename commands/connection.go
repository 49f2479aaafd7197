package commands

import (
	"strconv"
	"time"

	"github.com/redkeep/redkeep/resp"
	"github.com/redkeep/redkeep/script"
)

// ServerVersion is the Redis version announced to clients, the same that scripts see.
const ServerVersion = script.RedisVersion

// handshake are the flags of commands that must always work, quorum or not.
const handshake = FlagNoScript | FlagLoading | FlagStale | FlagFast | FlagNoAuth | FlagAllowBusy

var connectionRows = []Command{
	{Name: "ping", Arity: -1, Flags: FlagFast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the server's liveliness response.",
		Args:    args(argString("message").opt()), session: ping, subscribed: true},
	{Name: "echo", Arity: 2, Flags: FlagLoading | FlagStale | FlagFast, Group: "connection", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Returns the given string.",
		Args: args(argString("message")), session: echo},
	{Name: "hello", Arity: -1, Flags: handshake, Group: "connection", Since: "6.0.0", Complexity: "O(1)",
		Summary: "Handshakes with the server.",
		Args: args(argBlock("arguments", argInteger("protover"),
			argBlock("auth", argString("username"), argString("password")).after("AUTH").opt(),
			argString("clientname").after("SETNAME").opt()).opt()),
		block: hello, hidden: true},
	{Name: "auth", Arity: -2, Flags: handshake, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Authenticates the connection.",
		Args:    args(argString("username").opt().from("6.0.0"), argString("password")), block: auth,
		hidden: true},
	{Name: "quit", Arity: -1, Flags: handshake, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Closes the connection.", session: quit, inMulti: servedInMulti, subscribed: true},
	{Name: "reset", Arity: 1, Flags: handshake, Group: "connection", Since: "6.2.0", Complexity: "O(1)",
		Summary: "Resets the connection.", session: reset, inMulti: servedInMulti, subscribed: true},
	{Name: "select", Arity: 2, Flags: FlagLoading | FlagStale | FlagFast, Group: "connection", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Changes the selected database; there is one, 0.",
		Args: args(argInteger("index")), session: selectDB},
	{Name: "time", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast, Group: "server", Since: "2.6.0",
		Complexity: "O(1)", Summary: "Returns the server time.", Tips: []string{"nondeterministic_output"},
		session: serverTime},
	{Name: "readonly", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast, Group: "cluster", Since: "3.0.0",
		Categories: CatConnection, Complexity: "O(1)",
		Summary: "Answers this connection's reads from this node's own state, which may lag behind.",
		session: readonly},
	{Name: "readwrite", Arity: 1, Flags: FlagLoading | FlagStale | FlagFast, Group: "cluster", Since: "3.0.0",
		Categories: CatConnection, Complexity: "O(1)",
		Summary: "Makes this connection's reads linearizable again.", session: readwrite},
	{Name: "asking", Arity: 1, Flags: FlagFast, Group: "cluster", Since: "3.0.0", Categories: CatConnection,
		Complexity: "O(1)", Summary: "Accepted for cluster clients; slots never move here.", session: asking},
}

func ping(c *call, s *session) (resp.Value, error) {
	if len(c.args) <= 2 && s.subscriberMode() {
		return pong(c), nil
	}
	switch len(c.args) {
	case 1:
		return resp.Simple("PONG"), nil
	case 2:
		return resp.BulkBytes(c.args[1]), nil
	default:
		return resp.Value{}, errArity("ping")
	}
}

func echo(c *call, _ *session) (resp.Value, error) { return resp.BulkBytes(c.args[1]), nil }

func quit(_ *call, s *session) (resp.Value, error) {
	s.closing = true
	return resp.OK(), nil
}

func reset(c *call, s *session) (resp.Value, error) {
	s.endSubscriptions(c.d)
	c.d.monitors.remove(s.id)
	s.unstakeAll(listMonitor)
	s.reset()
	s.arrive(c.d)
	return resp.Simple("RESET"), nil
}

func readonly(c *call, s *session) (resp.Value, error) {
	s.follows = c.d.cfg.ClusterProtocol
	s.setLocal(true)
	return resp.OK(), nil
}

func readwrite(c *call, s *session) (resp.Value, error) {
	s.follows = c.d.cfg.ClusterProtocol
	s.setLocal(false)
	return resp.OK(), nil
}

func asking(c *call, s *session) (resp.Value, error) {
	s.follows = c.d.cfg.ClusterProtocol
	return resp.OK(), nil
}

func selectDB(c *call, _ *session) (resp.Value, error) {
	index, err := integer(c.args[1])
	if err != nil {
		return resp.Value{}, err
	}
	if index != 0 {
		return resp.Value{}, errDBIndex
	}
	return resp.OK(), nil
}

func serverTime(c *call, _ *session) (resp.Value, error) {
	now := c.d.cfg.Clock()
	if c.now != 0 {
		now = time.UnixMilli(int64(c.now))
	}
	return resp.Array(
		resp.Bulk(strconv.FormatInt(now.Unix(), 10)),
		resp.Bulk(strconv.Itoa(now.Nanosecond()/1000)),
	), nil
}

// helloRole is "master" on the leader. Every node takes writes; this only tells where they are shortest.
func (d *Dispatcher) helloRole() string {
	if d.engine.Status().IsLeader {
		return "master"
	}
	return "replica"
}

// printable reports whether b may be a client's name: the line of CLIENT LIST is split at spaces.
func printable(b []byte) bool {
	for _, c := range b {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}
