package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

var testChecks = Checks{Entry: func([]byte) error { return nil }, Snapshot: verifyTestSnapshot}

// testReplay makes a Replayer of the state machine of other tests.
type testReplay struct{ *testFSM }

func (r testReplay) Apply(l *raft.Log) error { r.testFSM.Apply(l); return nil }

func (r testReplay) Write(out io.Writer) error {
	s, err := r.Snapshot()
	if err != nil {
		return err
	}
	_, err = out.Write(s.(testSnapshot))
	return err
}

// usedDir is the directory of a node that has a snapshot, entries behind it, and has voted.
func usedDir(t *testing.T, store string) (dir string, entries []string) {
	t.Helper()
	dir = t.TempDir()
	n := single(t, dir, func(c *Config) { c.LogStore, c.SegmentBytes, c.trailingBytes = store, 8<<10, 1 })
	for i := range 200 {
		n.put(t, fmt.Sprintf("%064d", i))
		if i == 60 || i == 120 {
			if err := n.Snapshot(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries = n.fsm.all()
	shut(t, n.Node)
	return dir, entries
}

func filesOf(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != lockFile {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// damaged returns what is wrong, and a log that has something behind its last entry.
func damaged(t *testing.T, dir string) []Finding {
	t.Helper()
	c, err := CheckDataDir(dir, testChecks)
	if err != nil {
		t.Fatal(err)
	}
	bad := c.Damaged()
	for _, f := range c.Findings {
		if strings.Contains(f.Note, tornNote) {
			bad = append(bad, f)
		}
	}
	return bad
}

// replayed is everything a directory holds, or why it cannot be read.
func replayed(dir string) ([]string, error) {
	fsm := newTestFSM()
	r, err := Survey(dir, testChecks, testReplay{fsm}, false)
	if err != nil {
		return nil, err
	}
	return fsm.all(), r.Close()
}

// Every flipped byte of every file is found. Only in a bbolt file may one pass, in bytes that hold nothing:
// then whatever is read from the file is what it was.
func TestCheckFindsFlippedBytes(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir, entries := usedDir(t, store)
			if bad := damaged(t, dir); len(bad) > 0 {
				t.Fatalf("a good directory: %v", bad)
			}
			votes := votesOf(t, dir)
			flips, found := 0, 0
			for _, path := range filesOf(t, dir) {
				eachFlip(t, path, func(at int) {
					flips++
					if len(damaged(t, dir)) > 0 {
						found++
						return
					}
					got, err := replayed(dir)
					same := err == nil && slices.Equal(got, entries) && votesOf(t, dir) == votes
					if filepath.Ext(path) != ".db" || !same {
						t.Fatalf("byte %d of %s is not found; %d entries, %v", at, path, len(got), err)
					}
				})
			}
			t.Logf("%d of %d flipped bytes found; the others held nothing", found, flips)
			if bad := damaged(t, dir); len(bad) > 0 || found < flips/3 {
				t.Fatalf("at the end: %v", bad)
			}
		})
	}
}

// flipsPerFile bounds the work; smaller files have each byte flipped.
const flipsPerFile = 300

func eachFlip(t *testing.T, path string, fn func(at int)) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(whole, "\x00")) + 64 // and some of what is blank
	step := max(1, used/flipsPerFile)
	for at := 0; at < min(used, len(whole)); at += step {
		patchFile(t, path, int64(at), whole[at]^(1<<(at%8)))
		fn(at)
		patchFile(t, path, int64(at), whole[at])
	}
}

// votesOf reads what raft would read.
func votesOf(t *testing.T, dir string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), stableFile)
	raw, err := os.ReadFile(filepath.Join(dir, stableFile))
	if err == nil {
		err = os.WriteFile(copied, raw, 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStable(copied, &fatalSwitch{tell: func(error) {}})
	if err != nil {
		return err.Error()
	}
	defer s.Close()
	term, err1 := s.GetUint64([]byte(keyCurrentTerm))
	voted, err2 := s.GetUint64([]byte(keyLastVoteTerm))
	whom, err3 := s.Get([]byte(keyLastVoteCand))
	return fmt.Sprint(term, voted, string(whom), errors.Join(err1, err2, err3))
}

// What a recovery takes is all that the member had, and the directory that it leaves is one of a new
// cluster.
func TestRecover(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir, entries := usedDir(t, store)
			before := listFiles(t, dir)
			fsm := newTestFSM()
			r, err := Survey(dir, testChecks, testReplay{fsm}, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := OpenOffline(dir, testChecks); !errors.Is(err, ErrDataDirInUse) {
				t.Errorf("a second one at the same time: %v", err)
			}
			if err := r.Become("", time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if r.New.Cluster == r.Old.Cluster || r.New.Member == r.Old.Member || r.Damage != nil {
				t.Errorf("%+v", r.Recovered)
			}
			after := listFiles(t, r.MovedTo)
			for _, name := range []string{metaFile, stableFile} {
				if before[name] == "" || after[name] != before[name] {
					t.Errorf("%s of before is not as it was", name)
				}
			}
			n := single(t, dir, func(c *Config) { c.LogStore = store })
			n.put(t, "after")
			if got := n.fsm.all(); !slices.Equal(got, append(entries, "after")) {
				t.Errorf("%d entries of %d", len(got), len(entries)+1)
			}
		})
	}
}

