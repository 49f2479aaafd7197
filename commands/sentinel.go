package commands

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// Redis Sentinel's protocol, on a listener of its own.
//
// Idea. To a client of Sentinel every node looks like a Redis with a Sentinel beside it. There is one master,
// the leader; its name is --cluster-name. What a Sentinel knows is in the roster (topology.go), so it answers
// without a quorum, and what it announces follows from the same view (sentinelwatch.go). The listener has a
// dispatcher of its own with a table of its own: the rows of the connection, CLIENT, COMMAND and SUBSCRIBE
// are those of the data port, so gates, users and limits hold here as there; no row reaches the store. A rule
// is about a command of the data port and holds for it here, too. SENTINEL is no such command: whoever has
// logged in may ask it where the leader is. SENTINEL FAILOVER, which moves it, needs what MEMBER.MOVELEADER
// does.
//
// Rejected: SENTINEL on the data port. Desktop tools take a server that answers it for a Sentinel and refuse
// to show its keys.
//
// Drawback: a Sentinel of Redis decides who is master. This one only reports what raft has decided, so the
// sub-commands by which Sentinels are managed are refused, but FAILOVER (failover.go).

// SentinelConfig makes a dispatcher serve Sentinel's protocol instead of the store's.
type SentinelConfig struct {
	Name string // of the master
}

// sentinelWords are the rows that the Sentinel listener shares with the data port.
var sentinelWords = []string{"ping", "hello", "auth", "quit", "reset", "client", "command", "info", "role",
	"subscribe", "psubscribe", "unsubscribe", "punsubscribe"}

const sentinelFlags = FlagAdmin | FlagLoading | FlagStale

// masterName is the argument of most sub-commands.
var masterName = args(argString("master-name"))

