package rdb

// A file is a stream of records, each behind one byte:
//
//	file    = "REDIS", 4 digits (version), record…, 0xff, u64 CRC (from version 5 on; 0: not computed)
//	record  = 0xfa string string                    about the file (which Redis, when, …)
//	        | 0xfe length                           the database that follows
//	        | 0xfb length length | 0xf4 length length length        how large it is
//	        | 0xf5 string                           a library of functions
//	        | 0xf7 length fields                    of a module, see shapes.go
//	        | [0xfd u32 seconds | 0xfc u64 ms] [0xf8 length | 0xf9 u8] type, string (key), value
//
// Read goes through it once. The sum is made while it is read; it is compared at the end, or, when something
// before the end is malformed, over the rest of the file: so a file that was cut or in which a bit flipped is
// called that, and only a file with a good sum is called malformed or unknown. What was handed out before is
// for the caller to forget: Read twice, and use what the second call hands out.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Entry is one string of a file.
type Entry struct {
	DB       uint64
	Key      string
	Value    string
	Deadline int64 // Unix milliseconds; 0 for none
}

// Summary says what a file held.
type Summary struct {
	Version   int
	Redis     string // version of the server that wrote it; empty if it does not say
	Sum       uint64 // CRC-64 of the content
	Summed    bool   // the file carries it; false if Redis was told not to compute one
	Strings   int64
	Others    map[string]int64 // keys of other types, by type
	Functions int64            // libraries of functions
}

const (
	opFunction   = 0xf5
	opModuleAux  = 0xf7
	opIdle       = 0xf8
	opFrequency  = 0xf9
	opAux        = 0xfa
	opSizes      = 0xfb
	opMillis     = 0xfc
	opSeconds    = 0xfd
	opDatabase   = 0xfe
	opEnd        = 0xff
	opSlot       = 0xf4
	sumBytes     = 8
	firstSummed  = 5
	headBytes    = 9
	firstSpecial = 0xf0
)

// opShapes are the records that are passed over.
var opShapes = map[byte]string{opModuleAux: "lm", opIdle: "l", opSizes: "ll", opSlot: "lll"}

// sums adds up what is read, all but the last 8 bytes of the file, and keeps these.
type sums struct {
	in   io.Reader
	left int64 // bytes that count
	sum  uint64
	tail [sumBytes]byte // the last that were read
}

// Read implements io.Reader.
func (s *sums) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	part := p[:min(int64(n), max(s.left, 0))]
	s.sum = addSum(s.sum, part)
	s.left -= int64(n)
	last := p[max(0, n-sumBytes):n]
	copy(s.tail[:], s.tail[len(last):])
	copy(s.tail[sumBytes-len(last):], last)
	return n, err
}

// file is one reading.
type file struct {
	reader
	sums    *sums
	size    int64
	each    func(Entry) error
	summary Summary
	db      uint64
	until   int64 // deadline of the next key
	refusal error // why the reading cannot go on although nothing is malformed
}

// Read reads a file of size bytes and calls each for every string. An error of each ends it and is returned
// as it is; others are Damage, Unsupported, or in's own.
func Read(in io.Reader, size int64, each func(Entry) error) (Summary, error) {
	f := &file{size: size, each: each, sums: &sums{in: in, left: size - sumBytes}}
	f.reader = reader{in: f.sums, left: uint64(size)}
	f.summary.Others = map[string]int64{}
	if err := f.head(); err != nil {
		return f.summary, err
	}
	for more := true; more && !f.bad && f.refusal == nil; {
		more = f.record()
	}
	return f.summary, f.end()
}

func (f *file) head() error {
	head := string(f.take(headBytes))
	version, err := strconv.Atoi(string(head[min(5, len(head)):]))
	switch {
	case f.err != nil && !errors.Is(f.err, io.ErrUnexpectedEOF):
		return f.err
	case f.bad || head[:5] != "REDIS" || err != nil:
		return Damage{0, "this is no RDB file: it does not begin with REDIS and a version"}
	case version > newestVersion:
		return Unsupported{fmt.Sprintf("the file is of RDB version %d; up to %d are known", version, newestVersion)}
	}
	f.summary.Version = version
	return nil
}

// record reads one record; false after the last.
func (f *file) record() bool {
	op := f.byte()
	switch {
	case f.bad || op == opEnd:
		return false
	case op == opAux:
		f.about(f.string(), f.string())
	case op == opDatabase:
		f.db = f.length()
	case op == opMillis:
		f.until = int64(f.uint64())
	case op == opSeconds:
		f.until = 1000 * int64(binary.LittleEndian.Uint32(f.take(4)))
	case op == opFrequency:
		f.skip(1)
	case op == opFunction:
		f.skipString()
		f.summary.Functions++
	case opShapes[op] != "":
		f.pass(opShapes[op])
	default:
		f.key(op)
	}
	return true
}

func (f *file) about(name, value string) {
	if name == "redis-ver" {
		f.summary.Redis = value
	}
}

// key reads a key and its value.
func (f *file) key(kind byte) {
	until := f.until
	f.until = 0
	if kind != typeString && (int(kind) >= len(shapes) || shapes[kind].name == "") {
		what := fmt.Sprintf("a value of type %d, which is not known here", kind)
		if kind >= firstSpecial {
			what = fmt.Sprintf("a record of kind %d, which is not known here", kind)
		}
		f.refusal = Unsupported{what}
		return
	}
	key := f.string()
	if kind != typeString {
		f.pass(shapes[kind].fields)
		if !f.bad {
			f.summary.Others[shapes[kind].name]++
		}
		return
	}
	value := f.string()
	if f.bad {
		return
	}
	f.summary.Strings++
	f.refusal = f.each(Entry{DB: f.db, Key: key, Value: value, Deadline: until})
}

// end judges the whole file.
func (f *file) end() error {
	at := f.size - int64(f.left)
	var unknown Unsupported
	if f.refusal != nil && !errors.As(f.refusal, &unknown) {
		return f.refusal // of each: the rest is of no interest
	}
	if f.summary.Version < firstSummed {
		return f.endUnsummed(at)
	}
	want, err := f.rest()
	if err != nil {
		return err
	}
	f.summary.Sum, f.summary.Summed = f.sums.sum, want != 0
	switch {
	case want != 0 && want != f.sums.sum:
		return Damage{f.size, fmt.Sprintf("cut or damaged: the CRC64 at the end is %016x, of the content %016x",
			want, f.sums.sum)}
	case f.refusal != nil:
		return f.refusal
	case f.bad:
		return Damage{at, "malformed"}
	case at != f.size-sumBytes:
		return Damage{at, "the content ends here, the file does not"}
	}
	return nil
}

// endUnsummed is end for a file of a Redis that made no sums.
func (f *file) endUnsummed(at int64) error {
	switch {
	case f.err != nil && !errors.Is(f.err, io.EOF) && !errors.Is(f.err, io.ErrUnexpectedEOF):
		return f.err
	case f.refusal != nil:
		return f.refusal
	case f.bad:
		return Damage{at, "cut or malformed"}
	case f.left > 0:
		return Damage{at, "the content ends here, the file does not"}
	}
	return nil
}

// rest reads what has not been read, for its sum, and returns the sum that the file carries.
func (f *file) rest() (uint64, error) {
	if f.err != nil && !errors.Is(f.err, io.EOF) && !errors.Is(f.err, io.ErrUnexpectedEOF) {
		return 0, f.err
	}
	_, err := io.Copy(io.Discard, f.sums)
	return binary.LittleEndian.Uint64(f.sums.tail[:]), err
}
