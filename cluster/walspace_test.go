package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const testSegment = 3<<20 + 4096

// spaceFor returns the space of an empty log whose background does not run, so that each step is the test's.
func spaceFor(t *testing.T) *segmentSpace {
	t.Helper()
	s := &segmentSpace{path: filepath.Join(t.TempDir(), spareFile), size: testSegment,
		want: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := s.fill(); err != nil {
		t.Fatal(err)
	}
	return s
}

// segment makes a segment and fills it with something.
func (s *segmentSpace) segment(t *testing.T, name string) {
	t.Helper()
	f, err := s.Create(filepath.Dir(s.path), name, testSegment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte("x"), testSegment), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDeletedSegmentsBecomeSpares(t *testing.T) {
	s := spaceFor(t)
	dir := filepath.Dir(s.path)
	s.segment(t, "1.wal")
	grown := filepath.Join(dir, "1.wal") // as raft-wal leaves one whose last batch was large
	if err := os.WriteFile(grown, bytes.Repeat([]byte("x"), testSegment+100), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(dir, "1.wal"); err != nil {
		t.Fatal(err)
	}
	kept, err := os.Stat(filepath.Join(dir, "1.wal"+keptSuffix))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.fill(); err != nil {
		t.Fatal(err)
	}
	spare, err := os.Stat(s.path)
	if err != nil || !os.SameFile(kept, spare) {
		t.Fatalf("the spare is another file: %v", err)
	}
	content, err := os.ReadFile(s.path)
	if err != nil || len(content) != testSegment || len(bytes.Trim(content, "\x00")) != 0 {
		t.Errorf("a spare of %d bytes is not all zeros: %v", len(content), err)
	}
	s.segment(t, "2.wal")
	if _, err := os.Stat(s.path); err == nil {
		t.Error("the spare was not used")
	}
}

// TestUnfinishedSpare: a fill that was interrupted is not taken for a spare, and the next one makes it whole.
func TestUnfinishedSpare(t *testing.T) {
	s := spaceFor(t)
	dir := filepath.Dir(s.path)
	s.segment(t, "1.wal")
	if err := s.Delete(dir, "1.wal"); err != nil {
		t.Fatal(err)
	}
	close(s.stop)
	if err := s.fill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path); err == nil {
		t.Error("an unfinished spare has the name of a finished one")
	}
	s.stop = make(chan struct{})
	if err := s.fill(); err != nil || sizeOf(s.path) != testSegment {
		t.Errorf("no spare: %v", err)
	}
}

func TestFewSegmentsAreKept(t *testing.T) {
	s := spaceFor(t)
	dir := filepath.Dir(s.path)
	for i := range keptSegments + 2 {
		path := filepath.Join(dir, fmt.Sprintf("%d.wal", i))
		if err := os.WriteFile(path, make([]byte, testSegment), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "odd.wal"), make([]byte, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	names := []string{"odd.wal"}
	for i := range keptSegments + 2 {
		names = append(names, fmt.Sprintf("%d.wal", i))
	}
	for _, name := range names {
		if err := s.Delete(dir, name); err != nil {
			t.Fatal(err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.wal*"))
	if len(left) != keptSegments {
		t.Errorf("left: %v", left)
	}
}

// What a run with another size of segments has left and cannot be used goes; a spare that can grow does not.
func TestOtherSizesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	make := func(name string, size int64) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	make(walListFile, 1) // not a new log
	same, larger := make("1.wal"+keptSuffix, testSegment), make("2.wal"+keptSuffix, 2*testSegment)
	smaller, spare := make("3.wal"+keptSuffix, 4096), make(spareFile, 2*testSegment)
	newSegmentSpace(dir, testSegment).close()
	sizes := map[string]int64{same: testSegment, larger: 2 * testSegment, smaller: -1, spare: -1}
	for path, want := range sizes {
		if got := sizeOf(path); got != want {
			t.Errorf("%s has %d bytes, want %d", path, got, want)
		}
	}
	make(spareFile, 4096)
	newSegmentSpace(dir, testSegment).close()
	if got := sizeOf(spare); got != 4096 {
		t.Errorf("a spare that can grow has %d bytes", got)
	}
}
