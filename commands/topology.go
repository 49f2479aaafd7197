package commands

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// topology is the cluster as clients of Redis Cluster and Sentinel are shown it: one master, which is the
// leader, and its replicas, which are the other voters that answer. Learners are not offered: they may be far
// behind. It is made from what this node knows, so it needs no quorum and never waits.
type topology struct {
	raftfsm.Roster
	master   *raftfsm.RosterMember   // nil iff no member's address is known
	replicas []*raftfsm.RosterMember // voters with a known address, in the order of ids, up or not
}

// topology returns the present one.
func (d *Dispatcher) topology() topology { return newTopology(d.engine.Roster()) }

// newTopology finds the master: while there is no leader the last one stays it; if none was ever known, the
// first voter stands in, so that clients get a list they can keep trying.
func newTopology(r raftfsm.Roster) topology {
	t := topology{Roster: r}
	for i := range t.Members {
		m := &t.Members[i]
		if m.ClientAddr == "" || m.Learner {
			continue
		}
		if t.master == nil && t.Find(t.Leader) == nil || m.ID == t.Leader {
			t.master = m
			continue
		}
		t.replicas = append(t.replicas, m)
	}
	return t
}

// offered are the replicas that answer.
func (t *topology) offered() []*raftfsm.RosterMember {
	var up []*raftfsm.RosterMember
	for _, m := range t.replicas {
		if m.Up {
			up = append(up, m)
		}
	}
	return up
}

// votersUp counts the voters that answer, and all of them.
func (t *topology) votersUp() (up, all int) {
	for i := range t.Members {
		if t.Members[i].Learner {
			continue
		}
		all++
		if t.Members[i].Up {
			up++
		}
	}
	return up, all
}

// The last digits of an id tell what it is the id of: Redis's ids have 40 digits, ours 16.
const (
	idOfNode     = 0
	idOfSentinel = 1
	idOfShard    = 2
)

// wideID is an id of 40 hex digits, as clients expect: the member's, then the cluster's. It never changes.
func wideID(member cluster.MemberID, in cluster.ClusterID, what uint32) string {
	return fmt.Sprintf("%016x%016x%08x", uint64(member), uint64(in), what)
}

func (t *topology) nodeID(m *raftfsm.RosterMember) string { return wideID(m.ID, t.Cluster, idOfNode) }

func (t *topology) shardID() string { return wideID(cluster.MemberID(t.Cluster), t.Cluster, idOfShard) }

// byNodeID finds a node; nil iff there is none of this id.
func (t *topology) byNodeID(id string) *raftfsm.RosterMember {
	for i := range t.Members {
		if t.nodeID(&t.Members[i]) == lower(id) {
			return &t.Members[i]
		}
	}
	return nil
}

// hostname returns host if it is a name, and "" if it is an address.
func hostname(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}

// plainAddr writes an address as Redis does, without brackets around an IPv6 host: clients split at the last
// colon, and compare the text with what CLUSTER SLOTS says.
func plainAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host + ":" + port
}
