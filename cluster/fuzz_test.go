package cluster

import (
	"bytes"
	"os"
	"testing"

	"github.com/hashicorp/raft"
)

// FuzzScanSegment reads arbitrary bytes as a segment. It must come to an end without a panic, and what it
// takes for entries are whole records, in order.
func FuzzScanSegment(f *testing.F) {
	dir := f.TempDir()
	s := mustOpenLog(f, LogStoreWAL, dir)
	storeRange(f, s, 1, 3, 1)
	storeRange(f, s, 4, 9, 2)
	s.Close()
	whole, err := os.ReadFile(tailFile(f, dir))
	if err != nil {
		f.Fatal(err)
	}
	used, id := usedBytes(f, tailFile(f, dir)), segmentOf(f, dir)
	for _, n := range []int{0, 8, segHeader, 100, used - 1, used} {
		f.Add(whole[:n], true)
		f.Add(whole[:n], false)
	}
	f.Fuzz(func(t *testing.T, b []byte, tail bool) {
		scan, _ := scanSegment(b, segmentID{1, id}, tail)
		last := 0
		for i, at := range scan.entries {
			rec, err := checkRecord(b[at+frameHeader:])
			if err != nil || recordIndex(rec) != Index(1+i) || at <= last && last > 0 {
				t.Fatalf("entry %d at %d: %v", i, at, err)
			}
			last = at
		}
	})
}

// FuzzTornTail writes batches of arbitrary entries and tears the last one: cut at any byte, and with any of
// its sectors not written. What was acknowledged before must be there, the torn batch whole or not at all,
// and the log must go on and open again.
func FuzzTornTail(f *testing.F) {
	f.Add([]byte("abc"), []byte("defghij"), uint16(3), []byte{})
	f.Add([]byte("a"), bytes.Repeat([]byte{0, 9, 200, 0, 0}, 20), uint16(65535), []byte{0xff, 0, 1})
	f.Add(bytes.Repeat([]byte{7}, 40), bytes.Repeat([]byte{255}, 30), uint16(900), []byte{2})
	f.Add([]byte{}, []byte{0}, uint16(0), []byte{1})
	f.Fuzz(func(t *testing.T, sizes, torn []byte, cut uint16, lost []byte) {
		if len(sizes) > 60 || len(torn) == 0 || len(torn) > 60 {
			return
		}
		dir := t.TempDir()
		s := mustOpenLog(t, LogStoreWAL, dir)
		for i, size := range sizes {
			storeOne(t, s, fuzzEntry(uint64(i+1), size))
		}
		path := tailFile(t, dir)
		from := max(usedBytes(t, path), segHeader)
		acknowledged, n := len(sizes), len(torn)
		var batch []*raft.Log
		for i, size := range torn {
			batch = append(batch, fuzzEntry(uint64(acknowledged+i+1), size))
		}
		storeOne(t, s, batch...)
		s.Close()
		if path != tailFile(t, dir) {
			return // the batch opened a new segment
		}
		tear(t, path, from, int(cut), lost)
		s = mustOpenLog(t, LogStoreWAL, dir)
		last, _ := s.LastIndex()
		if last != uint64(acknowledged) && last != uint64(acknowledged+n) {
			t.Fatalf("%d entries were acknowledged, %d more torn, %d are there", acknowledged, n, last)
		}
		checkFuzzed(t, s, append(bytes.Clone(sizes), torn...)[:last])
		storeOne(t, s, fuzzEntry(last+1, 99))
		s.Close()
		s = mustOpenLog(t, LogStoreWAL, dir)
		defer s.Close()
		checkFuzzed(t, s, append(append(bytes.Clone(sizes), torn...)[:last], 99))
	})
}

// fuzzEntry makes an entry whose data, of up to 1.5 KiB, has runs of zeros in it.
func fuzzEntry(i uint64, size byte) *raft.Log {
	data := bytes.Repeat([]byte{0, 0, size, byte(i)}, 1+int(size))
	if size%3 == 0 {
		data = append(data, make([]byte, 2*int(size))...)
	}
	return &raft.Log{Index: i, Term: 1, Type: raft.LogCommand, Data: data}
}

func storeOne(t testing.TB, s raft.LogStore, logs ...*raft.Log) {
	t.Helper()
	if err := s.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
}

func checkFuzzed(t testing.TB, s raft.LogStore, sizes []byte) {
	t.Helper()
	for i, size := range sizes {
		var got raft.Log
		if err := s.GetLog(uint64(i+1), &got); err != nil {
			t.Fatal(err)
		}
		if want := fuzzEntry(uint64(i+1), size); !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("entry %d came back different", i+1)
		}
	}
}

// tear zeroes what follows a byte of the last batch, and those of its sectors whose bit in lost is set.
func tear(t testing.TB, path string, from, cut int, lost []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(b, "\x00"))
	clear(b[min(from+cut, used):])
	for at, k := from&^(sectorSize-1), 0; at < used; at, k = at+sectorSize, k+1 {
		if k/8 < len(lost) && lost[k/8]>>(k%8)&1 != 0 {
			clear(b[max(at, from):min(at+sectorSize, len(b))])
		}
	}
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}
