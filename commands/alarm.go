package commands

import (
	"fmt"
	"strconv"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// Alarms: what an operator should look at, of every member, seen from any member. CORRUPT stays until it is
// disarmed; the others end with their cause (raftfsm/alarm.go).

var alarmRows = []Command{
	{Name: "alarm.list", Arity: 1, Kind: KindAdmin, Flags: clusterFlags, Group: "cluster", Since: "0.3.0",
		Categories: CatCluster, Complexity: "O(N) where N is the number of alarms",
		Summary: "Lists the alarms that are up: an array of maps member, name, alarm (CORRUPT, NOSPACE, " +
			"DISKFULL, HUNGDISK, SLOWDISK, SNAPSHOTLOOP, CLOCK), since (Unix milliseconds), detail, sticky (1: " +
			"stays until it is disarmed).",
		session: alarmList},
	{Name: "alarm.disarm", Arity: -1, Kind: KindWrite, Group: "cluster", Since: "0.3.0",
		Flags:      clusterFlags | FlagAdmin | FlagNoMulti | FlagNoScript,
		Categories: CatCluster, Complexity: "O(N) where N is the number of alarms",
		Summary: "Ends sticky alarms: all, those of one kind, or of one kind and one member; returns how many " +
			"there were. An alarm whose cause is still there comes back within seconds.",
		Args: args(argString("alarm").opt(), argString("member").opt()), plan: alarmDisarm},
}

func alarmList(c *call, _ *session) (resp.Value, error) { return c.d.alarms(), nil }

// alarms is the reply of ALARM.LIST, and part of that of CLUSTER.HEALTH.
func (d *Dispatcher) alarms() resp.Value {
	list := d.engine.Alarms()
	names := d.engine.MemberNames()
	out := make([]resp.Value, len(list))
	for i, a := range list {
		out[i] = resp.Map(
			resp.Bulk("member"), resp.Bulk(a.Member.String()),
			resp.Bulk("name"), resp.Bulk(names[a.Member]),
			resp.Bulk("alarm"), resp.Bulk(a.Kind.String()),
			resp.Bulk("since"), resp.Int(int64(a.Since)),
			resp.Bulk("detail"), resp.Bulk(a.Detail),
			resp.Bulk("sticky"), yes(a.Replicated),
		)
	}
	return resp.ArrayOf(out)
}

func alarmDisarm(c *call) (render, error) {
	var kind raftfsm.AlarmKind
	var member uint64
	if len(c.args) > 3 {
		return nil, errSyntax
	}
	if len(c.args) > 1 {
		var ok bool
		if kind, ok = raftfsm.ParseAlarm(string(c.args[1])); !ok {
			return nil, errAlarmKind
		}
	}
	if len(c.args) > 2 {
		var err error
		if member, err = strconv.ParseUint(string(c.args[2]), 16, 64); err != nil {
			return nil, errMemberID
		}
	}
	c.request = func(s *raftfsm.Submission) { s.AddAlarmDisarm(kind, cluster.MemberID(member)) }
	return firstNumber, nil
}

// gateFenced refuses everything that shows or changes the state while this member's state is in doubt. Of the
// commands that do, those flagged stale answer all the same.
func gateFenced(_ *session, c *call) error {
	if !c.row.showsState() || c.d.engine.Fenced() == nil {
		return nil
	}
	return errCorrupt
}

// showsState reports whether a command's answer depends on the replicated state, or changes it.
func (row *Command) showsState() bool {
	switch {
	case row.Flags&FlagPubSub != 0, row.Kind == KindScript, row.Categories&CatTransaction != 0, row.ofState:
		return true
	case row.Kind == KindSession || row.Kind == KindAdmin:
		return false
	}
	return row.Flags&FlagStale == 0
}

// alarmTexts are the alarms in one line each, for CLUSTER.STATUS, as etcd's endpoint status has them.
func alarmTexts(list []raftfsm.Alarm) (out []resp.Value) {
	for _, a := range list {
		out = append(out, resp.Bulk(fmt.Sprintf("memberID:%s alarm:%s", a.Member, a.Kind)))
	}
	return out
}

// sick says why a member that answers cannot be used; "" if it can.
func sick(list []raftfsm.Alarm, id cluster.MemberID) (reason string) {
	for _, a := range list {
		if a.Kind == raftfsm.AlarmCorrupt && (a.Member == id || a.Member == 0) {
			return errCorruptReason
		}
	}
	return ""
}

// infoAlarms counts the alarms of the cluster by kind.
func infoAlarms(w *infoWriter) {
	count := map[raftfsm.AlarmKind]int{}
	list := w.d.engine.Alarms()
	for _, a := range list {
		count[a.Kind]++
	}
	w.field("alarms", len(list))
	for _, kind := range raftfsm.AlarmKinds() {
		w.field("alarm_"+lower(kind.String()), count[kind])
	}
	w.field("fenced", yes(w.d.engine.Fenced() != nil).Num())
	agreed, differing := w.d.engine.Compared()
	w.field("state_compared_index", agreed)
	w.field("state_differences", differing)
	w.field("clock_jumps", w.d.engine.ClockJumps())
	for i, a := range list {
		fmt.Fprintf(w, "alarm%d:alarm=%s,member=%s,since=%d\r\n", i, a.Kind, a.Member, a.Since)
	}
}
