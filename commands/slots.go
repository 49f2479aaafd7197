package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// Redis Cluster's protocol: one shard that holds all slots, with the leader as its master.
//
// Idea. Clients of Redis Cluster ask any node for the table of slots and then talk to the owner of a key's
// slot. Here one master owns them all; each node makes the table from what it knows (topology.go), so it
// answers without a quorum. A client whose table is old is told so by MOVED (redirect.go), or served anyway.
// Slots have no other meaning: keys of different slots may stand in one command or transaction, and CROSSSLOT
// does not exist.
//
// With --cluster-protocol=false each of these commands answers as a Redis without cluster support does.

const slotFlags = FlagLoading | FlagStale

var slotRows = []Command{
	{Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Complexity: "Depends on subcommand.",
		Summary: "A container for Redis Cluster commands.", absentSub: absentClusterSub, Subs: []Command{
			{Name: "slots", Arity: 2, Flags: slotFlags, Since: "3.0.0", Complexity: "O(N) in members",
				Summary: "Returns the table of slots: all of them are the leader's.",
				Tips:    []string{"nondeterministic_output"}, session: clustered(clusterSlots)},
			{Name: "shards", Arity: 2, Flags: slotFlags, Since: "7.0.0", Complexity: "O(N) in members",
				Summary: "Returns the one shard and its nodes.",
				Tips:    []string{"nondeterministic_output"}, session: clustered(clusterShards)},
			{Name: "nodes", Arity: 2, Flags: slotFlags, Since: "3.0.0", Complexity: "O(N) in members",
				Summary: "Returns the nodes in the lines of Redis Cluster's configuration file.",
				Tips:    []string{"nondeterministic_output"}, session: clustered(clusterNodes)},
			{Name: "replicas", Arity: 3, Flags: slotFlags | FlagAdmin, Since: "5.0.0", Complexity: "O(N)",
				Summary: "Returns the lines of a master's replicas.",
				Args:    args(argString("node-id")), session: clustered(clusterReplicas)},
			{Name: "slaves", Arity: 3, Flags: slotFlags | FlagAdmin, Since: "3.0.0", Complexity: "O(N)",
				Summary: "The same as CLUSTER REPLICAS.",
				Args:    args(argString("node-id")), session: clustered(clusterReplicas)},
			{Name: "info", Arity: 2, Flags: slotFlags, Since: "3.0.0", Complexity: "O(1)",
				Summary: "Returns the state of the cluster: ok while this node knows a leader.",
				Tips:    []string{"nondeterministic_output"}, session: clustered(clusterInfo)},
			{Name: "myid", Arity: 2, Flags: slotFlags, Since: "3.0.0", Complexity: "O(1)",
				Summary: "Returns this node's id.", session: clustered(clusterMyID)},
			{Name: "myshardid", Arity: 2, Flags: slotFlags, Since: "7.2.0", Complexity: "O(1)",
				Summary: "Returns the id of the one shard.", session: clustered(clusterMyShardID)},
			{Name: "keyslot", Arity: 3, Flags: slotFlags, Since: "3.0.0", Complexity: "O(N) in the key's bytes",
				Summary: "Returns the slot of a key.",
				Args:    args(argString("key")), session: clustered(clusterKeySlot)},
			{Name: "countkeysinslot", Arity: 3, Flags: slotFlags, Since: "3.0.0", Complexity: "O(N) in all keys",
				Summary: "Counts the keys of a slot on this node.",
				Args:    args(argInteger("slot")), session: clustered(countKeysInSlot), ofState: true},
			{Name: "getkeysinslot", Arity: 4, Flags: slotFlags, Since: "3.0.0", Complexity: "O(N) in all keys",
				Summary: "Returns those keys of a slot on this node that the user may read, in byte order.",
				Args:    args(argInteger("slot"), argInteger("count")), session: clustered(getKeysInSlot),
				ofState: true},
			{Name: "links", Arity: 2, Flags: slotFlags, Since: "7.0.0", Complexity: "O(1)",
				Summary: "Returns an empty list: members talk over the peer port.",
				Tips:    []string{"nondeterministic_output"}, session: clustered(clusterLinks)},
			{Name: "count-failure-reports", Arity: 3, Flags: slotFlags | FlagAdmin, Since: "3.0.0",
				Complexity: "O(N)", Summary: "Returns 0 for a known node: nobody votes others down here.",
				Args: args(argString("node-id")), session: clustered(clusterFailureReports)},
			{Name: "failover", Arity: -2, Kind: KindAdmin, Flags: memberFlags, Since: "3.0.0",
				Complexity: "O(N) where N is the number of members",
				Summary:    "Makes this node the leader, as MEMBER.MOVELEADER does.",
				Args:       args(argOneOf("options", argToken("FORCE"), argToken("TAKEOVER")).opt()),
				block:      clusterFailover, audited: true},
			{Name: "help", Arity: 2, Flags: slotFlags, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: clustered(clusterHelp)},
		}},
}

