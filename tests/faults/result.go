package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// The least a run must consist of; below it the run says nothing, and fails.
const (
	minPerKind     = 20
	minLocal       = 100
	minTold        = 2000
	maxUnavailable = 15 * time.Second
	searchTime     = 2 * time.Minute
)

// result is what a segment did and what its checks had to work with.
type result struct {
	injected  map[string]int
	struck    int
	took      time.Duration // of the faults, without the checks
	worstGap  time.Duration // longest wait for writes after all faults had ended
	touched   int64         // packets that network faults dropped or held back
	snapshots int           // installed by members that were behind
	probed    int           // reads that woken nodes answered, which had waited in their sockets

	perKind                                  map[string]int // answered
	answered, maybes, decided, refused, lost int
	local, versions, marks, revisions, whole int
	hashed                                   int // members compared
	checking                                 time.Duration

	watch   watchWork
	fell    int           // watches whose queue overflowed
	behind  time.Duration // until the last watcher had been told everything
	locks   lockWork
	leases  leaseWork
	tenures int // of users of lock libraries

	saved, restored, compared, kept int // backups, those restored, keys of these compared, and locks kept
}

// check runs every checker over what the segment has recorded, and forgets it.
func (r *run) check(t testing.TB, w *world, res *result) {
	t.Helper()
	from := time.Now()
	ops, refused, reads := r.gather(t, res)
	tolerance := r.tolerance(w)
	linear, decided := decideMaybes(ops, r.archive)
	res.decided = decided
	report := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	var err error
	report("linearizability", checkLinear(narrow(linear, r.archive), tolerance, searchTime))
	res.revisions, err = checkRevisions(ops)
	report("revisions", err)
	res.marks, err = checkAcknowledged(ops, refused, r.archive)
	report("acknowledged", err)
	res.whole, err = checkWhole(ops, r.archive)
	report("whole", err)
	res.local, err = checkLocal(reads, r.archive, tolerance)
	report("local reads", err)
	res.watch, err = checkWatches(r.watchers, r.facts)
	report("watches", err)
	t.Logf("watchers: %+v, fell behind %d times; the last had caught up after %v", res.watch, res.fell,
		res.behind.Round(time.Millisecond))
	res.hashed, err = checkHashes(w.cluster.Nodes)
	report("state hashes", err)
	r.checkTurns(t, ops, res)
	report("backups", r.checkBackups(w, ops, res))
	res.checking = time.Since(from)
	for _, problem := range res.lackOfWork(r.profile) {
		t.Error(problem)
	}
}

// tolerance is how far clocks may be apart in this run.
func (r *run) tolerance(w *world) slack {
	if strings.Contains(r.profile.Faults, "clock") || r.profile.Faults == "all" {
		return slack(4 * maxJump)
	}
	return slack(50 * time.Millisecond)
}

// gather takes what all clients have recorded; they start anew.
func (r *run) gather(t testing.TB, res *result) (ops, refused []*Op, reads []localRead) {
	t.Helper()
	res.perKind = map[string]int{}
	for _, c := range r.clients {
		ops, refused = append(ops, c.ops...), append(refused, c.refused...)
		res.lost += c.lost
		if c.problem != nil {
			t.Error(c.problem)
		}
	}
	for _, l := range r.locals {
		reads = append(reads, l.reads...)
		if l.problem != nil {
			t.Error(l.problem)
		}
	}
	for _, op := range ops {
		if op.Unknown {
			res.maybes++
			continue
		}
		res.answered++
		res.perKind[op.Kind.Name]++
	}
	res.refused = len(refused)
	return ops, refused, reads
}

// lackOfWork says why a segment did too little to mean anything.
func (res *result) lackOfWork(p *Profile) (out []error) {
	say := func(format string, args ...any) {
		out = append(out, fmt.Errorf("too little work: "+format, args...))
	}
	for _, k := range kinds {
		if n := res.perKind[k.Name]; n < minPerKind {
			say("%d operations %s were answered, want %d", n, k.Name, minPerKind)
		}
	}
	if res.struck == 0 {
		say("no fault struck")
	}
	if p != soakProfile && res.lacksSnapshots() { // a soak's segment is short: it is asked as a whole
		say("no snapshot was installed")
	}
	if res.injected["pause leader"]+res.injected["pause follower"] > 0 && res.probed == 0 {
		say("no node that was paused answered a read that had waited")
	}
	if res.local < minLocal || res.marks == 0 || res.revisions == 0 || res.versions == 0 || res.whole == 0 {
		say("%d local reads, %d writes looked up, %d in one revision with another, %d revisions, %d versions",
			res.local, res.marks, res.whole, res.revisions, res.versions)
	}
	if w := res.watch; w.events < minTold || w.prevs == 0 || w.progress == 0 || w.resumed == 0 {
		say("watchers were told %+v", w)
	}
	if res.fell == 0 && p.Clients > 1 { // one client a node may write too little to fill a queue
		say("no watcher fell behind")
	}
	if res.hashed < p.Nodes {
		say("the state of %d members was compared, want %d", res.hashed, p.Nodes)
	}
	if res.injected["back up"] > 0 && res.lacksBackups(p) {
		say("%d backups, %d restored, %d keys and %d locks of them compared", res.saved, res.restored,
			res.compared, res.kept)
	}
	if res.worstGap > maxUnavailable {
		say("no write was acknowledged for %v after the faults had ended", res.worstGap)
	}
	return out
}

