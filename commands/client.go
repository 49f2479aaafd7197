package commands

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/resp"
)

const (
	clientFlags      = FlagNoScript | FlagLoading | FlagStale
	clientAdminFlags = clientFlags | FlagAdmin
)

var clientRows = []Command{
	{Name: "client", Arity: -2, Group: "connection", Since: "2.4.0", Complexity: "Depends on subcommand.",
		Summary: "A container for client connection commands.", Subs: []Command{
			{Name: "id", Arity: 2, Flags: clientFlags, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Returns the unique client ID of the connection.", session: clientID},
			{Name: "getname", Arity: 2, Flags: clientFlags, Since: "2.6.9", Complexity: "O(1)",
				Summary: "Returns the name of the connection.", session: clientGetName},
			{Name: "setname", Arity: 3, Flags: clientFlags, Since: "2.6.9", Complexity: "O(1)",
				Summary: "Sets the connection name.",
				Args:    args(argString("connection-name")), session: clientSetName},
			{Name: "setinfo", Arity: 4, Flags: clientFlags, Since: "7.2.0", Complexity: "O(1)",
				Summary: "Sets information specific to the client or connection.",
				Args: args(argOneOf("attr", argString("libname").after("LIB-NAME"),
					argString("libver").after("LIB-VER"))), session: clientSetInfo},
			{Name: "info", Arity: 2, Flags: clientFlags, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Returns information about the connection.",
				Tips:    []string{"nondeterministic_output"}, session: clientInfo},
			{Name: "list", Arity: -2, Flags: clientAdminFlags, Since: "2.4.0",
				Complexity: "O(N) where N is the number of client connections",
				Summary:    "Lists open connections.", Tips: []string{"nondeterministic_output"},
				Args: args(clientTypeArg.opt().from("5.0.0"),
					argBlock("id", argInteger("client-id").many()).after("ID").opt().from("6.2.0")),
				session: clientList},
			{Name: "kill", Arity: -3, Flags: clientAdminFlags, Since: "2.4.0",
				Complexity: "O(N) where N is the number of client connections",
				Summary:    "Terminates open connections.",
				Args: args(argOneOf("filter", argString("old-format"), argOneOf("new-format",
					argInteger("client-id").after("ID").opt(), clientTypeArg.opt(),
					argString("username").after("USER").opt(), argString("addr").after("ADDR").opt(),
					argString("laddr").after("LADDR").opt(), argInteger("maxage").after("MAXAGE").opt(),
					argOneOf("skipme", argToken("YES"), argToken("NO")).after("SKIPME").opt()).many())),
				session: clientKill, audited: true},
			{Name: "pause", Arity: -3, Kind: KindAdmin, Flags: clientAdminFlags, Since: "2.9.50", Complexity: "O(1)",
				Summary: "Holds up the commands of all connections of this node for some time.",
				Args: args(argInteger("timeout"), argOneOf("mode", argToken("WRITE"), argToken("ALL")).opt().
					from("6.2.0")), session: clientPause},
			{Name: "unpause", Arity: 2, Kind: KindAdmin, Flags: clientAdminFlags, Since: "6.2.0",
				Complexity: "O(N) where N is the number of connections held up",
				Summary:    "Lets all connections go on.", session: clientUnpause},
			{Name: "reply", Arity: 3, Flags: clientFlags, Since: "3.2.0", Complexity: "O(1)",
				Summary: "Tells the server whether to reply to the commands of the connection.",
				Args:    args(argOneOf("action", argToken("ON"), argToken("OFF"), argToken("SKIP"))),
				session: clientReply},
			{Name: "unblock", Arity: -3, Kind: KindAdmin, Flags: clientAdminFlags, Since: "5.0.0",
				Complexity: "O(N) where N is the number of client connections",
				Summary:    "Ends the waiting of another connection.",
				Args: args(argInteger("client-id"), argOneOf("unblock-type", argToken("TIMEOUT"),
					argToken("ERROR")).opt()), session: clientUnblock},
			{Name: "no-evict", Arity: 3, Flags: clientAdminFlags, Since: "7.0.0", Complexity: "O(1)",
				Summary: "Accepted; clients are never evicted here.", Args: args(argOnOff("enabled")),
				session: clientNoEvict},
			{Name: "no-touch", Arity: 3, Flags: clientFlags, Since: "7.2.0", Complexity: "O(1)",
				Summary: "Accepted; keys have no access times here.", Args: args(argOnOff("enabled")),
				session: clientNoTouch},
			{Name: "help", Arity: 2, Flags: FlagLoading | FlagStale, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
			trackingSubs[0], trackingSubs[1], trackingSubs[2], trackingSubs[3],
		}},
}

var clientTypeArg = argOneOf("client-type", argToken("NORMAL"), argToken("MASTER"),
	argToken("REPLICA"), argToken("PUBSUB")).after("TYPE")

func clientID(_ *call, s *session) (resp.Value, error) { return resp.Int(int64(s.id)), nil }

func clientGetName(_ *call, s *session) (resp.Value, error) {
	if name := s.labels().name; name != "" {
		return resp.Bulk(name), nil
	}
	return resp.Null(), nil
}

func clientSetName(c *call, s *session) (resp.Value, error) {
	if !printable(c.args[2]) {
		return resp.Value{}, errClientName
	}
	name := string(c.args[2])
	s.label(func(l *labels) { l.name = name })
	return resp.OK(), nil
}

func clientSetInfo(c *call, s *session) (resp.Value, error) {
	option, value := c.args[2], string(c.args[3])
	ok := printable(c.args[3])
	switch {
	case is(option, "LIB-NAME") && ok:
		s.label(func(l *labels) { l.libName = value })
	case is(option, "LIB-VER") && ok:
		s.label(func(l *labels) { l.libVersion = value })
	case is(option, "LIB-NAME") || is(option, "LIB-VER"):
		return resp.Value{}, errClientAttribute(lower(string(option)))
	default:
		return resp.Value{}, errUnknownAttribute(option)
	}
	return resp.OK(), nil
}

func onOff(word []byte) (on bool, err error) {
	switch {
	case is(word, "ON"):
		return true, nil
	case is(word, "OFF"):
		return false, nil
	default:
		return false, errSyntax
	}
}

func clientNoEvict(c *call, s *session) (resp.Value, error) {
	on, err := onOff(c.args[2])
	if err == nil {
		s.noEvict.Store(on)
	}
	return resp.OK(), err
}

func clientNoTouch(c *call, s *session) (resp.Value, error) {
	on, err := onOff(c.args[2])
	if err == nil {
		s.noTouch.Store(on)
	}
	return resp.OK(), err
}

// peer is one open connection as others see it. session is nil until the connection has sent a command.
type peer struct {
	conn    *resp.Conn
	session *session
}

// peers returns all open connections, oldest first.
func (d *Dispatcher) peers() []peer {
	var out []peer
	known := map[uint64]*session{}
	for _, s := range d.sessions() {
		known[s.id] = s
	}
	if server := d.connections.Load(); server != nil {
		(*server).Conns(func(conn *resp.Conn) bool {
			out = append(out, peer{conn, known[conn.ID()]})
			return true
		})
		return out
	}
	for _, s := range d.sessions() {
		out = append(out, peer{s.conn, s})
	}
	return out
}

// line is the peer's line in CLIENT LIST: Redis's fields in Redis's order. The buffers that are not ours to
// count are 0.
func (p peer) line(now time.Time) string {
	var l labels
	flags, command, user := "N", "NULL", defaultUser
	queued, watching := int64(-1), int64(0)
	if s := p.session; s != nil {
		l = s.labels()
		queued, watching = s.queued.Load(), s.watching.Load()
		flags, user = s.flags(), s.userName()
		if row := s.last.Load(); row != nil {
			command = row.Name
		}
	}
	n := p.conn.Counters()
	idle := int64(now.Sub(p.conn.LastActive()).Seconds())
	subs, redirect := [3]int64{}, int64(-1)
	if s := p.session; s != nil {
		for kind := range subs {
			subs[kind] = s.shown[kind].Load()
		}
		redirect = s.shownRedirect.Load() - 1
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d "+
		"ssub=%d multi=%d watch=%d qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%d oll=%d omem=%d "+
		"tot-mem=%d events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s\n",
		p.conn.ID(), p.conn.RemoteAddr(), p.conn.LocalAddr(), l.name, int64(now.Sub(p.conn.Created()).Seconds()),
		max(idle, 0), flags, subs[listChannels], subs[listPatterns], subs[listShards], queued, watching,
		n.QueryBuffer, n.QueryFree, n.OutputBuffer, n.Pushes, n.PushBytes,
		n.QueryBuffer+n.QueryFree+n.OutputBuffer+n.PushBytes,
		command, user, redirect, p.conn.Proto(), l.libName, l.libVersion)
}

func (s *session) flags() string {
	flags := ""
	if s.shownSubscribed() {
		flags += "P"
	}
	if s.waiter.Load() != nil {
		flags += "b"
	}
	if s.shownRedirect.Load() > 0 {
		flags += "t"
	}
	if s.shownLocal.Load() {
		flags += "r"
	}
	if s.noEvict.Load() {
		flags += "e"
	}
	if s.noTouch.Load() {
		flags += "T"
	}
	if flags == "" {
		return "N"
	}
	return flags
}

func clientInfo(c *call, s *session) (resp.Value, error) {
	return resp.Verbatim(peer{s.conn, s}.line(c.d.cfg.Clock())), nil
}

func clientList(c *call, _ *session) (resp.Value, error) {
	wanted, err := parseClientList(c)
	if err != nil {
		return resp.Value{}, err
	}
	var b strings.Builder
	now := c.d.cfg.Clock()
	for _, p := range c.d.peers() {
		if wanted(p) {
			b.WriteString(p.line(now))
		}
	}
	return resp.Verbatim(b.String()), nil
}

func parseClientList(c *call) (wanted func(peer) bool, err error) {
	switch {
	case len(c.args) == 2:
		return func(peer) bool { return true }, nil
	case len(c.args) == 4 && is(c.args[2], "TYPE"):
		return clientType(c.args[3])
	case len(c.args) > 3 && is(c.args[2], "ID"):
		return clientIDs(c.args[3:])
	default:
		return nil, errSyntax
	}
}

// clientType selects by TYPE. Members are no clients: they talk over the peer port.
func clientType(name []byte) (wanted func(peer) bool, err error) {
	switch {
	case is(name, "NORMAL"):
		return func(p peer) bool { return !p.session.shownSubscribed() }, nil
	case is(name, "PUBSUB"):
		return func(p peer) bool { return p.session.shownSubscribed() }, nil
	case is(name, "MASTER"), is(name, "REPLICA"), is(name, "SLAVE"):
		return func(peer) bool { return false }, nil
	default:
		return nil, errClientType(name)
	}
}

func clientIDs(words [][]byte) (wanted func(peer) bool, err error) {
	ids := map[uint64]bool{}
	for _, word := range words {
		id, ok := parseInt(word)
		if !ok || id < 1 {
			return nil, errListClientID
		}
		ids[uint64(id)] = true
	}
	return func(p peer) bool { return ids[p.conn.ID()] }, nil
}

// killOptions is a parsed CLIENT KILL: a connection dies iff every filter wants it.
type killOptions struct {
	filters  []func(peer) bool
	skipSelf bool
}

func (o *killOptions) wants(p peer) bool {
	for _, wanted := range o.filters {
		if !wanted(p) {
			return false
		}
	}
	return true
}

func clientKill(c *call, s *session) (resp.Value, error) {
	if len(c.args) == 3 {
		addr := string(c.args[2])
		o := killOptions{filters: []func(peer) bool{func(p peer) bool { return p.conn.RemoteAddr() == addr }}}
		if c.d.kill(&o, s) == 0 {
			return resp.Value{}, errNoSuchClient
		}
		return resp.OK(), nil
	}
	o, err := parseKill(c)
	if err != nil {
		return resp.Value{}, err
	}
	return resp.Int(int64(c.d.kill(&o, s))), nil
}

func parseKill(c *call) (o killOptions, err error) {
	o.skipSelf = true
	for w := c.options(2); w.more(); {
		option := w.next()
		if !w.more() {
			return o, errSyntax
		}
		value := w.next()
		if is(option, "SKIPME") {
			o.skipSelf, err = yesNo(value)
		} else {
			var wanted func(peer) bool
			wanted, err = killFilter(c, option, value)
			o.filters = append(o.filters, wanted)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func yesNo(word []byte) (yes bool, err error) {
	switch {
	case is(word, "YES"):
		return true, nil
	case is(word, "NO"):
		return false, nil
	default:
		return false, errSyntax
	}
}

func killFilter(c *call, option, value []byte) (wanted func(peer) bool, err error) {
	text := string(value)
	switch {
	case is(option, "ID"):
		id, ok := parseInt(value)
		if !ok || id < 1 {
			return nil, errClientID
		}
		return func(p peer) bool { return p.conn.ID() == uint64(id) }, nil
	case is(option, "TYPE"):
		return clientType(value)
	case is(option, "ADDR"):
		return func(p peer) bool { return p.conn.RemoteAddr() == text }, nil
	case is(option, "LADDR"):
		return func(p peer) bool { return p.conn.LocalAddr() == text }, nil
	case is(option, "USER"):
		if c.d.directory().accounts[text] == nil {
			return nil, errNoSuchUser(value)
		}
		return func(p peer) bool { return p.session != nil && p.session.userName() == text }, nil
	case is(option, "MAXAGE"):
		age, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, errNotInteger
		}
		oldest := c.d.cfg.Clock().Add(-time.Duration(age) * time.Second)
		return func(p peer) bool { return !p.conn.Created().After(oldest) }, nil
	default:
		return nil, errSyntax
	}
}

// kill cuts the connections that o wants and returns their number. The caller's own is closed after its
// reply.
func (d *Dispatcher) kill(o *killOptions, self *session) int {
	n := 0
	for _, p := range d.peers() {
		mine := p.conn.ID() == self.id
		if mine && o.skipSelf || !o.wants(p) {
			continue
		}
		switch {
		case mine:
			self.closing = true
			n++
		case p.conn.Kill(): // one that was cut before, and has not ended yet, does not count again
			n++
		}
	}
	return n
}
