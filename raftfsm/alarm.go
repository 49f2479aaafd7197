package raftfsm

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Alarms, of two sorts.
//
// CORRUPT is replicated: a request in the log raises it, every member has it in its state and in its
// snapshots, and it stays until somebody disarms it. It has to outlive restarts and leaders, because the
// member that it speaks of must not be served from until somebody has looked at it.
//
// Everything else is a condition of one member (vitals.go): members tell each other what they see of
// themselves, and a condition ends with its cause. Putting those into the log would need what they take
// away: a disk that takes writes and a leader.
//
// Alarm in version 1 of the log format (codec.go):
//
//	Alarm = u8 0, u8 kind, u64 member, bytes detail     raise; one that is up stays as it is
//	        u8 1, u8 kind, u64 member                   disarm; kind 0 is every kind, member 0 every member
//	        u8 2, u8 kind, u64 member                   disarm of exactly that member, 0 included
const (
	alarmRaise  = 0
	alarmDisarm = 1
	alarmSingle = 2
)

// AlarmKind is what an alarm warns of. The values of the replicated ones are part of the log format, all of
// them are part of the peer protocol: they are never renumbered.
type AlarmKind uint8

const (
	// AlarmCorrupt: the member's state differs from that of a majority. It serves nothing. Member 0: members
	// differ and no majority says which of them is right; none of them serves anything.
	AlarmCorrupt AlarmKind = 1 + iota
	// AlarmNoSpace: the state has reached the member's quota.
	AlarmNoSpace
	// AlarmHungDisk: a write to the log has not come back for far too long.
	AlarmHungDisk
	// AlarmSlowDisk: writes to the log take too long again and again.
	AlarmSlowDisk
	// AlarmSnapshotLoop: the member is sent one snapshot after the other and does not catch up.
	AlarmSnapshotLoop
	// AlarmClock: the member's wall clock jumped lately, or is behind the time in the log.
	AlarmClock
	// AlarmDiskFull: the member's disk has less free space than its reserve.
	AlarmDiskFull
	alarmKinds // how many there are, plus one
)

var alarmNames = [alarmKinds]string{"", "CORRUPT", "NOSPACE", "HUNGDISK", "SLOWDISK", "SNAPSHOTLOOP", "CLOCK",
	"DISKFULL"}

func (k AlarmKind) String() string {
	if k >= alarmKinds {
		return "UNKNOWN"
	}
	return alarmNames[k]
}

// AlarmKinds returns every kind, in the order of their numbers.
func AlarmKinds() (list []AlarmKind) {
	for k := AlarmCorrupt; k < alarmKinds; k++ {
		list = append(list, k)
	}
	return list
}

// ParseAlarm finds a kind by its name in any case; ok is false iff there is none.
func ParseAlarm(name string) (k AlarmKind, ok bool) {
	i := slices.Index(alarmNames[1:], strings.ToUpper(name))
	return AlarmKind(i + 1), i >= 0
}

// Alarm is one alarm that is up.
type Alarm struct {
	Kind       AlarmKind
	Member     cluster.MemberID
	Since      mvcc.UnixMilli
	Detail     string
	Replicated bool // stays until it is disarmed
}

func compareAlarms(a, b Alarm) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Member, b.Member))
}

func (s *Submission) addAlarmRaise(k AlarmKind, m cluster.MemberID, detail string) {
	s.add(ReqAlarm, func(b []byte) []byte {
		return appendBytes(binary.BigEndian.AppendUint64(append(b, alarmRaise, byte(k)), uint64(m)), detail)
	})
}

func (s *Submission) addAlarmClear(k AlarmKind, m cluster.MemberID) {
	s.add(ReqAlarm, func(b []byte) []byte {
		return binary.BigEndian.AppendUint64(append(b, alarmSingle, byte(k)), uint64(m))
	})
}

// AddAlarmDisarm asks for the end of replicated alarms: of one kind or all (0), of one member or all (0). The
// result's operation counts in N how many there were.
func (s *Submission) AddAlarmDisarm(k AlarmKind, m cluster.MemberID) {
	s.add(ReqAlarm, func(b []byte) []byte {
		return binary.BigEndian.AppendUint64(append(b, alarmDisarm, byte(k)), uint64(m))
	})
}

// alarmRequest is a decoded Alarm request.
type alarmRequest struct {
	action byte
	alarm  Alarm
}