// A survey tells with which entry, of which term, the log ends: by these numbers the operator chooses among
// survivors. A snapshot beyond the log is its end.
func TestRecoverTellsWhereTheLogEnds(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir := t.TempDir()
			for _, snapshot := range []bool{false, true, false} {
				n := single(t, dir, func(c *Config) { c.LogStore = store })
				n.put(t, "one more")
				last, term := n.Stats().LastIndex, n.Term()
				if snapshot {
					last += 1000
					snapshotAt(t, n, last)
				}
				shut(t, n.Node)
				r, err := Survey(dir, testChecks, testReplay{newTestFSM()}, false)
				if err != nil {
					t.Fatal(err)
				}
				if r.Last != last || r.Term != term {
					t.Errorf("ends with entry %d of term %d, want %d of %d: %+v", r.Last, r.Term, last, term, r.Recovered)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Wherever a recovery is interrupted, no node starts, and the next one brings it to its end.
func TestRecoverInterrupted(t *testing.T) {
	for stop := range 9 {
		dir, entries := usedDir(t, LogStoreWAL)
		fsm := newTestFSM()
		r, err := Survey(dir, testChecks, testReplay{fsm}, false)
		if err != nil {
			t.Fatal(err)
		}
		made := Founding{DataDir: filepath.Join(dir, recoveringDir), Name: "n1",
			Initial: []Peer{{"n1", "127.0.0.1:1"}}, Seal: "x"}
		if _, err := Found(made, testReplay{fsm}.Write); err != nil {
			t.Fatal(err)
		}
		moved := filepath.Join(dir, beforePrefix+"test")
		older := filepath.Join(dir, beforePrefix+"older")
		if err := errors.Join(os.Mkdir(moved, 0o750), os.Mkdir(older, 0o750),
			os.WriteFile(filepath.Join(older, metaFile), nil, 0o640)); err != nil {
			t.Fatal(err)
		}
		moves := swapMoves(dir, moved)
		for _, m := range moves[:stop] {
			if err := m.do(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if stop > 0 && stop < len(moves) {
			_, err := trySingle(t, dir, nil)
			mustContain(t, err, ErrInterrupted, "recover", dir)
			if _, err := Survey(dir, testChecks, testReplay{fsm}, false); !errors.Is(err, ErrInterrupted) {
				t.Fatalf("after %d moves: %v", stop, err)
			}
			if got, err := Finish(dir, time.Now()); err != nil || got != moved {
				t.Fatalf("finished into %s: %v", got, err)
			}
			for _, name := range []string{metaFile, stableFile, walDir, snapshotDir} {
				if _, err := os.Stat(filepath.Join(moved, name)); err != nil {
					t.Errorf("after %d moves: %v", stop, err)
				}
			}
		}
		n := single(t, dir, nil)
		n.put(t, "after")
		if got := n.fsm.all(); !slices.Equal(got, append(entries, "after")) {
			t.Errorf("after %d moves: %d entries of %d", stop, len(got), len(entries)+1)
		}
		shut(t, n.Node)
	}
}

// A damaged entry refuses a recovery. Salvage takes what stands before it, and says so.
func TestSalvage(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir, entries := usedDir(t, store)
			last := filesOf(t, dir)
			lost := fmt.Sprintf("%064d", 180)
			for _, path := range last {
				if b, _ := os.ReadFile(path); strings.Contains(path, "log") {
					for at := 0; ; at++ { // every copy: which page is in use is bbolt's affair
						i := bytes.Index(b[at:], []byte(lost))
						if i < 0 {
							break
						}
						at += i
						patchFile(t, path, int64(at), '9')
					}
				}
			}
			_, err := replayed(dir)
			mustContain(t, err, ErrCorrupt, "log")
			fsm := newTestFSM()
			r, err := Survey(dir, testChecks, testReplay{fsm}, true)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			mustContain(t, r.Damage, ErrCorrupt, "log")
			if got := fsm.all(); !slices.Equal(got, entries[:180]) {
				t.Errorf("%d entries salvaged of 180", len(got))
			}
		})
	}
}

// Founding refuses a directory that has anything in it, and leaves nothing when it fails.
func TestFoundRefuses(t *testing.T) {
	dir, _ := usedDir(t, LogStoreWAL)
	before := listFiles(t, dir)
	f := Founding{DataDir: dir, Name: "n1", Initial: []Peer{{"n1", "127.0.0.1:1"}}}
	_, err := Found(f, func(io.Writer) error { return nil })
	mustContain(t, err, ErrDataDirUsed, dir)
	if after := listFiles(t, dir); len(after) != len(before) {
		t.Errorf("%d files of %d", len(after), len(before))
	}
	f.DataDir = filepath.Join(t.TempDir(), "new")
	bad := errors.New("cut")
	if _, err := Found(f, func(w io.Writer) error { _, _ = w.Write([]byte("some")); return bad }); err == nil {
		t.Error("a failed state was taken")
	}
	if _, err := os.Stat(f.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// A flipped byte in the name of a term, a vote or a bucket would make it disappear: raft would take the
// member for one that has never voted.
func TestFlippedNameOfAVote(t *testing.T) {
	dir, _ := usedDir(t, LogStoreWAL)
	path := filepath.Join(dir, stableFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{keyCurrentTerm, keyLastVoteTerm, keyLastVoteCand, "conf", "logs"} {
		bad := bytes.ReplaceAll(whole, []byte(name), append([]byte{name[0] ^ 1}, name[1:]...))
		if err := os.WriteFile(path, bad, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := trySingle(t, dir, nil)
		mustContain(t, err, ErrCorrupt, path)
		if len(damaged(t, dir)) == 0 {
			t.Errorf("check does not find a flipped %s", name)
		}
	}
}

// A store of votes that is gone is not begun anew beside a log.
func TestLostVotes(t *testing.T) {
	dir, _ := usedDir(t, LogStoreWAL)
	path := filepath.Join(dir, stableFile)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if len(damaged(t, dir)) == 0 {
		t.Error("check does not miss it")
	}
	_, err := trySingle(t, dir, nil)
	mustContain(t, err, ErrCorrupt, path)
}
