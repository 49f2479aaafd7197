package commands

import (
	"net"
	"strconv"

	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

const clusterFlags = FlagLoading | FlagStale

var clusterRows = []Command{
	{Name: "role", Arity: 1, Kind: KindAdmin, Group: "server",
		Flags: FlagNoScript | FlagLoading | FlagStale | FlagFast, Categories: CatAdmin | CatDangerous,
		Since: "2.8.12", Complexity: "O(1)", Summary: "Returns the replication role.",
		session: role},
	{Name: "member.list", Arity: 1, Kind: KindAdmin, Flags: clusterFlags, Group: "cluster", Since: "0.1.0",
		Categories: CatCluster, Complexity: "O(N) where N is the number of members",
		Summary: "Lists the members of the cluster.",
		session: memberList},
	{Name: "cluster.status", Arity: 1, Kind: KindAdmin, Flags: clusterFlags, Group: "cluster", Since: "0.1.0",
		Categories: CatCluster, Complexity: "O(1)", Summary: "Returns this node's view of itself and the cluster.",
		session: clusterStatus},
	{Name: "cluster.health", Arity: 1, Kind: KindAdmin, Flags: clusterFlags, Group: "cluster", Since: "0.1.0",
		Categories: CatCluster, Complexity: "O(N) where N is the number of members",
		Summary: "Tells whether the cluster can serve, and how many more members it can lose.",
		session: clusterHealth},
}

// leaderOf finds the leader in a list of members; nil iff none is known.
func leaderOf(members []raftfsm.Member) *raftfsm.Member {
	for i := range members {
		if members[i].Leader {
			return &members[i]
		}
	}
	return nil
}

// splitAddr returns an address's host and port; "" and 0 for what is not one.
func splitAddr(addr string) (host string, port int64) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0
	}
	port, _ = strconv.ParseInt(text, 10, 32)
	return host, port
}

// role tells the leader as a master and every other member as its replica; offsets are log indexes.
func role(c *call, _ *session) (resp.Value, error) {
	t := c.d.topology()
	offset := resp.Int(int64(c.d.engine.AppliedIndex()))
	if t.HasLeader && t.Leader == t.Self {
		return resp.Array(resp.Bulk("master"), offset, roleReplicas(&t)), nil
	}
	host, port, state := "", int64(0), "connect"
	if t.master != nil {
		host, port = splitAddr(t.master.ClientAddr)
	}
	if t.HasLeader {
		state = "connected"
	}
	return resp.Array(resp.Bulk("slave"), resp.Bulk(host), resp.Int(port), resp.Bulk(state), offset), nil
}

func roleReplicas(t *topology) resp.Value {
	out := []resp.Value{}
	for _, m := range t.offered() {
		host, port := splitAddr(m.ClientAddr)
		out = append(out, resp.Array(resp.Bulk(host), resp.Bulk(strconv.FormatInt(port, 10)),
			resp.Bulk(strconv.FormatUint(uint64(m.Applied), 10))))
	}
	return resp.ArrayOf(out)
}

func memberList(c *call, _ *session) (resp.Value, error) {
	out := []resp.Value{}
	for _, m := range c.d.engine.Members() {
		out = append(out, resp.Map(
			resp.Bulk("id"), resp.Bulk(m.ID.String()),
			resp.Bulk("name"), resp.Bulk(m.Name),
			resp.Bulk("peer_addr"), resp.Bulk(m.PeerAddr),
			resp.Bulk("client_addr"), resp.Bulk(m.ClientAddr),
			resp.Bulk("learner"), yes(m.Learner),
			resp.Bulk("leader"), yes(m.Leader),
			resp.Bulk("status"), resp.Bulk(m.Status),
		))
	}
	return resp.ArrayOf(out), nil
}

