package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func walConfig() Config {
	c := Config{SegmentBytes: 64 << 10, CheckEntry: func([]byte) error { return nil }, CacheBytes: 1}
	return c.withDefaults()
}

func openTestLog(t testing.TB, store, dir string, change func(*Config)) (logInner, error) {
	t.Helper()
	cfg := walConfig()
	if change != nil {
		change(&cfg)
	}
	if store == LogStoreBoltDB {
		return openCheckedBolt(filepath.Join(dir, boltLogFile), cfg, 0)
	}
	return openCheckedWAL(dir, cfg)
}

func mustOpenLog(t testing.TB, store, dir string) logInner {
	t.Helper()
	s, err := openTestLog(t, store, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entryFor makes entries of different sizes; every fifth is 1 KiB without zeros.
func entryFor(i uint64, term uint64) *raft.Log {
	data := []byte(fmt.Sprintf("entry %d of term %d", i, term))
	if i%5 == 0 {
		data = append(data, bytes.Repeat([]byte{0xa5}, 1024)...)
	}
	return &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: data}
}

func storeRange(t testing.TB, s raft.LogStore, from, to, term uint64) {
	t.Helper()
	var list []*raft.Log
	for i := from; i <= to; i++ {
		list = append(list, entryFor(i, term))
	}
	if err := s.StoreLogs(list); err != nil {
		t.Fatal(err)
	}
}

func checkRange(t testing.TB, s raft.LogStore, first, last uint64, term func(uint64) uint64) {
	t.Helper()
	f, _ := s.FirstIndex()
	l, _ := s.LastIndex()
	if f != first || l != last {
		t.Fatalf("log holds %d to %d, want %d to %d", f, l, first, last)
	}
	for i := first; i <= last && last > 0; i++ {
		var got raft.Log
		if err := s.GetLog(i, &got); err != nil {
			t.Fatal(err)
		}
		want := entryFor(i, term(i))
		if got.Index != i || got.Term != want.Term || !bytes.Equal(got.Data, want.Data) ||
			got.Extensions != nil {
			t.Fatalf("entry %d: %+v", i, got)
		}
	}
}

func one(uint64) uint64 { return 1 }

// tailFile returns the unsealed segment.
func tailFile(t testing.TB, dir string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(list) == 0 {
		t.Fatal(err, list)
	}
	return list[len(list)-1]
}

func usedBytes(t testing.TB, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(bytes.TrimRight(b, "\x00"))
}

// TestTornTail zeroes the last batch from every byte on, as a kill in the middle of the write leaves it.
// What was acknowledged before is there, the batch is either there as a whole or not at all, and the log
// can be appended to and reopened.
func TestTornTail(t *testing.T) {
	src := t.TempDir()
	s := mustOpenLog(t, LogStoreWAL, src)
	storeRange(t, s, 1, 3, 1)
	s.Close()
	before := usedBytes(t, tailFile(t, src))
	s = mustOpenLog(t, LogStoreWAL, src)
	storeRange(t, s, 4, 6, 1)
	s.Close()
	after := usedBytes(t, tailFile(t, src))
	whole, err := os.ReadFile(tailFile(t, src))
	if err != nil {
		t.Fatal(err)
	}
	for cut := before; cut < after; cut++ {
		torn := bytes.Clone(whole)
		clear(torn[cut:])
		scan, bad := scanSegment(torn, segmentID{1, segmentOf(t, src)}, true)
		if bad != nil {
			t.Fatalf("cut at %d: %v", cut, bad)
		}
		if n := len(scan.entries); n != 3 && (n != 6 || scan.commitFix == 0) {
			t.Fatalf("cut at %d: %d entries", cut, n)
		}
		if cut%7 == 0 || cut > after-9 {
			reopenTorn(t, src, torn, len(scan.entries))
		}
	}
}

// segmentOf reads the id of the only segment from its header.
func segmentOf(t testing.TB, dir string) uint64 {
	var base, id uint64
	if _, err := fmt.Sscanf(filepath.Base(tailFile(t, dir)), "%020d-%016x.wal", &base, &id); err != nil {
		t.Fatal(err)
	}
	return id
}

func reopenTorn(t *testing.T, src string, torn []byte, want int) {
	t.Helper()
	dir := copyDir(t, src)
	if err := os.WriteFile(tailFile(t, dir), torn, 0o640); err != nil {
		t.Fatal(err)
	}
	s := mustOpenLog(t, LogStoreWAL, dir)
	checkRange(t, s, 1, uint64(want), one)
	storeRange(t, s, uint64(want)+1, uint64(want)+2, 1)
	s.Close()
	s = mustOpenLog(t, LogStoreWAL, dir)
	checkRange(t, s, 1, uint64(want)+2, one)
	s.Close()
}

// TestTornSectors leaves out any one 512-byte sector of a long last batch, as a power cut may.
func TestTornSectors(t *testing.T) {
	src := t.TempDir()
	s := mustOpenLog(t, LogStoreWAL, src)
	storeRange(t, s, 1, 3, 1)
	from := usedBytes(t, tailFile(t, src))
	storeRange(t, s, 4, 30, 1)
	s.Close()
	whole, err := os.ReadFile(tailFile(t, src))
	if err != nil {
		t.Fatal(err)
	}
	to := usedBytes(t, tailFile(t, src))
	for at := from &^ 511; at < to; at += 512 {
		torn := bytes.Clone(whole)
		clear(torn[max(at, from):min(at+512, to)])
		scan, bad := scanSegment(torn, segmentID{1, segmentOf(t, src)}, true)
		if bad != nil || len(scan.entries) != 3 {
			t.Fatalf("sector at %d: %d entries, %v", at, len(scan.entries), bad)
		}
		reopenTorn(t, src, torn, 3)
	}
}

// TestFlippedByte flips every byte of every kind of frame, in a sealed segment and in the tail. Each must
// be refused with file, offset and entry, and nothing on disk may change; what follows the last commit may
// be flipped freely.
func TestFlippedByte(t *testing.T) {
	src := t.TempDir()
	s := mustOpenLog(t, LogStoreWAL, src)
	for i := uint64(1); i <= 400; i += 4 {
		storeRange(t, s, i, i+3, 1)
	}
	s.Close()
	files, _ := filepath.Glob(filepath.Join(src, "*.wal"))
	if len(files) < 2 {
		t.Fatalf("%d segments: no sealed one", len(files))
	}
	for k, path := range files {
		tail := k == len(files)-1
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var id segmentID
		if _, err := fmt.Sscanf(filepath.Base(path), "%020d-%016x.wal", &id.base, &id.id); err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(whole, "\x00"))
		if _, bad := scanSegment(whole, id, tail); bad != nil {
			t.Fatalf("intact %s: %v", path, bad)
		}
		flipEach(t, append(whole[:used:used], make([]byte, 600)...), id, tail, used)
	}
	path := files[0]
	for _, at := range []int64{0, 9, 35, 90, 2000, 40000} {
		refuseFlip(t, src, filepath.Base(path), at)
	}
	refuseFlip(t, src, filepath.Base(files[len(files)-1]), 100)
}