// managedSubs are the sub-commands by which Redis Cluster is managed. Here the MEMBER commands do that.
const managedSubs = " addslots addslotsrange bumpepoch delslots delslotsrange flushslots forget " +
	"meet replicate reset saveconfig set-config-epoch setslot "

func absentClusterSub(d *Dispatcher, sub []byte) error {
	word := lower(string(sub[:min(len(sub), maxName)]))
	switch {
	case !strings.Contains(managedSubs, " "+word+" "):
		return errUnknownSub("cluster", sub)
	case !d.cfg.ClusterProtocol:
		return errNoCluster
	default:
		return errManagedSub(strings.ToUpper(word))
	}
}

// aboutTopology answers from what this node knows of the cluster.
type aboutTopology func(c *call, t *topology) (resp.Value, error)

// clustered is a sub-command that is refused without --cluster-protocol, and shows that the connection is a
// cluster client's.
func clustered(serve aboutTopology) func(*call, *session) (resp.Value, error) {
	return func(c *call, s *session) (resp.Value, error) {
		if !c.d.cfg.ClusterProtocol {
			return resp.Value{}, errNoCluster
		}
		s.follows = true
		t := c.d.topology()
		return serve(c, &t)
	}
}

func clusterHelp(c *call, _ *topology) (resp.Value, error) { return help(c, nil) }

func clusterMyID(_ *call, t *topology) (resp.Value, error) {
	return resp.Bulk(wideID(t.Self, t.Cluster, idOfNode)), nil
}

func clusterMyShardID(_ *call, t *topology) (resp.Value, error) { return resp.Bulk(t.shardID()), nil }

func clusterLinks(*call, *topology) (resp.Value, error) { return resp.Array(), nil }

func clusterSlots(_ *call, t *topology) (resp.Value, error) {
	if t.master == nil {
		return resp.Array(), nil
	}
	shard := []resp.Value{resp.Int(0), resp.Int(slotCount - 1), t.slotNode(t.master)}
	for _, m := range t.offered() {
		shard = append(shard, t.slotNode(m))
	}
	return resp.Array(resp.ArrayOf(shard)), nil
}

func (t *topology) slotNode(m *raftfsm.RosterMember) resp.Value {
	host, port := splitAddr(m.ClientAddr)
	return resp.Array(resp.Bulk(host), resp.Int(port), resp.Bulk(t.nodeID(m)), resp.Map())
}

func clusterShards(_ *call, t *topology) (resp.Value, error) {
	if t.master == nil {
		return resp.Array(), nil
	}
	nodes := []resp.Value{t.shardNode(t.master)}
	for _, m := range t.replicas {
		nodes = append(nodes, t.shardNode(m))
	}
	return resp.Array(resp.Map(
		resp.Bulk("slots"), resp.Array(resp.Int(0), resp.Int(slotCount-1)),
		resp.Bulk("nodes"), resp.ArrayOf(nodes),
	)), nil
}

// shardNode tells of members that do not answer, too, as Redis does: health says so.
func (t *topology) shardNode(m *raftfsm.RosterMember) resp.Value {
	host, port := splitAddr(m.ClientAddr)
	role, health := "replica", "online"
	if m == t.master {
		role = "master"
	}
	if !m.Up && !t.leads(m) {
		health = "failed"
	}
	fields := []resp.Value{
		resp.Bulk("id"), resp.Bulk(t.nodeID(m)), resp.Bulk("port"), resp.Int(port),
		resp.Bulk("ip"), resp.Bulk(host), resp.Bulk("endpoint"), resp.Bulk(host),
	}
	if name := hostname(host); name != "" {
		fields = append(fields, resp.Bulk("hostname"), resp.Bulk(name))
	}
	return resp.Map(append(fields, resp.Bulk("role"), resp.Bulk(role),
		resp.Bulk("replication-offset"), resp.Int(int64(m.Applied)), resp.Bulk("health"), resp.Bulk(health))...)
}

// leads reports whether m is known to lead now: it is heard of then, whether or not it has answered us.
func (t *topology) leads(m *raftfsm.RosterMember) bool { return t.HasLeader && m.ID == t.Leader }

func clusterNodes(_ *call, t *topology) (resp.Value, error) {
	var b strings.Builder
	for i := range t.Members {
		if m := &t.Members[i]; m.ClientAddr != "" && (!m.Learner || m.ID == t.Self) {
			b.WriteString(t.line(m) + "\n")
		}
	}
	return resp.Verbatim(b.String()), nil
}

