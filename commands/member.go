package commands

// Changes of the membership. Any member takes them; the leader makes them, one at a time, after it has
// weighed whether the cluster can bear them (raftfsm/members.go, cluster/members.go). A refusal says what to
// do instead, and means that nothing was changed.

import (
	"strconv"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

const memberFlags = FlagAdmin | FlagNoScript | FlagNoMulti

var memberRows = []Command{
	memberRow("add", -3, "Adds a member, as a learner first, and returns its id.", memberAdd,
		argString("name"), argString("peer-addr"), argToken("LEARNER").opt()),
	memberRow("promote", 2, "Makes a learner that has caught up a voter.", memberChange(raftfsm.ChangePromote),
		argString("id")),
	memberRow("remove", 2, "Removes a member for good.", memberChange(raftfsm.ChangeRemove), argString("id")),
	memberRow("update", 3, "Changes the address that the other members dial a member at.", memberUpdate,
		argString("id"), argString("peer-addr")),
	memberRow("moveleader", 2, "Hands leadership to a member.", memberChange(raftfsm.ChangeMove),
		argString("id")),
}

func memberRow(name string, arity int, summary string,
	serve func(*call, *session, waiting) (resp.Value, error), a ...Arg) Command {
	return Command{Name: "member." + name, Arity: arity, Kind: KindAdmin, Flags: memberFlags, Group: "cluster",
		Since: "0.3.0", Categories: CatCluster, Complexity: "O(N) where N is the number of members",
		Summary: summary, Args: args(a...), block: serve, audited: true}
}

func memberAdd(c *call, _ *session, wait waiting) (resp.Value, error) {
	change := raftfsm.Change{Kind: raftfsm.ChangeAdd, Name: string(c.args[1]), Addr: string(c.args[2])}
	switch {
	case len(c.args) == 4 && lower(string(c.args[3])) == "learner":
		change.Learner = true
	case len(c.args) > 3:
		return resp.Value{}, errSyntax
	}
	id, err := c.d.change(change, wait)
	return resp.Bulk(id.String()), err
}

func memberUpdate(c *call, _ *session, wait waiting) (resp.Value, error) {
	id, err := parseMember(c.args[1])
	if err != nil {
		return resp.Value{}, err
	}
	_, err = c.d.change(raftfsm.Change{Kind: raftfsm.ChangeUpdate, ID: id, Addr: string(c.args[2])}, wait)
	return resp.OK(), err
}

func memberChange(kind raftfsm.ChangeKind) func(*call, *session, waiting) (resp.Value, error) {
	return func(c *call, _ *session, wait waiting) (resp.Value, error) {
		id, err := parseMember(c.args[1])
		if err != nil {
			return resp.Value{}, err
		}
		_, err = c.d.change(raftfsm.Change{Kind: kind, ID: id}, wait)
		return resp.OK(), err
	}
}

// change waits for a change of the membership.
func (d *Dispatcher) change(c raftfsm.Change, wait waiting) (cluster.MemberID, error) {
	changing := d.engine.Change(c)
	if !wait(changing.Done()) {
		return 0, errDoubtfulChange // nobody reads this
	}
	if err := changing.Err(); err != nil {
		return 0, changeFate(err)
	}
	return changing.ID(), nil
}

func parseMember(word []byte) (cluster.MemberID, error) {
	id, err := strconv.ParseUint(string(word), 16, 64)
	if err != nil || len(word) != 16 {
		return 0, errMemberID
	}
	return cluster.MemberID(id), nil
}

// gateMember refuses what a removed member cannot answer: it never hears of a change again. What tells about
// the node itself is still answered.
func gateMember(_ *session, c *call) error {
	if !c.d.engine.IsRemoved() {
		return nil
	}
	listens := c.row.Flags&FlagPubSub != 0 || c.row.Group == "pubsub"
	if k := c.row.Kind; k == KindSession && !listens || k == KindAdmin && c.row.block == nil {
		return nil
	}
	return errRemoved
}