func flipEach(t *testing.T, b []byte, id segmentID, tail bool, used int) {
	t.Helper()
	step := 1
	if used > 8<<10 {
		step = 7
	}
	for at := 0; at < used; at += step {
		for _, mask := range []byte{0x01, 0x02, 0x80, 0xff} {
			b[at] ^= mask
			_, bad := scanSegment(b, id, tail)
			b[at] ^= mask
			if bad == nil {
				t.Fatalf("segment %d: byte %d of %d xor %#x goes unnoticed", id.base, at, used, mask)
			}
			if bad.offset > at+8 {
				t.Fatalf("byte %d: reported at %d", at, bad.offset)
			}
		}
	}
	b[used+500] ^= 1
	if _, bad := scanSegment(b, id, tail); bad != nil {
		t.Errorf("a flip behind the end: %v", bad)
	}
}

func refuseFlip(t *testing.T, src, file string, at int64) {
	t.Helper()
	dir := copyDir(t, src)
	path := filepath.Join(dir, file)
	b, _ := os.ReadFile(path)
	patchFile(t, path, at, b[at]^0x10)
	before := listFiles(t, dir)
	_, err := openTestLog(t, LogStoreWAL, dir, nil)
	mustContain(t, err, ErrCorrupt, "CORRUPT log file "+path, "offset", "entry index")
	if fmt.Sprint(listFiles(t, dir)) != fmt.Sprint(before) {
		t.Error("refused, but changed")
	}
}

