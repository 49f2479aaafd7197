package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Vitals are what a member tells the others of itself, once a second: the conditions that it is in, and the
// footprint of its state (trail.go).
//
//	question = u64 index of the entry whose footprint is wanted; 0 for none
//	answer   = u8 version (1), footprint, alarms (as in a snapshot)
//	footprint = u64 index, u64 revision, u64 hash; zeros if the member has none
//
// A version says how the hash is computed: members of different versions are not compared.
const vitalsVersion = 1

// vitals is a decoded answer.
type vitals struct {
	from  cluster.MemberID
	at    time.Time
	print footprint
	list  []Alarm
}

func (v vitals) encode() []byte {
	b := []byte{vitalsVersion}
	for _, n := range [3]uint64{uint64(v.print.index), uint64(v.print.revision), v.print.hash} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return appendAlarms(b, v.list)
}

var errVitals = errors.New("vitals of another version")

func decodeVitals(b []byte) (v vitals, err error) {
	r := reader{b: b}
	if r.u8() != vitalsVersion {
		return v, errVitals
	}
	v.print = footprint{cluster.Index(r.u64()), mvcc.Revision(r.u64()), r.u64()}
	v.list = r.alarms()
	for i := range v.list {
		v.list[i].Replicated = false
	}
	return v, r.end()
}

// answerVitals is the cluster.Handler of kindVitals.
func (e *Engine) answerVitals(_ cluster.MemberID, payload []byte, reply func([]byte)) {
	v := vitals{list: e.guard.own()}
	if len(payload) == 8 {
		if index := cluster.Index(binary.BigEndian.Uint64(payload)); index > 0 {
			v.print = e.machine.trail.asOf(index)
		}
	}
	reply(v.encode())
}

// examine returns the conditions that this member is in now. before is what it returned the last time: a
// condition that lasts keeps its beginning.
func (e *Engine) examine(now time.Time, before []Alarm) []Alarm {
	var list []Alarm
	add := func(k AlarmKind, m cluster.MemberID, format string, args ...any) {
		a := Alarm{Kind: k, Member: m, Since: mvcc.UnixMilli(e.cfg.Clock().UnixMilli()),
			Detail: fmt.Sprintf(format, args...)}
		if i := slices.IndexFunc(before, func(b Alarm) bool { return compareAlarms(a, b) == 0 }); i >= 0 {
			a.Since = before[i].Since
		}
		list = append(list, a)
	}
	self := e.node.Self()
	switch err := e.ownSpace(); {
	case errors.Is(err, ErrDiskFull):
		add(AlarmDiskFull, self, "%d bytes free, the reserve is %d", e.diskFree.Load(), e.cfg.DiskReserveBytes)
	case err != nil:
		add(AlarmNoSpace, self, "%d bytes of state, the quota is %d", e.machine.store.StateBytes(),
			e.cfg.QuotaBytes)
	}
	disk := e.node.Disk()
	if disk.Hung > 0 {
		add(AlarmHungDisk, self, "a write to the log has not come back for %v",
			disk.Hung.Round(100*time.Millisecond))
	}
	if disk.Slow > 0 {
		add(AlarmSlowDisk, self, "%d writes to the log within a minute took over %v, the slowest %v",
			disk.Slow, cluster.SlowSync, disk.Worst.Round(time.Millisecond))
	}
	for _, l := range e.node.SnapshotLoops() {
		add(AlarmSnapshotLoop, l.Member, "sent %d snapshots since it was last up to date", l.Installs)
	}
	if why := e.clock.trouble(now); why != "" {
		add(AlarmClock, self, "%s", why)
	}
	slices.SortFunc(list, compareAlarms)
	return list
}
