package faults

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// A comeback is the worst that can happen: all nodes and all their disks are lost at once, and the cluster
// is made anew from the last backup, on every node from the same file. It comes between two segments and
// not in the middle of one, since what was acknowledged after the backup is lost by definition: a linear
// order of all answers does not exist. So the segment that was lost is checked first, as it was; then each
// restored node is held against the history of that segment at the backup's revision, no more and no less;
// and the next segment puts its load and its faults on the restored cluster, with every check.

// comeBack loses everything and restores it. It returns false if there is no backup to restore.
//
// REQUIRES: the segment has been checked, and nobody writes.
func (w *world) comeBack() bool {
	w.t.Helper()
	if len(w.vault.backups) == 0 {
		return false
	}
	began, b := time.Now(), w.vault.backups[len(w.vault.backups)-1]
	told, err := revisionOf(w.cluster.Nodes[0].ClientAddr)
	if err != nil {
		w.t.Fatal(err)
	}
	s, lost := w.run.stateAt(b.revision), w.run.archive.after(b.revision)
	from := w.loseAll(b)
	for _, n := range w.cluster.Nodes {
		if _, err := checkRestored(n, from, told, s, b.revision); err != nil {
			w.t.Errorf("%s, back from revision %d: %v", n.Name, b.revision, err)
		}
	}
	if b.kept != nil {
		err = b.kept.check(w.cluster.Nodes[1], told)
	}
	if err != nil {
		w.t.Errorf("the cluster, back from revision %d: %v", b.revision, err)
	}
	if lost == 0 || len(s) == 0 {
		w.t.Errorf("too little work: the backup has %d keys, %d changes came after it", len(s), lost)
	}
	w.run.startOver(from)
	w.withdraw()
	if w.run.profile.Lockers > 0 {
		w.run.settleLocks(w)
	}
	w.cluster.WaitSame()
	if _, err := checkHashes(w.cluster.Nodes); err != nil {
		w.t.Errorf("back from revision %d: %v", b.revision, err)
	}
	w.say("all nodes lost; back from revision %d of %d, %d changes less, after %v", b.revision, told, lost,
		time.Since(began).Round(time.Millisecond))
	return true
}

// loseAll kills every node, takes the disks away, and makes the cluster anew from a backup.
func (w *world) loseAll(b *backup) (from int64) {
	w.t.Helper()
	var members []string
	for _, n := range w.cluster.Nodes {
		n.Kill9()
		n.Rejoin()
		members = append(members, n.Name+"="+n.PeerAddr)
	}
	if w.spare != nil && w.spare.Proc != nil {
		w.spare.Kill9()
		w.spare.Rejoin()
	}
	for _, n := range w.cluster.Nodes {
		at, err := w.restore(b, n, strings.Join(members, ","))
		if err == nil && from != 0 && at != from {
			err = fmt.Errorf("it begins at revision %d, another one at %d", at, from)
		}
		if err != nil {
			w.t.Fatalf("restore %s: %v", n.Name, err)
		}
		from = at
	}
	w.cluster.StartAll()
	node.Eventually(w.t, 20*time.Second, "every node to have applied the beginning", func() error {
		var errs []error
		for _, n := range w.cluster.Nodes {
			_, err := revisionOf(n.ClientAddr)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return from
}

// startOver forgets what is not true of a restored cluster: leases that had ended may be back, and the
// journal of locks goes on from the revision that the cluster begins with.
func (r *run) startOver(from int64) {
	r.ended = &ended{}
	r.journal = &journal{through: from}
}

// after counts the changes above a revision.
func (a *archive) after(revision int64) (n int) {
	for _, all := range a.versions {
		for _, v := range all {
			if v.revision > revision {
				n++
			}
		}
	}
	return n
}