func (r *reader) alarm() (a alarmRequest) {
	a.action = r.enum("alarm action", alarmRaise, alarmSingle)
	a.alarm.Kind = AlarmKind(r.enum("alarm", 0, byte(alarmKinds-1)))
	a.alarm.Member = cluster.MemberID(r.u64())
	if a.action == alarmRaise {
		a.alarm.Detail = strings.Clone(r.bytes())
	}
	if a.action != alarmDisarm && a.alarm.Kind == 0 {
		r.fail("alarm without a kind")
	}
	a.alarm.Replicated = true
	return a
}

// changeAlarms applies an Alarm request to the list, which readers hold without a lock.
func (m *machine) changeAlarms(b *mvcc.Batch, req alarmRequest, res *mvcc.Result) {
	before := *m.alarms.Load()
	var after []Alarm
	if req.action == alarmRaise {
		after = withAlarm(before, req.alarm, mvcc.UnixMilli(m.clock.Load()))
	} else {
		after = slices.DeleteFunc(slices.Clone(before), req.ends)
	}
	m.alarms.Store(&after)
	m.hooks.alarmed()
	if res != nil {
		res.Succeeded, res.Revision = true, b.Revision()
		res.Ops = append(res.Ops[:0], mvcc.OpResult{N: int64(max(len(before)-len(after), 0))})
	}
}

// withAlarm returns the list with one more alarm, in order, unless it is up already.
func withAlarm(list []Alarm, a Alarm, now mvcc.UnixMilli) []Alarm {
	at, up := slices.BinarySearchFunc(list, a, compareAlarms)
	if up {
		return list
	}
	a.Since = now
	return slices.Insert(slices.Clone(list), at, a)
}

// ends reports whether the request disarms a.
func (r alarmRequest) ends(a Alarm) bool {
	if r.action == alarmSingle {
		return a.Kind == r.alarm.Kind && a.Member == r.alarm.Member
	}
	return (r.alarm.Kind == 0 || r.alarm.Kind == a.Kind) && (r.alarm.Member == 0 || r.alarm.Member == a.Member)
}

// appendAlarms writes a snapshot's block 'A': uvarint n, (u8 kind, u64 member, u64 since, bytes detail) × n.
func appendAlarms(b []byte, list []Alarm) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, a := range list {
		b = binary.BigEndian.AppendUint64(append(b, byte(a.Kind)), uint64(a.Member))
		b = appendBytes(binary.BigEndian.AppendUint64(b, uint64(a.Since)), a.Detail)
	}
	return b
}

func (r *reader) alarms() (list []Alarm) {
	for range r.count(18) {
		list = append(list, Alarm{
			Kind:   AlarmKind(r.enum("alarm", 1, byte(alarmKinds-1))),
			Member: cluster.MemberID(r.u64()), Since: mvcc.UnixMilli(r.u64()), Detail: strings.Clone(r.bytes()),
			Replicated: true,
		})
	}
	if !slices.IsSortedFunc(list, compareAlarms) {
		r.fail("alarms out of order")
	}
	return list
}

// Alarms returns all that is up, as far as this member knows: what the log says, its own condition, and what
// the others told it of theirs lately. It needs no quorum.
func (e *Engine) Alarms() []Alarm {
	list := slices.Clone(*e.machine.alarms.Load())
	list = append(list, e.guard.conditions(time.Now())...)
	slices.SortStableFunc(list, compareAlarms)
	return slices.CompactFunc(list, func(a, b Alarm) bool { return compareAlarms(a, b) == 0 })
}

// MemberNames returns the names of the members that have introduced themselves.
func (e *Engine) MemberNames() map[cluster.MemberID]string {
	names := map[cluster.MemberID]string{}
	for _, m := range e.node.Members() {
		names[m.ID] = m.Name
	}
	for _, rec := range *e.machine.members.Load() {
		names[rec.ID] = rec.Name
	}
	return names
}

// ClockJumps returns how often this member's wall clock has jumped since the start.
func (e *Engine) ClockJumps() uint64 { return e.clock.jumps.Load() }

// Fenced returns nil, or ErrCorrupt while this member serves nothing because its state is in doubt. It takes
// no lock.
func (e *Engine) Fenced() error {
	list := *e.machine.alarms.Load()
	for i := range list {
		if list[i].Kind == AlarmCorrupt && (list[i].Member == 0 || list[i].Member == e.node.Self()) {
			return ErrCorrupt
		}
	}
	return nil
}
