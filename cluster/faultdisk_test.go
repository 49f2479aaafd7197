//go:build faults

package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultDisk takes the power from a folder with each kind of step in it. TestFaultDiskItself in
// tests/faults/seam runs it, because it needs the tag.
func TestFaultDisk(t *testing.T) {
	for _, torn := range []bool{false, true} {
		dir := t.TempDir()
		Disk = &FaultDisk{written: make(chan struct{}, 1)}
		file := func(name string) string { return filepath.Join(dir, name) }
		content := func(name string) string {
			b, err := os.ReadFile(file(name))
			if err != nil {
				return "gone"
			}
			return string(b)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(writeSynced(file("synced"), []byte("old")))
		must(syncDir(dir))
		if n := Disk.unsynced(); n != 0 {
			t.Fatalf("%d notes about what is synced", n)
		}

		grown, err := os.OpenFile(file("grown"), os.O_CREATE|os.O_RDWR, 0o600)
		must(err)
		defer grown.Close()
		_, err = write(grown, bytes.Repeat([]byte("a"), 1000))
		must(err)
		must(syncData(grown))
		_, err = writeAt(grown, bytes.Repeat([]byte("b"), 4000), 500)
		must(err)
		must(writeSynced(file("synced.tmp"), []byte("new")))
		must(rename(file("synced.tmp"), file("synced")))
		must(writeSynced(file("moved.tmp"), []byte("m")))
		must(rename(file("moved.tmp"), file("moved")))
		must(os.WriteFile(file("made"), nil, 0o600))
		named(file("made"))

		if lost := Disk.PowerLoss(torn); lost != 4 {
			t.Errorf("torn %v: %d steps were lost, want 4", torn, lost)
		}
		if torn {
			half := strings.Repeat("a", 500) + strings.Repeat("b", 2048-500)
			if got := content("grown"); got != half {
				t.Errorf("torn: %d bytes", len(got))
			}
			continue // names stay
		}
		for name, want := range map[string]string{
			"grown": strings.Repeat("a", 1000), "synced": "old", "synced.tmp": "new", "moved": "gone",
			"moved.tmp": "m", "made": "gone",
		} {
			if got := content(name); got != want {
				t.Errorf("%s = %.20q (%d bytes), want %.20q (%d)", name, got, len(got), want, len(want))
			}
		}
	}
}
