package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// backupFaults take backups in the middle of everything else. That harms nobody, or should not; what it is
// for comes later: each backup is verified, some are restored and held against the history
// (check_backup.go), and where a profile says Comeback, all nodes are lost and the last backup is what is
// left of them (comeback.go).
var backupFaults = []*Fault{
	{Name: "back up", Strike: backUp},
}

// backupTime bounds one call of `redkeep snapshot …`.
const backupTime = 4 * time.Second

// backup is one that was saved whole, by the word of the tool that saved it.
type backup struct {
	file, via    string
	began, ended int64     // on the clock of the run
	kept         *keepsake // nil if it was not certain that there was one
	revision     int64     // of the state in it, by `snapshot status`; 0 until it is verified
}

// keepsake is a lock that was held, on a lease of keptFor, when a backup began: so the lock, its token and
// the lease must be in it.
type keepsake struct {
	lock  string
	token int64
}

const keptFor = time.Hour

// vault is what a segment has saved.
type vault struct {
	backups []*backup
	leases  []string // every one that keepsakes may be on
	serial  int
}

// clear forgets the backups of an earlier segment.
func (v *vault) clear() {
	for _, b := range v.backups {
		os.Remove(b.file)
	}
	v.backups, v.leases = nil, nil
}

// backUp saves through the first node, in an order that is drawn, that gives a backup. Those that another
// fault holds are asked, too: what is cut off must refuse, rather than give what it has. Where all refuse
// there is no backup, and the fault does not count.
func backUp(w *world) (heal func()) {
	for _, i := range w.rng.Perm(len(w.cluster.Nodes)) {
		n := w.cluster.Nodes[i]
		if !n.Proc.Running() {
			continue
		}
		b, err := w.save(n)
		if err == nil {
			w.vault.backups = append(w.vault.backups, b)
			w.note("backed up through %s", b.via)
			return nothing
		}
		w.note("no backup: %v", err)
	}
	return nil
}

// save backs up through a node, as an operator does.
func (w *world) save(n *node.Node) (*backup, error) {
	w.vault.serial++
	name := strconv.Itoa(w.vault.serial)
	b := &backup{file: filepath.Join(w.t.TempDir(), name), via: n.Name, kept: w.keep(n, name)}
	b.began = w.run.now()
	_, err := w.verb("--endpoints", n.ClientAddr, "snapshot", "save", b.file)
	b.ended = w.run.now()
	if err != nil {
		os.Remove(b.file)
		os.Remove(b.file + ".part")
		return nil, err
	}
	return b, nil
}

// keep acquires a lock for a keepsake; nil if that is not certain, as when another fault holds the majority.
func (w *world) keep(n *node.Node, name string) *keepsake {
	id := fmt.Sprintf("%016x", 0xbac0_0000+w.vault.serial)
	w.vault.leases = append(w.vault.leases, id)
	k := &keepsake{lock: "kept:" + name}
	for _, args := range [][]string{
		{"LEASE.GRANT", millis(keptFor), "ID", id},
		{"LOCK.ACQUIRE", k.lock, "LEASE", id},
	} {
		r, err := wire.Once(n.ClientAddr, time.Second, args...)
		if err != nil || r.IsErr() {
			return nil
		}
		if len(r.Elems) == 3 {
			k.token = r.Elems[1].Int()
		}
	}
	return k
}

// withdraw ends the leases of all keepsakes.
func (w *world) withdraw() {
	w.t.Helper()
	for _, id := range w.vault.leases {
		node.Eventually(w.t, 20*time.Second, "the lease of a keepsake ends", func() error {
			r, err := wire.Once(w.cluster.Nodes[0].ClientAddr, clientTimeout, "LEASE.REVOKE", id)
			if err == nil && r.IsErr() && !strings.HasPrefix(r.Text, "NOLEASE ") {
				err = fmt.Errorf("LEASE.REVOKE: %s", r)
			}
			return err
		})
	}
}

// verb runs redkeep beside the nodes and returns what it printed.
func (w *world) verb(args ...string) (out string, err error) {
	p := node.Launch(w.t, "redkeep "+args[0], append([]string{node.FaultBinary(w.t)}, args...), nil)
	code, err := p.WaitExit(backupTime)
	p.Kill()
	if err == nil && code != 0 {
		err = fmt.Errorf("%q: exit code %d: %s", args, code, strings.TrimSpace(p.Output()))
	}
	return p.Output(), err
}

// verify demands that `snapshot status` accepts the file, and notes its revision.
func (w *world) verify(b *backup) error {
	out, err := w.verb("snapshot", "status", b.file, "-w", "json")
	if err != nil {
		return err
	}
	var said struct{ Revision int64 }
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Revision == 0 {
		return fmt.Errorf("snapshot status: %q, %v", out, err)
	}
	b.revision = said.Revision
	return nil
}

// restore makes a node's data directory from the file and returns the revision that it begins with. The
// members are name=address,….
func (w *world) restore(b *backup, n *node.Node, members string) (revision int64, err error) {
	out, err := w.verb("snapshot", "restore", b.file, "--data-dir", n.Dir, "--name", n.Name, "--initial-cluster",
		members, "-w", "json")
	if err != nil {
		return 0, err
	}
	var said struct {
		Revision int64
		From     int64 `json:"snapshot_revision"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.From != b.revision || said.Revision == 0 {
		return 0, fmt.Errorf("snapshot restore: %q, %v", out, err)
	}
	return said.Revision, nil
}
