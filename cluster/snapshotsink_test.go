package cluster

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// TestSnapshotSink writes contents around the size of a block, in pieces of any size, past the page cache and
// by raft's sink, and reads back what was written.
func TestSnapshotSink(t *testing.T) {
	noChecks := func(io.Reader) error { return nil }
	for name, verify := range map[string]func(io.Reader) error{"direct": noChecks, "by raft": nil} {
		for _, size := range []int{0, 1, directBytes - 1, directBytes, directBytes + 1, 3*directBytes + 17} {
			t.Run(fmt.Sprintf("%s %d", name, size), func(t *testing.T) { testSink(t, verify, size) })
		}
	}
}

func testSink(t *testing.T, verify func(io.Reader) error, size int) {
	dir := t.TempDir()
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	store := &snapshotStore{FileSnapshotStore: files, dir: filepath.Join(dir, snapshotDir), verify: verify}
	sink, err := store.Create(1, 10, 2, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(rnd.Uint32())
	}
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(directBytes))
		if wrote, err := sink.Write(rest[:n]); err != nil || wrote != n {
			t.Fatalf("wrote %d of %d: %v", wrote, n, err)
		}
		rest = rest[n:]
	}
	for range 2 { // raft closes what the state machine has closed
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	meta, r, err := store.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if have, err := io.ReadAll(r); err != nil || !bytes.Equal(have, want) || meta.Size != int64(size) {
		t.Errorf("%d bytes of %d, noted %d, or others: %v", len(have), size, meta.Size, err)
	}
}

// TestDirectBlockRefused: a file system may open a file for writing past the page cache, and refuse to.
func TestDirectBlockRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	plain, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	d := openDirect(path, plain)
	if d == nil {
		t.Fatal("this file system knows no direct writes; run the tests with TMPDIR on a disk")
	}
	defer d.file.Close()
	data := make([]byte, directBytes+directAlign)
	skip := 1 - int(uintptr(unsafe.Pointer(&data[0])))&(directAlign-1) + directAlign
	d.data = data[skip%directAlign : skip%directAlign : skip%directAlign+directBytes] // not aligned: refused
	want := bytes.Repeat([]byte("redkeep "), directBytes/8)
	if n, err := d.write(want); err != nil || n != len(want) {
		t.Fatalf("wrote %d: %v", n, err)
	}
	if err := d.rest(); err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
		t.Errorf("%d bytes of %d, or others: %v", len(have), len(want), err)
	}
}