// TestFlippedByteBolt flips bytes all over the file: either the node starts with every entry as it was, or
// it refuses and names the file.
func TestFlippedByteBolt(t *testing.T) {
	src := t.TempDir()
	s := mustOpenLog(t, LogStoreBoltDB, src)
	storeRange(t, s, 1, 40, 1)
	s.Close()
	path := filepath.Join(src, boltLogFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used, refused := len(bytes.TrimRight(whole, "\x00")), 0
	whole = whole[:used+(-used&4095)] // the file is sparse behind
	for at := 0; at < used; at += 97 {
		dir := t.TempDir()
		whole[at] ^= 0x08
		err := os.WriteFile(filepath.Join(dir, boltLogFile), whole, 0o640)
		whole[at] ^= 0x08
		if err != nil {
			t.Fatal(err)
		}
		s, err := openTestLog(t, LogStoreBoltDB, dir, nil)
		if err != nil {
			mustContain(t, err, ErrCorrupt, boltLogFile)
			refused++
			continue
		}
		checkRange(t, s, 1, 40, one)
		s.Close()
	}
	if refused < 50 {
		t.Errorf("only %d flips refused", refused)
	}
	i := bytes.Index(whole, []byte("entry 7 of term 1"))
	patchFile(t, path, int64(i), 'E')
	_, err = openTestLog(t, LogStoreBoltDB, src, nil)
	mustContain(t, err, ErrCorrupt, path, "key 7 (entry index 7)")
}

func TestCheckEntryIsAsked(t *testing.T) {
	for _, store := range stores {
		dir := t.TempDir()
		s := mustOpenLog(t, store, dir)
		storeRange(t, s, 1, 9, 1)
		s.Close()
		_, err := openTestLog(t, store, dir, func(c *Config) {
			c.CheckEntry = func(b []byte) error {
				if strings.HasPrefix(string(b), "entry 4") {
					return errors.New("bad inside")
				}
				return nil
			}
		})
		mustContain(t, err, ErrCorrupt, "entry index 4", "bad inside")
	}
}

// TestSuffixTruncation removes a suffix, in the tail and in a sealed segment, and reopens: raft-wal 0.4.0
// could not.
func TestSuffixTruncation(t *testing.T) {
	for _, store := range stores {
		for _, keep := range []uint64{7, 100, 299} {
			t.Run(fmt.Sprint(store, keep), func(t *testing.T) {
				dir := t.TempDir()
				s := mustOpenLog(t, store, dir)
				for i := uint64(1); i <= 300; i += 10 {
					storeRange(t, s, i, i+9, 1)
				}
				if err := s.DeleteRange(keep+1, 300); err != nil {
					t.Fatal(err)
				}
				s.Close()
				s = mustOpenLog(t, store, dir)
				checkRange(t, s, 1, keep, one)
				storeRange(t, s, keep+1, keep+20, 2)
				s.Close()
				s = mustOpenLog(t, store, dir)
				defer s.Close()
				checkRange(t, s, 1, keep+20, func(i uint64) uint64 {
					if i > keep {
						return 2
					}
					return 1
				})
			})
		}
	}
}

func TestPrefixTruncation(t *testing.T) {
	for _, store := range stores {
		dir := t.TempDir()
		s := mustOpenLog(t, store, dir)
		for i := uint64(1); i <= 900; i += 30 {
			storeRange(t, s, i, i+29, 1)
		}
		if err := s.DeleteRange(1, 777); err != nil {
			t.Fatal(err)
		}
		checkRange(t, s, 778, 900, one)
		s.Close()
		s = mustOpenLog(t, store, dir)
		checkRange(t, s, 778, 900, one)
		if err := s.DeleteRange(778, 900); err != nil {
			t.Fatal(err)
		}
		storeRange(t, s, 901, 905, 1)
		checkRange(t, s, 901, 905, one)
		s.Close()
	}
}

// TestRotationCutShort: the process dies after the write that seals a segment and before the metadata says
// so. raft-wal alone would refuse every further append.
func TestRotationCutShort(t *testing.T) {
	dir := t.TempDir()
	s := mustOpenLog(t, LogStoreWAL, dir)
	meta := filepath.Join(dir, walListFile)
	var old []byte
	last := uint64(0)
	for files := 1; files < 2; {
		old, _ = os.ReadFile(meta)
		storeRange(t, s, last+1, last+4, 1)
		last += 4
		list, _ := filepath.Glob(filepath.Join(dir, "*.wal"))
		files = len(list)
	}
	s.Close()
	// The last append may have sealed or may have waited for the rotation of the one before; go back to the
	// metadata of the first segment in both cases.
	if err := os.WriteFile(meta, old, 0o640); err != nil {
		t.Fatal(err)
	}
	tail := tailFile(t, dir)
	sealedOnly := usedBytes(t, tail) == 0
	if err := os.Remove(tail); err != nil {
		t.Fatal(err)
	}
	if !sealedOnly {
		last -= 4
	}
	s = mustOpenLog(t, LogStoreWAL, dir)
	checkRange(t, s, 1, last, one)
	storeRange(t, s, last+1, last+4, 1)
	s.Close()
	s = mustOpenLog(t, LogStoreWAL, dir)
	checkRange(t, s, 1, last+4, one)
	s.Close()
}

// TestTornSeal cuts the write that seals a segment, at many places.
func TestTornSeal(t *testing.T) {
	src := t.TempDir()
	s := mustOpenLog(t, LogStoreWAL, src)
	path, last, was := tailFile(t, src), uint64(0), 0
	for used := 0; used < 64<<10-2000; last += 2 {
		was = used
		storeRange(t, s, last+1, last+2, 1)
		used = usedBytes(t, path)
		if list, _ := filepath.Glob(filepath.Join(src, "*.wal")); len(list) > 1 {
			break
		}
	}
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scan, bad := scanSegment(b, segmentID{1, 0}, true)
	if bad != nil {
		t.Fatal(bad)
	}
	_ = was
	for cut := scan.end - 900; cut < scan.used; cut += 5 {
		torn := bytes.Clone(b)
		clear(torn[cut:])
		got, bad := scanSegment(torn, segmentID{1, 0}, true)
		if bad != nil {
			t.Fatalf("cut at %d of %d: %v", cut, scan.used, bad)
		}
		if got.sealedAt != 0 && got.commitFix == 0 {
			t.Fatalf("cut at %d: taken for sealed", cut)
		}
	}
}

func TestSegmentCodecIsOurs(t *testing.T) {
	dir := t.TempDir()
	mustOpenLog(t, LogStoreWAL, dir).Close()
	s := mustOpenLog(t, LogStoreWAL, dir)
	storeRange(t, s, 1, 1, 1)
	s.Close()
	fine := func([]byte) error { return nil }
	if err := checkWAL(dir, fine, 64<<10, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(tailFile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, bad := scanSegment(b, segmentID{1, segmentOf(t, dir)}, true); bad != nil {
		t.Error(bad)
	}
}