func clusterStatus(c *call, _ *session) (resp.Value, error) {
	st := c.d.engine.Status()
	leader := ""
	if st.HasLeader {
		leader = st.Leader.String()
	}
	return resp.Map(
		resp.Bulk("cluster_id"), resp.Bulk(st.ClusterID.String()),
		resp.Bulk("member_id"), resp.Bulk(st.MemberID.String()),
		resp.Bulk("name"), resp.Bulk(st.Name),
		resp.Bulk("version"), resp.Bulk(c.d.cfg.Version),
		resp.Bulk("leader"), resp.Bulk(leader),
		resp.Bulk("is_leader"), yes(st.IsLeader),
		resp.Bulk("is_learner"), yes(st.IsLearner),
		resp.Bulk("term"), resp.Int(int64(st.Term)),
		resp.Bulk("revision"), resp.Int(int64(st.Revision)),
		resp.Bulk("compact_revision"), resp.Int(int64(st.CompactRevision)),
		resp.Bulk("raft_index"), resp.Int(int64(st.LastIndex)),
		resp.Bulk("commit_index"), resp.Int(int64(st.CommitIndex)),
		resp.Bulk("applied_index"), resp.Int(int64(st.AppliedIndex)),
		resp.Bulk("keys"), resp.Int(st.Keys),
		resp.Bulk("state_bytes"), resp.Int(st.StateBytes),
		resp.Bulk("history_bytes"), resp.Int(st.HistoryBytes),
		resp.Bulk("db_size"), resp.Int(st.StateBytes+st.HistoryBytes),
		resp.Bulk("errors"), c.d.troubles(st),
	), nil
}

// troubles is what an operator should look at on this node, as short texts.
func (d *Dispatcher) troubles(st raftfsm.Status) resp.Value {
	out := []resp.Value{}
	if st.IsRemoved {
		return resp.Array(resp.Bulk(removedTrouble))
	}
	if !st.HasLeader {
		out = append(out, resp.Bulk(raftfsm.ErrNoLeader.Error()))
	}
	if err := d.engine.AcceptsWrites(); err != nil {
		out = append(out, resp.Bulk(err.Error()))
	}
	if d.cfg.Troubles != nil {
		for _, text := range d.cfg.Troubles() {
			out = append(out, resp.Bulk(text))
		}
	}
	return resp.ArrayOf(append(out, alarmTexts(d.engine.Alarms())...))
}

// health is what CLUSTER.HEALTH tells. The cluster can serve iff a leader is known and a majority of the
// voters answers; tolerance is how many more of those may fail.
type health struct {
	healthy   bool
	leader    string
	tolerance int
}

func (d *Dispatcher) health(members []raftfsm.Member, alarms []raftfsm.Alarm) health {
	voters, up := 0, 0
	for _, m := range members {
		if m.Learner {
			continue
		}
		voters++
		if m.Status == raftfsm.MemberStarted && sick(alarms, m.ID) == "" {
			up++
		}
	}
	h := health{tolerance: max(up-(voters/2+1), 0)}
	if leader := leaderOf(members); leader != nil {
		h.leader = leader.ID.String()
		h.healthy = up > voters/2
	}
	return h
}

func clusterHealth(c *call, _ *session) (resp.Value, error) {
	members := c.d.engine.Members()
	alarms := c.d.engine.Alarms()
	h := c.d.health(members, alarms)
	list := make([]resp.Value, len(members))
	for i, m := range members {
		reason := sick(alarms, m.ID)
		if m.Status != raftfsm.MemberStarted {
			reason = m.Status
		}
		up := reason == ""
		list[i] = resp.Map(
			resp.Bulk("id"), resp.Bulk(m.ID.String()),
			resp.Bulk("name"), resp.Bulk(m.Name),
			resp.Bulk("healthy"), yes(up),
			resp.Bulk("reason"), resp.Bulk(reason),
		)
	}
	return resp.Map(
		resp.Bulk("healthy"), yes(h.healthy),
		resp.Bulk("leader"), resp.Bulk(h.leader),
		resp.Bulk("members"), resp.ArrayOf(list),
		resp.Bulk("failure_tolerance"), resp.Int(int64(h.tolerance)),
		resp.Bulk("alarms"), c.d.alarms(),
	), nil
}
