package commands

import (
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var electionRows = []Command{
	{Name: "election.campaign", Arity: -3, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("RW insert"),
		Group: "lock", Since: "0.2.0", Complexity: "O(log N) where N is the number of candidates",
		Summary: "Becomes the leader of an election, waiting for its turn, and returns key, token and lease.",
		Args:    args(argKey("name"), argString("value"), joinLeaseArg, joinWaitArg),
		plan:    planJoin, join: parseCampaign, also: reachJoin},
	{Name: "election.proclaim", Arity: 4, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast,
		Keys: oneKey("RW update"), Group: "lock", Since: "0.2.0", Complexity: "O(log N)",
		Summary: "Gives the leader another value and returns the revision.",
		Args:    args(argKey("name"), argInteger("token"), argString("value")), plan: electionProclaim},
	{Name: "election.leader", Arity: 2, Kind: KindRead, Flags: FlagFast | FlagNoMulti | FlagNoScript,
		Keys: oneKey("RO access"), Group: "lock", Since: "0.2.0", Complexity: "O(1)", Summary: "Returns who leads.",
		Args: args(argKey("name")), read: electionLeader},
	{Name: "election.resign", Arity: 3, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW delete"),
		Group: "lock", Since: "0.2.0", Complexity: "O(log N)", Summary: "Gives leadership up.",
		Args: args(argKey("name"), argInteger("token")), plan: electionResign},
}

func parseCampaign(c *call) (joining, error) {
	return parseJoin(c, 3, joining{queue: electionOf(c), value: c.str(2)}, false)
}

func electionOf(c *call) mvcc.Queue { return mvcc.Queue{Name: c.str(1), Election: true} }

func electionProclaim(c *call) (render, error) {
	token, err := parseToken(c.args[2])
	if err != nil {
		return nil, err
	}
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueValue, Flags: mvcc.FlagElection,
		Span: mvcc.KeySpan(c.str(1)), Delta: token, Value: c.str(3)})
	return func(r *mvcc.Result) resp.Value {
		if r.Ops[0].Err != nil {
			return electionFailed(r.Ops[0].Err)
		}
		return resp.Int(int64(r.Revision))
	}, nil
}

func electionResign(c *call) (render, error) {
	token, err := parseToken(c.args[2])
	if err != nil {
		return nil, err
	}
	c.session().giving(electionOf(c), mvcc.Revision(token))
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueRelease, Flags: mvcc.FlagElection,
		Span: mvcc.KeySpan(c.str(1)), Delta: token})
	return func(r *mvcc.Result) resp.Value {
		if r.Ops[0].Err != nil {
			return electionFailed(r.Ops[0].Err)
		}
		return resp.OK()
	}, nil
}

// electionFailed is failed with an election's word for a token that does not hold.
func electionFailed(err error) resp.Value {
	if err == mvcc.ErrNotHolder {
		return refused(errNotLeading)
	}
	return failed(err)
}

func electionLeader(c *call, _ *view) (resp.Value, error) {
	holders, _ := c.d.engine.Book().Places(electionOf(c))
	if len(holders) == 0 {
		return resp.Null(), nil
	}
	r := holders[0]
	return resp.Map(
		resp.Bulk("key"), resp.Bulk(r.Key()),
		resp.Bulk("value"), resp.Bulk(r.Value()),
		resp.Bulk("token"), resp.Int(int64(r.CreateRevision())),
		resp.Bulk("lease"), resp.Bulk(leaseText(r.Lease())),
	), nil
}
