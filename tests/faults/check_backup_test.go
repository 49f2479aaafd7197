package faults

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// rec is a record as KV.RANGE shows it.
func rec(key, value string, revision string) wire.Reply {
	text := func(s string) wire.Reply { return wire.Reply{Kind: '$', Text: s} }
	return wire.Reply{Kind: '*', Elems: []wire.Reply{
		text("key"), text(key), text("value"), text(value), text("mod_revision"), text(revision),
	}}
}

func TestBackupCheckerTellsGoodFromBad(t *testing.T) {
	r := &run{
		archive: &archive{versions: map[string][]version{
			"p0:0": {{revision: 5, exists: true, value: "a"}, {revision: 9, exists: true, value: "b"}},
			"p0:1": {{revision: 6, exists: true, value: "c"}, {revision: 7}},
			"p0:2": {{revision: 8, exists: true, value: "d"}},
			"p0:3": nil,
		}},
		journal: &journal{entries: []entry{
			{"put", "turn:a/1", "x", 3, 3}, {"delete", "turn:a/1", "", 8, 0}, {"put", "turn:b/2", "y", 9, 9},
		}},
	}
	s := r.stateAt(7)
	a, lock := rec("p0:0", "a", "5"), rec("turn:a/1", "x", "3")
	if n, err := s.match([]wire.Reply{a, lock, rec("another", "1", "2")}, 7); n != 2 || err != nil {
		t.Errorf("what was there at revision 7: %d compared, %v", n, err)
	}
	for want, bad := range map[string][]wire.Reply{
		"is gone":              {lock},
		"turn:a/1 is gone":     {a},
		"was \"a\"":            {rec("p0:0", "b", "5"), lock},
		"of revision 4":        {rec("p0:0", "a", "4"), lock},
		"after the backup":     {rec("p0:0", "b", "9"), lock},
		"p0:1 is \"c\"":        {a, lock, rec("p0:1", "c", "6")},
		"turn:b/2 is \"y\"":    {a, lock, rec("turn:b/2", "y", "7")},
		"p0:3 is \"z\"":        {a, lock, rec("p0:3", "z", "7")},
		"another is of revisi": {a, lock, rec("another", "z", "8")},
	} {
		if _, err := s.match(bad, 7); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if r.archive.after(7) != 2 {
		t.Errorf("%d changes came after revision 7", r.archive.after(7))
	}
}

func TestBackupCheckerKnowsWhenABackupBegan(t *testing.T) {
	a := &archive{versions: map[string][]version{"p0:0": {{revision: 12, exists: true, value: "[1.1]"}}}}
	set := func(call, ret int64) *Op {
		return &Op{Kind: setKind, Values: []string{"[1.1]"}, Call: call, Ret: ret, Answer: "OK"}
	}
	b := &backup{began: 100, ended: 200, revision: 11}
	for _, c := range []struct {
		op   *Op
		good bool
		at   int64
	}{
		{set(10, 50), false, 11}, // acknowledged before, and not in it
		{set(10, 50), true, 12},
		{set(10, 150), true, 11}, // beside it
		{set(210, 250), true, 11},
		{set(210, 250), false, 13}, // a revision that was still to come
	} {
		b.revision = c.at
		if err := checkCovers(b, moments([]*Op{c.op}, a)); (err == nil) != c.good {
			t.Errorf("from %d to %d beside a backup of revision %d: %v", c.op.Call, c.op.Ret, c.at, err)
		}
	}
	lost := set(10, forever)
	lost.Unknown = true
	if n := len(moments([]*Op{lost}, a)); n != 0 {
		t.Error("what has no answer says nothing")
	}
}

// A node that is cut off does not know what was acknowledged elsewhere: it must not give what it has. Back
// among the others it gives everything.
func TestABackupOfANodeThatIsCutOff(t *testing.T) {
	p := &Profile{Name: "cut off", Nodes: 3, Clients: 2, Pace: 5 * time.Millisecond}
	w := newWorld(t, p)
	w.run = newRun(theSeed(), p)
	end := w.run.load(w.cluster.Nodes)
	defer end()
	w.awaitWrites(100, 30*time.Second)
	n := w.cluster.Leader()
	i := w.index(n)
	heal := cut(w, false, i, func(from, to int) bool { return from == i || to == i })
	w.awaitWrites(300, 10*time.Second)
	if _, err := w.save(n); err == nil {
		t.Errorf("%s gave a backup, which it cannot know to hold what was acknowledged", n.Name)
	}
	heal()
	w.awaitWrites(100, 30*time.Second)
	var b *backup
	node.Eventually(t, 20*time.Second, n.Name+" gives a backup and a lock", func() (err error) {
		if b, err = w.save(n); err == nil && b.kept == nil {
			err = errors.New("it gave no lock")
		}
		return err
	})
	end()
	if err := errors.Join(w.verify(b), w.completeArchive()); err != nil {
		t.Fatal(err)
	}
	ops, _, _ := w.run.gather(t, &result{})
	all := moments(ops, w.run.archive)
	if err := checkCovers(b, all); err != nil || len(all) < 500 {
		t.Errorf("%v; %d operations", err, len(all))
	}
}

// completeArchive reads the history of everything.
func (w *world) completeArchive() error {
	w.cluster.WaitSame()
	_, err := w.run.archive.collect(w.cluster.Nodes[0].ClientAddr, 0, w.run.partitions)
	return err
}
