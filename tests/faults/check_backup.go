package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// Every backup of a segment is verified and must have come at its time: it holds what was acknowledged
// before it began. A few, drawn from the seed, are restored as clusters of one node each. What such a node
// holds at the revision it begins with is compared with what the history says of the backup's revision,
// key by key, which shows that the backup is of one moment, too: no other revision looks the same. Then it
// must be usable by the clients of before: locks and leases are there, and every number that it gives is
// above all that were told.

// maxRestored bounds the backups of a segment that are restored; each takes a second.
const maxRestored = 2

// checkBackups checks what the segment has saved. REQUIRES: the archive is complete.
func (r *run) checkBackups(w *world, ops []*Op, res *result) error {
	if len(w.vault.backups) == 0 {
		return nil
	}
	told, err := revisionOf(w.cluster.Nodes[0].ClientAddr)
	if err != nil {
		return err
	}
	all := moments(ops, r.archive)
	for _, b := range w.vault.backups {
		if err := w.verify(b); err != nil {
			return err
		}
		if err := checkCovers(b, all); err != nil {
			return err
		}
		res.saved++
	}
	for _, b := range r.someOf(w.vault.backups) {
		if err := r.checkAlone(w, b, told, res); err != nil {
			return fmt.Errorf("the backup through %s at revision %d: %w", b.via, b.revision, err)
		}
	}
	return nil
}

// someOf draws the backups to restore. One with a keepsake is among them, if there is any.
func (r *run) someOf(all []*backup) []*backup {
	rng := rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, 12000))
	out := slices.Clone(all)
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	if i := slices.IndexFunc(out, func(b *backup) bool { return b.kept != nil }); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out[:min(len(out), maxRestored)]
}

// revisionOf is the newest revision that a cluster has told anybody.
func revisionOf(addr string) (int64, error) {
	r, err := wire.Once(addr, clientTimeout, "KV.RANGE", "p", "COUNTONLY")
	if rev, ok := r.Field("revision"); err == nil && ok {
		return rev.Int(), nil
	}
	return 0, fmt.Errorf("KV.RANGE: %s, %v", r, err)
}

// moment is an answered operation and the revision that shows what it has done or seen.
type moment struct {
	op       *Op
	revision int64
}

func moments(ops []*Op, a *archive) (out []moment) {
	for _, op := range ops {
		if op.Unknown {
			continue
		}
		revision := op.Revision
		for _, m := range op.marks() {
			at, _ := a.firstOf(op.Partition, m)
			revision = max(revision, at)
		}
		if revision != 0 {
			out = append(out, moment{op, revision})
		}
	}
	return out
}

// checkCovers: what was answered before the backup began is in it, and what was asked after it had ended
// comes later than it.
func checkCovers(b *backup, all []moment) error {
	for _, m := range all {
		switch {
		case m.op.Ret < b.began && m.revision > b.revision:
			return fmt.Errorf("the backup through %s is of revision %d; revision %d was told before it began: %v",
				b.via, b.revision, m.revision, m.op)
		case m.op.Call > b.ended && m.revision < b.revision:
			return fmt.Errorf("the backup through %s is of revision %d; revision %d was told after it had ended: %v",
				b.via, b.revision, m.revision, m.op)
		}
	}
	return nil
}

// checkAlone restores a backup as a cluster of one node and looks at that.
func (r *run) checkAlone(w *world, b *backup, told int64, res *result) error {
	o := node.Options{Faults: true, Flags: append(shortTimes(), strings.Fields(r.profile.Flags)...)}
	n := w.cluster.Prepare("restored", o, nil)
	from, err := w.restore(b, n, n.Name+"="+n.PeerAddr)
	if err != nil {
		return err
	}
	n.Start()
	defer n.Rejoin() // takes its folder away
	defer n.Kill9()
	compared, err := checkRestored(n, from, told, r.stateAt(b.revision), b.revision)
	res.restored++
	res.compared += compared
	if b.kept != nil {
		res.kept++
		err = errors.Join(err, b.kept.check(n, told))
	}
	return err
}

// state is what the history says of each key at one revision: of the partitions, and of locks where the
// profile has clients for them. Keys that it does not have are none of this segment's.
type state map[string]version

func (r *run) stateAt(revision int64) state {
	s := state{}
	for key := range r.archive.versions {
		s[key], _ = r.archive.at(key, revision)
	}
	for _, e := range r.journal.entries {
		if e.revision <= revision {
			s[e.key] = version{revision: e.revision, exists: e.kind == "put", value: e.value}
		} else if _, known := s[e.key]; !known {
			s[e.key] = version{}
		}
	}
	return s
}