// line is a node's line in CLUSTER NODES. A learner is shown to those alone who ask it itself.
func (t *topology) line(m *raftfsm.RosterMember) string {
	host, _ := splitAddr(m.ClientAddr)
	_, bus := splitAddr(m.PeerAddr)
	addr := fmt.Sprintf("%s@%d", plainAddr(m.ClientAddr), bus)
	if name := hostname(host); name != "" {
		addr += "," + name
	}
	master, slots, link := "-", "", "connected"
	var flags []string
	if m.ID == t.Self {
		flags = append(flags, "myself")
	}
	if m == t.master {
		flags, slots = append(flags, "master"), fmt.Sprintf(" 0-%d", slotCount-1)
	} else {
		flags = append(flags, "slave")
		if t.master != nil {
			master = t.nodeID(t.master)
		}
	}
	if !m.Up && !t.leads(m) {
		flags, link = append(flags, "fail"), "disconnected"
	}
	if m.Learner {
		flags = append(flags, "nofailover")
	}
	return fmt.Sprintf("%s %s %s %s 0 0 %d %s%s", t.nodeID(m), addr, strings.Join(flags, ","), master, t.Term,
		link, slots)
}

func clusterReplicas(c *call, t *topology) (resp.Value, error) {
	m := t.byNodeID(c.str(2))
	switch {
	case m == nil:
		return resp.Value{}, errUnknownNode(c.args[2])
	case m != t.master:
		return resp.Value{}, errNotMaster
	}
	lines := []resp.Value{}
	for _, r := range t.replicas {
		lines = append(lines, resp.Bulk(t.line(r)))
	}
	return resp.ArrayOf(lines), nil
}

func clusterFailureReports(c *call, t *topology) (resp.Value, error) {
	if t.byNodeID(c.str(2)) == nil {
		return resp.Value{}, errUnknownNode(c.args[2])
	}
	return resp.Int(0), nil
}

func clusterInfo(_ *call, t *topology) (resp.Value, error) {
	state, slots := "ok", slotCount
	if !t.HasLeader {
		state, slots = "fail", 0
	}
	var b strings.Builder
	for _, field := range []struct {
		name  string
		value any
	}{
		{"cluster_state", state}, {"cluster_slots_assigned", slotCount}, {"cluster_slots_ok", slots},
		{"cluster_slots_pfail", 0}, {"cluster_slots_fail", slotCount - slots},
		{"cluster_known_nodes", 1 + len(t.replicas)}, {"cluster_size", 1}, {"cluster_current_epoch", t.Term},
		{"cluster_my_epoch", t.Term}, {"cluster_stats_messages_sent", 0},
		{"cluster_stats_messages_received", 0}, {"total_cluster_links_buffer_limit_exceeded", 0},
	} {
		fmt.Fprintf(&b, "%s:%v\r\n", field.name, field.value)
	}
	return resp.Verbatim(b.String()), nil
}

func clusterKeySlot(c *call, _ *topology) (resp.Value, error) {
	return resp.Int(int64(slotOf(c.args[2]))), nil
}

// parseSlot reads a number of a slot.
func parseSlot(word []byte) (slot int64, ok bool) {
	slot, ok = parseInt(word)
	return slot, ok && slot >= 0 && slot < slotCount
}

func countKeysInSlot(c *call, _ *topology) (resp.Value, error) {
	slot, err := integer(c.args[2])
	if err != nil {
		return resp.Value{}, err
	}
	if _, ok := parseSlot(c.args[2]); !ok {
		return resp.Value{}, errInvalidSlot
	}
	n := int64(0)
	c.eachInSlot(slot, func(string) bool { n++; return true })
	return resp.Int(n), nil
}

func getKeysInSlot(c *call, _ *topology) (resp.Value, error) {
	slot, err := integer(c.args[2])
	if err != nil {
		return resp.Value{}, err
	}
	count, err := integer(c.args[3])
	if err != nil {
		return resp.Value{}, err
	}
	if _, ok := parseSlot(c.args[2]); !ok || count < 0 {
		return resp.Value{}, errInvalidSlotCount
	}
	var keys []string
	c.eachInSlot(slot, func(key string) bool {
		if !c.shows(key) {
			return true
		}
		keys = append(keys, key)
		return int64(len(keys)) < count
	})
	slices.Sort(keys)
	out := make([]resp.Value, 0, len(keys))
	for _, key := range keys[:min(int64(len(keys)), count)] {
		out = append(out, resp.Bulk(key))
	}
	return resp.ArrayOf(out), nil
}

// eachInSlot walks the keys of a slot on this node in the order of their changes, in pages, so that writers
// are not held up; a key that changes meanwhile may be met twice. It ends when fn returns false.
func (c *call) eachInSlot(slot int64, fn func(key string) bool) {
	const page = 1024
	store, more := c.d.engine.Store(), true
	now, last := c.d.engine.Now(), uint64(store.Revision())
	for cursor := uint64(0); more; more = more && cursor != 0 && cursor <= last {
		cursor = store.Scan(cursor, page, func(r mvcc.Record) {
			expired := r.Deadline() != 0 && r.Deadline() <= now
			if more && !expired && int64(slotOf([]byte(r.Key()))) == slot {
				more = fn(r.Key())
			}
		})
	}
}
