package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// TestFlippedMetadata flips bytes all over the WAL's list of segments. Either the node refuses, or every
// entry is there as it was: an older list would make raft-wal delete the newest segments.
func TestFlippedMetadata(t *testing.T) {
	src := t.TempDir()
	s := mustOpenLog(t, LogStoreWAL, src)
	for i := uint64(1); i <= 400; i += 4 {
		storeRange(t, s, i, i+3, 1)
	}
	s.Close()
	whole, err := os.ReadFile(filepath.Join(src, walListFile))
	if err != nil {
		t.Fatal(err)
	}
	used, refused := len(bytes.TrimRight(whole, "\x00")), 0
	for at := 0; at < used; at++ {
		if whole[at] == 0 && at%16 != 0 {
			continue
		}
		for _, mask := range []byte{1, 0x10}[:1+at%2] {
			if !flipMeta(t, src, whole, at, mask) {
				refused++
			}
		}
	}
	if refused < 100 {
		t.Errorf("only %d flips refused", refused)
	}
}

// flipMeta reports whether the log still opens, and checks it then.
func flipMeta(t *testing.T, src string, whole []byte, at int, mask byte) bool {
	t.Helper()
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	list, _ := filepath.Glob(filepath.Join(src, "*.wal"))
	for _, f := range list {
		if err := os.Link(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	b := bytes.Clone(whole)
	b[at] ^= mask
	if err := os.WriteFile(filepath.Join(dir, walListFile), b, 0o640); err != nil {
		t.Fatal(err)
	}
	s, err := openTestLog(t, LogStoreWAL, dir, nil)
	if err != nil {
		mustContain(t, err, ErrCorrupt, dir)
		return false
	}
	defer s.Close()
	if last, _ := s.LastIndex(); last != 400 {
		t.Fatalf("byte %d xor %#x: the log ends at %d", at, mask, last)
	}
	first, _ := s.FirstIndex()
	if err := s.GetLog(max(first, 1), new(raft.Log)); first != 1 || err != nil {
		t.Fatalf("byte %d xor %#x: the log begins at %d: %v", at, mask, first, err)
	}
	return true
}

// TestFlippedVote: a term or a vote that comes back wrong breaks safety.
func TestFlippedVote(t *testing.T) {
	src := t.TempDir()
	n := single(t, src, nil)
	n.put(t, "x")
	shut(t, n.Node)
	path := filepath.Join(src, stableFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; { // every copy: which page is in use is bbolt's affair
		i := bytes.Index(b[at:], []byte(keyCurrentTerm))
		if i < 0 {
			break
		}
		at += i + len(keyCurrentTerm)
		patchFile(t, path, int64(at+7), b[at+7]^1)
	}
	_, err = trySingle(t, src, nil)
	mustContain(t, err, ErrCorrupt, path, keyCurrentTerm)
}