// match compares the records of a restored store with the state at the revision of its backup.
func (s state) match(records []wire.Reply, revision int64) (compared int, err error) {
	seen := map[string]bool{}
	for _, rec := range records {
		key, _ := rec.Field("key")
		got := readVersion(rec)
		seen[key.Text] = true
		want, known := s[key.Text]
		switch {
		case got.revision > revision:
			return compared, fmt.Errorf("%s is of revision %d, after the backup", key.Text, got.revision)
		case !known:
			continue
		case !want.exists:
			return compared, fmt.Errorf("%s is %q, and was not there", key.Text, got.value)
		case got.value != want.value || got.revision != want.revision:
			return compared, fmt.Errorf("%s is %q of revision %d, and was %q of revision %d", key.Text, got.value,
				got.revision, want.value, want.revision)
		}
		compared++
	}
	for key, want := range s {
		if want.exists && !seen[key] {
			return compared, fmt.Errorf("%s is gone; it was %q of revision %d", key, want.value, want.revision)
		}
	}
	return compared, nil
}

// checkRestored looks at a node that was restored with a revision to begin from.
func checkRestored(n *node.Node, from, told int64, s state, revision int64) (compared int, err error) {
	conn, err := wire.Dial(n.ClientAddr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.Timeout = clientTimeout
	r, err := conn.Do("KV.RANGE", "", "PREFIX", "AT", strconv.FormatInt(from, 10))
	kvs, ok := r.Field("kvs")
	if err != nil || !ok {
		return 0, fmt.Errorf("KV.RANGE at revision %d: %s, %v", from, r, err)
	}
	if compared, err = s.match(kvs.Elems, revision); err != nil {
		return compared, err
	}
	return compared, errors.Join(checkOldLeases(conn, kvs.Elems), checkNumbers(conn, from, told))
}

// checkOldLeases: a record's lease is there and knows the record, or it has ended since, with the record.
func checkOldLeases(conn *wire.Conn, records []wire.Reply) error {
	for _, rec := range records {
		key, _ := rec.Field("key")
		lease, _ := rec.Field("lease")
		if lease.Text == "" {
			continue
		}
		r, err := conn.Do("LEASE.TTL", lease.Text, "KEYS")
		if err != nil {
			return err
		}
		if keys, ok := r.Field("keys"); ok && hasText(keys.Elems, key.Text) {
			continue
		}
		if now, err := conn.Do("GET", key.Text); err != nil || !now.Null {
			return fmt.Errorf("%s is there, and its lease %s is not, or without it: %s, %v", key.Text, lease.Text, r,
				err)
		}
	}
	return nil
}

func hasText(list []wire.Reply, text string) bool {
	for _, r := range list {
		if r.Text == text {
			return true
		}
	}
	return false
}

// checkNumbers: new revisions are above all that were told before, and a watch that goes on from before is
// told that it has to read anew, while one from the new beginning is taken.
func checkNumbers(conn *wire.Conn, from, told int64) error {
	r, err := conn.Do("KV.PUT", "after the restore", "1")
	if err != nil || r.Int() <= told || r.Int() <= from {
		return fmt.Errorf("a write was answered %s, %v; the last revision of before was %d", r, err, told)
	}
	r, err = conn.Do("KV.WATCH", "p", "PREFIX", "REV", strconv.FormatInt(told+1, 10))
	if err != nil || !strings.HasPrefix(r.Text, fmt.Sprintf("COMPACTED %d ", from)) {
		return fmt.Errorf("a watch from revision %d on was answered %s, %v", told+1, r, err)
	}
	r, err = conn.Do("KV.WATCH", "p", "PREFIX", "REV", strconv.FormatInt(from+1, 10))
	if err != nil || r.IsErr() {
		return fmt.Errorf("a watch from revision %d on was answered %s, %v", from+1, r, err)
	}
	return nil
}

// check: the lock is held with the old token, which still counts, and the next token is above all that were
// told.
func (k *keepsake) check(n *node.Node, told int64) error {
	token := strconv.FormatInt(k.token, 10)
	r, err := wire.Once(n.ClientAddr, clientTimeout, "LOCK.RELEASE", k.lock, token)
	if err != nil || r.Text != "OK" {
		return fmt.Errorf("the holder of %s released it: %s, %v", k.lock, r, err)
	}
	r, err = wire.Once(n.ClientAddr, clientTimeout, "LOCK.ACQUIRE", k.lock, "TTL", "60000")
	if err != nil || len(r.Elems) != 3 || r.Elems[1].Int() <= told {
		return fmt.Errorf("the next holder of %s got %s, %v; the last revision of before was %d", k.lock, r, err,
			told)
	}
	r, err = wire.Once(n.ClientAddr, clientTimeout, "LOCK.RELEASE", k.lock, r.Elems[1].Text)
	if err != nil || r.Text != "OK" {
		return fmt.Errorf("the next holder of %s released it: %s, %v", k.lock, r, err)
	}
	return nil
}