// lacksSnapshots reports whether members were left behind and none was given a snapshot.
func (res *result) lacksSnapshots() bool {
	return res.injected["lag behind a snapshot"]+res.injected["lag while cut off"] > 0 && res.snapshots == 0
}

// lacksBackups reports whether no restored backup had anything to show. In a short segment of a soak each may
// have been taken while there was no majority to acquire a lock.
func (res *result) lacksBackups(p *Profile) bool {
	return res.restored == 0 || res.compared == 0 || res.kept == 0 && p != soakProfile
}

// missing returns the faults of a profile that never struck, or never did what they are for.
func missing(p *Profile, injected map[string]int) (out []string) {
	all, _ := faultsNamed(p.Faults)
	for _, f := range all {
		if injected[f.Name] == 0 {
			out = append(out, f.Name)
		}
	}
	return out
}

// checkHashes compares the state of all members at the same revision, both the hash that each keeps as it
// writes and the one it computes from what is there.
func checkHashes(nodes []*node.Node) (compared int, err error) {
	at, err := wire.Once(nodes[0].ClientAddr, 5*time.Second, "KV.HASH")
	if err != nil {
		return 0, err
	}
	revision, ok := at.Field("revision")
	if !ok {
		return 0, fmt.Errorf("KV.HASH: %s", at)
	}
	want := ""
	for _, n := range nodes {
		for _, args := range [][]string{{"KV.HASH"}, {"KV.HASH", "AT", revision.Text}} {
			r, err := wire.Once(n.ClientAddr, 5*time.Second, args...)
			if err != nil {
				return compared, err
			}
			got := fmt.Sprint(r.Elems)
			if hash, ok := r.Field("hash"); ok {
				rev, _ := r.Field("revision")
				got = rev.Text + " " + hash.Text
			}
			if want == "" {
				want = got
			}
			if got != want {
				return compared, fmt.Errorf("%v at %s is %s, and %s elsewhere", args, n.Name, got, want)
			}
		}
		compared++
	}
	return compared, nil
}

// summary is what a run prints when it is over.
func (res *result) summary() string {
	var per []string
	for name, n := range res.perKind {
		per = append(per, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(per)
	turns := ""
	if res.locks.turns+res.leases.leases > 0 {
		turns = fmt.Sprintf("; %v; %v; %d tenures of lock libraries", &res.locks, &res.leases, res.tenures)
	}
	backups := ""
	if res.saved > 0 {
		backups = fmt.Sprintf("; %d backups, %d restored, %d keys and %d locks of them compared", res.saved,
			res.restored, res.compared, res.kept)
	}
	return fmt.Sprintf("%d faults; %d operations answered (%s), %d of unknown outcome (%d found never done), "+
		"%d refused, %d reads lost, %d local reads; %d versions in the archive, %d writes looked up; %d packets "+
		"touched, %d snapshots installed; longest wait for writes %v; %.0f operations a second, checked in %v",
		res.struck, res.answered, strings.Join(per, ", "), res.maybes, res.decided, res.refused, res.lost,
		res.local, res.versions, res.marks, res.touched, res.snapshots, res.worstGap.Round(time.Millisecond),
		float64(res.answered+res.local)/(res.took+res.checking).Seconds(),
		res.checking.Round(time.Millisecond)) + turns + backups
}

// brief is the summary in a line.
func (res *result) brief() string {
	return fmt.Sprintf("%d faults, %d operations checked, %.0f a second, longest wait for writes %v", res.struck,
		res.answered+res.local, float64(res.answered+res.local)/(res.took+res.checking).Seconds(),
		res.worstGap.Round(time.Millisecond))
}
