package commands

import (
	"strconv"
	"time"

	"github.com/redkeep/redkeep/resp"
)

// ServerVersion is the Redis version announced to clients, which choose features by it: 8.4 is the newest
// whose commands are all here or refused in the way those clients expect.
const ServerVersion = "8.4.0"

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
		session: hello, hidden: true},
	{Name: "auth", Arity: -2, Flags: handshake, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Authenticates the connection.",
		Args:    args(argString("username").opt().from("6.0.0"), argString("password")), session: auth,
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
	s.reset()
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

func auth(c *call, _ *session) (resp.Value, error) {
	switch len(c.args) {
	case 2:
		return resp.Value{}, errNoPassword
	case 3:
		return resp.OK(), checkUser(c.args[1])
	default:
		return resp.Value{}, errSyntax
	}
}

// checkUser lets in the default user, who has no password and so takes any.
func checkUser(name []byte) error {
	if string(name) != "default" {
		return errWrongPass
	}
	return nil
}

// helloOptions is a parsed HELLO; proto 0 keeps the protocol, name nil the name.
type helloOptions struct {
	proto int
	name  []byte
}

func parseHello(c *call) (o helloOptions, err error) {
	if len(c.args) < 2 {
		return o, nil
	}
	proto, ok := parseInt(c.args[1])
	switch {
	case !ok:
		return o, errProtoNotInt
	case proto != 2 && proto != 3:
		return o, errNoProto
	}
	o.proto = int(proto)
	for w := c.options(2); w.more(); {
		option := w.next()
		switch {
		case is(option, "AUTH") && w.at+2 <= len(w.args):
			if err := checkUser(w.next()); err != nil {
				return o, err
			}
			w.next()
		case is(option, "SETNAME") && w.more():
			if o.name = w.next(); !printable(o.name) {
				return o, errClientName
			}
		default:
			return o, errHelloOption(option)
		}
	}
	return o, nil
}

func hello(c *call, s *session) (resp.Value, error) {
	o, err := parseHello(c)
	if err != nil {
		return resp.Value{}, err
	}
	if o.name != nil {
		name := string(o.name)
		s.label(func(l *labels) { l.name = name })
	}
	if o.proto != 0 {
		s.proto = o.proto
	}
	fields := []resp.Value{
		resp.Bulk("server"), resp.Bulk("redis"),
		resp.Bulk("version"), resp.Bulk(ServerVersion),
		resp.Bulk("proto"), resp.Int(int64(s.proto)),
		resp.Bulk("id"), resp.Int(int64(s.id)),
		resp.Bulk("mode"), resp.Bulk(c.d.mode()),
	}
	if c.d.cfg.Sentinel == nil {
		fields = append(fields, resp.Bulk("role"), resp.Bulk(c.d.helloRole()))
	}
	return resp.Map(append(fields, resp.Bulk("modules"), resp.Array())...), nil
}

// mode is what HELLO and INFO call this server.
func (d *Dispatcher) mode() string {
	switch {
	case d.cfg.Sentinel != nil:
		return "sentinel"
	case d.cfg.ClusterProtocol:
		return "cluster"
	default:
		return "standalone"
	}
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