var sentinelRows = []Command{
	{Name: "sentinel", Arity: -2, Group: "sentinel", Since: "2.8.4", Complexity: "Depends on subcommand.",
		Summary: "A container for Redis Sentinel commands.", absentSub: absentSentinelSub, Subs: []Command{
			{Name: "masters", Arity: 2, Flags: sentinelFlags, Since: "2.8.4", Complexity: "O(N) in members",
				Summary: "Returns the one master.", session: sentinelMasters},
			{Name: "master", Arity: 3, Flags: sentinelFlags, Since: "2.8.4", Complexity: "O(N) in members",
				Summary: "Returns the state of a master.", Args: masterName, session: named(sentinelMaster)},
			{Name: "replicas", Arity: 3, Flags: sentinelFlags, Since: "5.0.0", Complexity: "O(N) in members",
				Summary: "Returns the replicas of a master.", Args: masterName, session: named(sentinelReplicas)},
			{Name: "slaves", Arity: 3, Flags: sentinelFlags, Since: "2.8.0", Complexity: "O(N) in members",
				Summary: "The same as SENTINEL REPLICAS.", Args: masterName, session: named(sentinelReplicas)},
			{Name: "sentinels", Arity: 3, Flags: sentinelFlags, Since: "2.8.4", Complexity: "O(N) in members",
				Summary: "Returns the other Sentinels of a master.", Args: masterName,
				session: named(sentinelSentinels)},
			{Name: "get-master-addr-by-name", Arity: 3, Flags: sentinelFlags, Since: "2.8.4", Complexity: "O(1)",
				Summary: "Returns host and port of a master.", Args: masterName, session: sentinelAddr},
			{Name: "ckquorum", Arity: 3, Flags: sentinelFlags, Since: "2.8.4", Complexity: "O(N) in members",
				Summary: "Tells whether enough members answer to elect a leader.", Args: masterName,
				session: named(sentinelQuorum)},
			{Name: "failover", Arity: 3, Kind: KindAdmin, Flags: memberFlags, Since: "2.8.4",
				Complexity: "O(N) in members", Summary: "Makes another member the leader.", Args: masterName,
				block: sentinelFailover, audited: true},
			{Name: "myid", Arity: 2, Flags: sentinelFlags, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Returns the id of this Sentinel.", session: sentinelMyID},
			{Name: "pending-scripts", Arity: 2, Flags: sentinelFlags, Since: "2.8.4", Complexity: "O(1)",
				Summary: "Returns an empty list: there are no scripts.", session: sentinelScripts},
			{Name: "help", Arity: 2, Flags: sentinelFlags, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
}

// newSentinelTable builds the table of the Sentinel listener.
func newSentinelTable() *Table {
	own := map[string]func(*call, *session) (resp.Value, error){"role": sentinelRole}
	shared := []Command{}
	for _, rows := range families() {
		for _, row := range rows {
			if !slices.Contains(sentinelWords, row.Name) {
				continue
			}
			if serve := own[row.Name]; serve != nil {
				row.session = serve
			}
			shared = append(shared, row)
		}
	}
	t, data := buildTable([][]Command{shared, sentinelRows}), NewTable()
	t.catalog = data.catalog // the users' rules are about the data port's commands
	for _, row := range t.all {
		if same := data.find([]byte(row.Name)); same != nil {
			row.id = same.id
		} else {
			row.free = true
		}
	}
	failover := t.find([]byte("sentinel|failover"))
	failover.free, failover.id = false, data.find([]byte(ruleOfFailover)).id
	return t
}

// managedSentinelSubs are the sub-commands by which Sentinels are managed.
const managedSentinelSubs = " config debug flushconfig info-cache is-master-down-by-addr monitor " +
	"remove reset set simulate-failure "

func absentSentinelSub(_ *Dispatcher, sub []byte) error {
	word := lower(string(sub[:min(len(sub), maxName)]))
	if strings.Contains(managedSentinelSubs, " "+word+" ") {
		return errSentinelSub(strings.ToUpper(word))
	}
	return errUnknownSub("sentinel", sub)
}

// named is a sub-command about the master whose name is its argument.
func named(serve aboutTopology) func(*call, *session) (resp.Value, error) {
	return func(c *call, _ *session) (resp.Value, error) {
		t := c.d.topology()
		if c.str(2) != c.d.cfg.Sentinel.Name || t.master == nil {
			return resp.Value{}, errNoSuchMaster
		}
		return serve(c, &t)
	}
}

func sentinelRole(c *call, _ *session) (resp.Value, error) {
	return resp.Array(resp.Bulk("sentinel"), resp.Array(resp.Bulk(c.d.cfg.Sentinel.Name))), nil
}

func sentinelScripts(*call, *session) (resp.Value, error) { return resp.Array(), nil }

func sentinelMyID(c *call, _ *session) (resp.Value, error) {
	r := c.d.engine.Roster()
	return resp.Bulk(wideID(r.Self, r.Cluster, idOfSentinel)), nil
}

// sentinelAddr answers with the last master while there is none: clients keep trying it until they hear of
// another, and take a missing one for an unknown name.
func sentinelAddr(c *call, _ *session) (resp.Value, error) {
	t := c.d.topology()
	if c.str(2) != c.d.cfg.Sentinel.Name || t.master == nil {
		return resp.NullArray(), nil
	}
	host, port := hostPort(t.master.ClientAddr)
	return resp.Array(resp.Bulk(host), resp.Bulk(port)), nil
}

// hostPort splits an address; both are "" for what is not one.
func hostPort(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}

func sentinelMasters(c *call, _ *session) (resp.Value, error) {
	t := c.d.topology()
	if t.master == nil {
		return resp.Array(), nil
	}
	v, err := sentinelMaster(c, &t)
	return resp.Array(v), err
}

// instance is one entry of a list: fields and values, all strings.
type instance []resp.Value

func (i *instance) add(name string, value any) {
	*i = append(*i, resp.Bulk(name), resp.Bulk(fmt.Sprint(value)))
}

// newInstance has the fields that masters, replicas and Sentinels share. down: it does not answer.
func newInstance(name, addr, id, kind string, down bool, m *raftfsm.RosterMember) instance {
	flags := kind
	switch {
	case down && kind == "master":
		flags = "s_down,o_down,master"
	case down:
		flags = "s_down," + kind + ",disconnected"
	}
	host, port := hostPort(addr)
	var i instance
	i.add("name", name)
	i.add("ip", host)
	i.add("port", port)
	i.add("runid", id)
	i.add("flags", flags)
	i.add("link-pending-commands", 0)
	i.add("link-refcount", 1)
	i.add("last-ping-sent", 0)
	i.add("last-ok-ping-reply", m.Seen.Milliseconds())
	i.add("last-ping-reply", m.Seen.Milliseconds())
	i.add("down-after-milliseconds", downAfter.Milliseconds())
	return i
}

func (i instance) value() resp.Value { return resp.Map(i...) }

func sentinelMaster(c *call, t *topology) (resp.Value, error) {
	_, voters := t.votersUp()
	m := t.master
	i := newInstance(c.d.cfg.Sentinel.Name, m.ClientAddr, t.nodeID(m), "master", !t.leads(m), m)
	i.add("info-refresh", m.Seen.Milliseconds())
	i.add("role-reported", "master")
	i.add("role-reported-time", 0)
	i.add("config-epoch", t.Term)
	i.add("num-slaves", len(t.replicas))
	i.add("num-other-sentinels", len(t.otherSentinels()))
	i.add("quorum", voters/2+1)
	i.add("failover-timeout", downAfter.Milliseconds())
	i.add("parallel-syncs", len(t.replicas))
	return i.value(), nil
}

func sentinelReplicas(_ *call, t *topology) (resp.Value, error) {
	host, port := hostPort(t.master.ClientAddr)
	link := "ok"
	if !t.HasLeader {
		link = "err"
	}
	out := []resp.Value{}
	for _, m := range t.replicas {
		i := newInstance(plainAddr(m.ClientAddr), m.ClientAddr, t.nodeID(m), "slave", !m.Up, m)
		i.add("info-refresh", m.Seen.Milliseconds())
		i.add("role-reported", "slave")
		i.add("role-reported-time", 0)
		i.add("master-link-down-time", 0)
		i.add("master-link-status", link)
		i.add("master-host", host)
		i.add("master-port", port)
		i.add("slave-priority", 100)
		i.add("slave-repl-offset", m.Applied)
		i.add("replica-announced", 1)
		out = append(out, i.value())
	}
	return resp.ArrayOf(out), nil
}

// otherSentinels are the other members with a Sentinel listener, up or not.
func (t *topology) otherSentinels() []*raftfsm.RosterMember {
	var out []*raftfsm.RosterMember
	for i := range t.Members {
		if m := &t.Members[i]; m.SentinelAddr != "" && m.ID != t.Self {
			out = append(out, m)
		}
	}
	return out
}

func sentinelSentinels(_ *call, t *topology) (resp.Value, error) {
	out := []resp.Value{}
	for _, m := range t.otherSentinels() {
		id := wideID(m.ID, t.Cluster, idOfSentinel)
		i := newInstance(id, m.SentinelAddr, id, "sentinel", !m.Up, m)
		i.add("last-hello-message", m.Seen.Milliseconds())
		i.add("voted-leader", "?")
		i.add("voted-leader-epoch", t.Term)
		out = append(out, i.value())
	}
	return resp.ArrayOf(out), nil
}

// sentinelQuorum counts the voters that answer: they elect the leader, whether or not they have a listener
// for Sentinel clients.
func sentinelQuorum(_ *call, t *topology) (resp.Value, error) {
	up, all := t.votersUp()
	if up <= all/2 {
		return resp.Value{}, errNoQuorum(up)
	}
	return resp.Simple(fmt.Sprintf("OK %d usable Sentinels. Quorum and failover authorization can be reached",
		up)), nil
}

var sentinelSections = []infoSection{
	{"Server", true, infoServer},
	{"Clients", true, infoClients},
	{"Stats", true, infoStats},
	{"CPU", true, infoCPU},
	{"Sentinel", true, infoSentinel},
}

func infoSentinel(w *infoWriter) {
	w.field("sentinel_masters", 1)
	w.field("sentinel_tilt", 0)
	w.field("sentinel_tilt_since_seconds", -1)
	w.zeros("sentinel_running_scripts", "sentinel_scripts_queue_length", "sentinel_simulate_failure_flags")
	t := w.d.topology()
	if t.master == nil {
		return
	}
	status := "ok"
	if !t.HasLeader {
		status = "odown"
	}
	fmt.Fprintf(w, "master0:name=%s,status=%s,address=%s,slaves=%d,sentinels=%d\r\n", w.d.cfg.Sentinel.Name,
		status, plainAddr(t.master.ClientAddr), len(t.replicas), 1+len(t.otherSentinels()))
}
