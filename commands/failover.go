package commands

import (
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// CLUSTER FAILOVER and SENTINEL FAILOVER: by these words operators of Redis move the master away before they
// work on its machine. Here they are MEMBER.MOVELEADER: CLUSTER FAILOVER, sent to a follower, makes it the
// leader, SENTINEL FAILOVER the voter that is furthest in the log. Unlike in Redis, OK means that it is done.
// A dead leader needs neither, and none is made without a majority: TAKEOVER is refused, and FORCE asks for
// no less than no option does.

// ruleOfFailover is the command whose rules hold for SENTINEL FAILOVER: none of the data port has its name.
const ruleOfFailover = "member.moveleader"

func clusterFailover(c *call, s *session, wait waiting) (resp.Value, error) {
	if !c.d.cfg.ClusterProtocol {
		return resp.Value{}, errNoCluster
	}
	s.follows = true
	switch {
	case len(c.args) > 3:
		return resp.Value{}, errSyntax
	case len(c.args) == 3 && is(c.args[2], "TAKEOVER"):
		return resp.Value{}, errTakeover
	case len(c.args) == 3 && !is(c.args[2], "FORCE"):
		return resp.Value{}, errSyntax
	}
	t := c.d.topology()
	if t.HasLeader && t.Leader == t.Self {
		return resp.Value{}, errFailoverHere
	}
	_, err := c.d.change(raftfsm.Change{Kind: raftfsm.ChangeMove, ID: t.Self}, wait)
	return resp.OK(), err
}

func sentinelFailover(c *call, _ *session, wait waiting) (resp.Value, error) {
	t := c.d.topology()
	if c.str(2) != c.d.cfg.Sentinel.Name || t.master == nil {
		return resp.Value{}, errNoSuchMaster
	}
	best := t.furthest()
	if best == nil {
		return resp.Value{}, errNoGoodReplica
	}
	_, err := c.d.change(raftfsm.Change{Kind: raftfsm.ChangeMove, ID: best.ID}, wait)
	return resp.OK(), err
}

// furthest is the replica to make the leader; nil if none answers.
func (t *topology) furthest() (best *raftfsm.RosterMember) {
	for _, m := range t.offered() {
		if best == nil || m.Applied > best.Applied {
			best = m
		}
	}
	return best
}
