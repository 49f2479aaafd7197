package puppet

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Entry is one log entry as it travels and is stored.
type Entry []byte

// Offsets in an entry's header; big-endian numbers.
const (
	entrySum    = 1
	entryOrigin = 5
	entryBatch  = 13
	entryTerm   = 21
	entryTime   = 29
	entryCount  = 37
	entryHeader = 49

	requestLeaderStart = 11
)

// LeaderStart is what a leader writes first in its term.
func LeaderStart(term, member uint64, millis int64) Entry {
	e := make(Entry, entryHeader, entryHeader+10)
	e[0] = 2
	binary.BigEndian.PutUint64(e[entryTerm:], term)
	binary.BigEndian.PutUint64(e[entryTime:], uint64(millis))
	binary.BigEndian.PutUint32(e[entryCount:], 1)
	e = append(e, requestLeaderStart, 8)
	return Entry(binary.BigEndian.AppendUint64(e, member)).sealed()
}

// Term returns the term that the entry is meant for. Origin and Batch say whose it is.
func (e Entry) Term() uint64   { return binary.BigEndian.Uint64(e[entryTerm:]) }
func (e Entry) Origin() uint64 { return binary.BigEndian.Uint64(e[entryOrigin:]) }
func (e Entry) Batch() uint64  { return binary.BigEndian.Uint64(e[entryBatch:]) }

// Foreign returns the same requests as a batch of another process.
func (e Entry) Foreign(origin, batch, term uint64) Entry {
	e = slices.Clone(e)
	binary.BigEndian.PutUint64(e[entryOrigin:], origin)
	binary.BigEndian.PutUint64(e[entryBatch:], batch)
	binary.BigEndian.PutUint64(e[entryTerm:], term)
	return e.sealed()
}

// At returns the entry with the leader's stamp.
func (e Entry) At(millis int64) Entry {
	e = slices.Clone(e)
	binary.BigEndian.PutUint64(e[entryTime:], uint64(millis))
	return e.sealed()
}

// Requests returns the body, which a copy shares with its original.
func (e Entry) Requests() string { return string(e[entryHeader:]) }

func (e Entry) sealed() Entry {
	sum := crc32.Checksum(e[entryOrigin:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(e[entrySum:], sum)
	return e
}
