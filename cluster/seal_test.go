package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// The checksum of a snapshot's description comes into being whole: a crash never leaves half of one, which
// would be taken for damage of the description.
func TestSealIsReplacedInOneStep(t *testing.T) {
	dir := t.TempDir()
	sum := filepath.Join(dir, raftSumFile)
	if err := os.WriteFile(filepath.Join(dir, raftMetaFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sum, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Open(sum) // whoever has it open goes on to see what it was
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := sealSnapshot(dir); err != nil {
		t.Fatal(err)
	}
	if sealed, err := checkSnapshotSeal(dir); !sealed || err != nil {
		t.Errorf("sealed %v: %v", sealed, err)
	}
	content := make([]byte, 5)
	if _, err := before.ReadAt(content, 0); err != nil || string(content) != "older" {
		t.Errorf("it was written in place: %q, %v", content, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("in the folder: %q, %v", left, err)
	}
}
