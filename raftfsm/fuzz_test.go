package raftfsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/mvcc"
)

// FuzzSnapshotBlocks puts arbitrary blocks into a file whose checksums are all right, which a flipped byte
// never gets past. Reading it must not panic; what is accepted must be a sound state, and one that comes back
// the same after it has been written again.
func FuzzSnapshotBlocks(f *testing.F) {
	for _, n := range []int{0, 3, 60} {
		l := filled(f, n)
		f.Add(payloadsOf(persisted(f, l)))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payloads []byte) {
		file := sealedSnapshot(payloads)
		if VerifySnapshot(bytes.NewReader(file)) != nil {
			return
		}
		l := newLone(t)
		if l.Restore(io.NopCloser(bytes.NewReader(file))) != nil {
			return
		}
		if err := l.store.Check(); err != nil {
			t.Fatalf("an unsound state was accepted: %v", err)
		}
		again := newLone(t)
		if err := again.Restore(io.NopCloser(bytes.NewReader(persisted(t, l)))); err != nil {
			t.Fatalf("written again it is refused: %v", err)
		}
		revA, sumA := l.store.Hash()
		if revB, sumB := again.store.Hash(); revA != revB || sumA != sumB {
			t.Fatalf("revision %d hash %x came back as %d %x", revA, sumA, revB, sumB)
		}
	})
}

// payloadsOf takes the blocks of a snapshot out of their frames: length and payload, without the footer.
func payloadsOf(file []byte) (out []byte) {
	for b := file[len(snapshotMagic)+2:]; len(b) > 0; {
		size := binary.BigEndian.Uint32(b)
		if payload := b[8 : 8+size]; payload[0] != 'F' {
			out = append(binary.BigEndian.AppendUint16(out, uint16(size)), payload...)
		}
		b = b[8+size:]
	}
	return out
}

// sealedSnapshot frames payloads, and ends the file with the footer that fits the header's count of records.
func sealedSnapshot(payloads []byte) []byte {
	file := binary.BigEndian.AppendUint16([]byte(snapshotMagic), snapshotVersion)
	block := func(payload []byte) {
		file = binary.BigEndian.AppendUint32(file, uint32(len(payload)))
		file = binary.BigEndian.AppendUint32(file, crc32.Checksum(payload, castagnoli))
		file = append(file, payload...)
	}
	var records uint64
	for first := true; len(payloads) >= 2; first = false {
		size := min(int(binary.BigEndian.Uint16(payloads)), len(payloads)-2)
		payload := payloads[2 : 2+size]
		if first && size > 64 {
			records = binary.BigEndian.Uint64(payload[1+7*8:])
		}
		block(payload)
		payloads = payloads[2+size:]
	}
	sum := sha256.Sum256(file)
	block(append(binary.BigEndian.AppendUint64([]byte{'F'}, records), sum[:]...))
	return file
}

// FuzzApply applies requests that the decoder accepts to a machine with something in it. Nothing of what a
// log can hold may panic, and the state stays sound.
func FuzzApply(f *testing.F) {
	f.Add(goldenEntry()[headerSize:])
	f.Add(goldenLinked()[headerSize:])
	var s Submission
	s.AddTxn(put("key1", "v", mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 5}))
	s.AddCompact(3)
	f.Add(s.buf)
	f.Fuzz(func(t *testing.T, requests []byte) {
		count, ok := acceptable(requests)
		if !ok {
			return
		}
		l := filled(t, 20)
		data := append(make([]byte, headerSize), requests...)
		putHeader(data, Header{Term: 1, Time: 4000, Count: count})
		l.index++
		l.ApplyBatch([]*raft.Log{{Index: l.index, Term: 1, Type: raft.LogCommand, Data: data}})
		if err := l.store.Check(); err != nil {
			t.Fatalf("after %x: %v", requests, err)
		}
	})
}

// acceptable reports whether the decoder takes all requests; one of an unknown kind ends the process on
// purpose.
func acceptable(requests []byte) (count uint32, ok bool) {
	r := reader{b: requests}
	for kind, body, more := r.request(); more; kind, body, more = r.request() {
		if _, err := reencode(kind, body); err != nil {
			return 0, false
		}
		count++
	}
	return count, r.end() == nil && count > 0
}
