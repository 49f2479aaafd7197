package faults

import (
	"strings"
	"testing"
	"time"
)

// kept builds the journal of the lock turn:a: lines "revision kind key token value".
func kept(entries ...entry) *journal { return &journal{entries: entries} }

func enters(revision int64, id, value string) entry {
	return entry{"put", turnPrefix + "a/" + id, value, revision, revision}
}

func ends(revision int64, id, kind string) entry {
	return entry{kind, turnPrefix + "a/" + id, "", revision, 0}
}

func writes(revision int64, value string) entry {
	return entry{"put", turnPrefix + "a" + writtenSuffix, value, revision, 1}
}

// proclaims is a write to a place that is there: by the leader of an election.
func proclaims(revision, token int64, id, value string) entry {
	return entry{"put", turnPrefix + "a/" + id, value, revision, token}
}

// turnOf is a turn of lock turn:a from call to got.
func turnOf(token, call, got int64, id string, change ...func(*turn)) *turn {
	t := &turn{name: turnPrefix + "a", key: turnPrefix + "a/" + id, token: token, call: call, got: got}
	for _, c := range change {
		c(t)
	}
	return t
}

func wrote(value string, f fate) func(*turn) {
	return func(t *turn) { t.writes = append(t.writes, fenced{value, f}) }
}

func lostAt(at, promised int64) func(*turn) {
	return func(t *turn) { t.lostAt, t.promised = at, promised }
}

func released(t *turn) { t.giving, t.released = true, t.got+1 }

func TestLockCheckerTellsGoodFromBad(t *testing.T) {
	two := kept(enters(2, "1", "x1"), enters(3, "2", "x2"), writes(4, "2 a"), ends(5, "1", "delete"),
		writes(6, "3 b"), ends(7, "2", "expire"))
	shared := kept(enters(2, "1", "s1"), enters(3, "2", "s2"), enters(4, "3", "x3"), writes(5, "3 a"),
		writes(6, "2 b"), ends(7, "1", "delete"), ends(8, "2", "delete"), writes(9, "4 c"), ends(10, "3", "delete"))
	for _, tc := range []struct {
		name, want string // a part of the error; empty for none
		journal    *journal
		turns      []*turn
	}{
		{"one after the other", "", two, []*turn{turnOf(2, 0, 1, "1", wrote("2 a", done), released),
			turnOf(3, 0, 3, "2", wrote("3 b", done), wrote("3 c", refused), lostAt(9, 8))}},
		{"readers together, then a writer", "", shared,
			[]*turn{turnOf(3, 0, 1, "2", wrote("3 a", done), released)}},
		{"a write of who waits", "did not hold", kept(enters(2, "1", "x1"), enters(3, "2", "x2"),
			writes(4, "3 a")), nil},
		{"a write of who is gone", "did not hold", kept(enters(2, "1", "x1"), ends(3, "1", "delete"),
			writes(4, "2 a")), nil},
		{"a reader behind a writer", "did not hold", kept(enters(2, "1", "s1"), enters(3, "2", "x2"),
			enters(4, "3", "s3"), writes(5, "4 a")), nil},
		{"leaders that proclaim", "", kept(enters(2, "1", "x1"), proclaims(3, 2, "1", "2 a"), enters(4, "2", "x2"),
			ends(5, "1", "delete"), proclaims(6, 4, "2", "4 b"), ends(7, "2", "delete")),
			[]*turn{turnOf(2, 0, 1, "1", wrote("2 a", done), released)}},
		{"a candidate that proclaims", "did not hold", kept(enters(2, "1", "x1"), enters(3, "2", "x2"),
			proclaims(4, 3, "2", "3 a")), nil},
		{"proclaimed by another's token", "did not hold", kept(enters(2, "1", "x1"), enters(3, "2", "x2"),
			proclaims(4, 2, "1", "3 a")), nil},
		{"a proclamation that is lost", "is lost", kept(enters(2, "1", "x1"), ends(3, "1", "delete")),
			[]*turn{turnOf(2, 0, 1, "1", wrote("2 a", done))}},
		{"a lock that is never freed", "stuck", kept(enters(2, "1", "x1")), nil},
		{"a token that does not rise", "behind token", kept(enters(3, "1", "x1"), enters(2, "2", "x2")), nil},
		{"told to hold and was not there", "never written", two, []*turn{turnOf(4, 0, 1, "4")}},
		{"told to hold and only waited", "never did", kept(enters(2, "1", "x1"), enters(3, "2", "x2"),
			ends(4, "2", "delete"), ends(5, "1", "delete")), []*turn{turnOf(3, 0, 1, "2")}},
		{"an acknowledged write is lost", "is lost", two, []*turn{turnOf(2, 0, 1, "1", wrote("2 z", done))}},
		{"a refused write was done", "was refused", two, []*turn{turnOf(2, 0, 1, "1", wrote("2 a", refused))}},
		{"lost while it was held", "before it was given back", two, []*turn{turnOf(2, 0, 1, "1", lostAt(9, 8))}},
		{"its lease ended early", "before its time", two, []*turn{turnOf(3, 0, 1, "2", lostAt(8, 9))}},
		{"released and still there", "released, and yet", two, []*turn{turnOf(3, 0, 1, "2", released)}},
		{"tokens that fall", "was given after", two, []*turn{turnOf(3, 0, 1, "2"), turnOf(2, 5, 6, "1")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := checkLocks(tc.journal, tc.turns, nil)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestLockWorkIsCounted(t *testing.T) {
	j := kept(enters(2, "1", "x1"), enters(3, "2", "x2"), enters(4, "3", "x3"), ends(5, "3", "delete"),
		ends(6, "1", "delete"), ends(7, "2", "expire"))
	first := turnOf(2, 0, 1, "1", released)
	next := turnOf(3, 0, first.released+5*ms, "2")
	work, err := checkLocks(j, []*turn{first, next}, []string{"x2", "x3"})
	if err != nil || work.left != 1 || work.kept != 1 || work.handOver(2) != 5*time.Millisecond {
		t.Errorf("%+v, %v", work, err)
	}
	if lack := work.lack(); len(lack) != 4 {
		t.Errorf("next to no work: %v", lack)
	}
	slow := lockWork{turns: minTurns, writes: minTurns, late: minLate, left: minLeft, proclaims: minProclaims}
	for range minHandOvers {
		slow.handOvers = append(slow.handOvers, handOverTime)
	}
	if lack := slow.lack(); len(lack) != 0 {
		t.Errorf("enough work: %v", lack)
	}
	for i := range slow.handOvers {
		slow.handOvers[i]++
	}
	slow.kept = minLeft + 1
	if lack := slow.lack(); len(lack) != 2 {
		t.Errorf("slow hand-overs and kept places: %v", lack)
	}
}

func TestLeaseCheckerTellsGoodFromBad(t *testing.T) {
	const s = int64(time.Second)
	lived := func(promised, latest int64, looks ...sight) *tenancy {
		return &tenancy{ttl: time.Second, promised: promised, latest: latest, sights: looks}
	}
	for _, tc := range []struct {
		name, want string
		lease      *tenancy
	}{
		{"gone in time", "", lived(s, ms, sight{s / 2, s / 2, true}, sight{s, s + ms, false})},
		{"gone early", "before its time", lived(s, ms, sight{s / 2, s / 2, false})},
		{"said to be gone and still there", "was still there", &tenancy{ttl: time.Second, latest: ms,
			refused: 2 * s, sights: []sight{{2*s + 1, 2*s + 2, true}}}},
		{"gone early by its own word", "said to be gone", &tenancy{promised: s, refused: s - 1}},
		{"seen in the time without leader", "", lived(s, 0, sight{4 * s, 5 * s, true})},
		{"seen too late", "after its time", lived(s, 0, sight{4*s + ms, 5 * s, true})},
		{"seen late after a renewal of unknown outcome", "", lived(s, forever, sight{9 * s, 9 * s, true})},
		{"renewed after its end", "renewed after", lived(5*s, 4*s, sight{s, s, false})},
		{"came back", "came back", lived(s, 0, sight{s, s, false}, sight{s + 1, s + 1, true})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := checkLeases([]*tenancy{tc.lease}, []idle{{s, 2 * s}})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	gap := idleTimes([]*Op{op(0, 0, 0, setKind, "OK"), op(0, 0, 5, getKind, "a"), op(0, 0, s, setKind, "OK")})
	if len(gap) != 1 || within(gap, s/2, 2*s) != s/2 {
		t.Errorf("time without acknowledged writes: %v", gap)
	}
	if lack := (&leaseWork{}).lack(); len(lack) != 1 {
		t.Errorf("no work: %v", lack)
	}
}

func TestTenureChecker(t *testing.T) {
	good := []tenure{{"l", 1, 0, 5}, {"l", 2, 5, 9}, {"other", 3, 1, 9}}
	if err := checkTenures(good); err != nil {
		t.Error(err)
	}
	if err := checkTenures(append(good, tenure{"l", 3, 8, 12})); err == nil {
		t.Error("two had the lock at a time")
	}
}
