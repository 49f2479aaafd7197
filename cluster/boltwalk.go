package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Reading a bbolt file without bbolt, to find what bbolt would not.
//
// bbolt has a checksum over its two meta pages and none elsewhere. Our values carry their own (stable.go),
// but a flipped byte in a key, or in the name of a bucket, makes a term or a vote disappear, and raft would
// take that for a member that never voted. In a log, a page that counts one element less hides an entry. So
// the whole tree of stable.db, and of the log where bbolt holds it, is walked here, each page compared with
// what bbolt must have written there: every field of headers and elements follows from the keys and values,
// and keys and values are known or have a checksum.
//
// Not covered: bytes that hold nothing, which are free pages and the rest of a page behind its last value.
//
// All numbers are little-endian. Page: id 8, flags 2, count 2, overflow 4. Leaf element: flags 4, position
// 4, key size 4, value size 4; branch element: position 4, key size 4, page 8; positions count from the
// element. The value of a bucket: root page 8 (0: the page follows inline), sequence 8.
const (
	pageHeader   = 16
	pageElement  = 16
	bucketHeader = 16

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10

	elementBucket = 1

	metaRoot     = 16 // offsets in a meta
	metaFreelist = 32
	metaHighest  = 40
	metaTxn      = 48
	noFreelist   = ^uint64(0)
)

type boltWalk struct {
	b    []byte
	size uint64 // of a page
	high uint64 // pages from here on are not used
	seen map[uint64]bool
	leaf func(bucket string, key, value []byte) error
}

var errBoltPage = errors.New("a page is not as it was written")

// checkStable reads every term and vote in a stable store, and everything that leads to them. hasTerm tells
// whether there is a term, which there must be once there is an entry or a snapshot.
func checkStable(path string) (hasTerm bool, err error) {
	found := map[string]bool{}
	err = walkBolt(path, func(bucket string, key, value []byte) error {
		name := string(key)
		n := len(value) - 4
		switch {
		case bucket != "conf" || name != keyCurrentTerm && name != keyLastVoteTerm && name != keyLastVoteCand:
			return fmt.Errorf("key %q of bucket %q is not known", name, bucket)
		case n < 0 || binary.LittleEndian.Uint32(value[n:]) != crc32.Checksum(value[:n], castagnoli):
			return fmt.Errorf("key %q: value does not match its checksum", name)
		}
		found[name] = true
		return nil
	})
	if err == nil && found[keyLastVoteTerm] != found[keyLastVoteCand] {
		err = errNoVote(path)
	}
	return found[keyCurrentTerm], err
}

func errNoVote(path string) error {
	return fmt.Errorf("%w file %s: a term or a vote is missing", ErrCorrupt, path)
}

// checkBoltPages verifies the tree of a log store; the entries in it have checksums. Without this, a page
// that says it has fewer elements than it has would shorten the log in silence.
func checkBoltPages(path string) error {
	return walkBolt(path, func(bucket string, key, _ []byte) error {
		if bucket != "logs" || len(key) != 8 {
			return fmt.Errorf("key %q of bucket %q is not known", key, bucket)
		}
		return nil
	})
}

// walkBolt calls leaf with all keys of a file. One that does not exist, or was never written, has none.
func walkBolt(path string, leaf func(bucket string, key, value []byte) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	if err := checkBoltMeta(path); err != nil {
		return err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	w := &boltWalk{b: b, seen: map[uint64]bool{}, leaf: leaf}
	if err = w.file(); err != nil {
		err = fmt.Errorf("%w file %s %w", ErrCorrupt, path, err)
	}
	return errors.Join(err, unix.Munmap(b))
}

// file walks the tree of the newer meta page.
func (w *boltWalk) file() error {
	first := w.b[pageHeader:]
	w.size = uint64(binary.LittleEndian.Uint32(first[boltPageSize:]))
	meta := first
	if second := w.b[w.size+pageHeader:]; le64(second[metaTxn:]) > le64(first[metaTxn:]) {
		meta = second
	}
	for page := range uint64(2) {
		if h := w.b[page*w.size:]; le64(h) != page || le64(h[8:]) != 4 {
			return fmt.Errorf("offset %d: %w", page*w.size, errBoltPage)
		}
	}
	w.high = le64(meta[metaHighest:])
	if w.high*w.size > uint64(len(w.b)) {
		return fmt.Errorf("offset %d: the file is cut", len(w.b))
	}
	buckets := map[string]bool{}
	err := w.tree(le64(meta[metaRoot:]), func(flags uint32, key, value []byte) error {
		if flags != elementBucket || len(value) < bucketHeader || le64(value[8:]) != 0 {
			return fmt.Errorf("%q is no bucket", key)
		}
		buckets[string(key)] = true
		return w.bucket(string(key), value)
	})
	switch {
	case err != nil:
		return err
	case len(buckets) != 2 || !buckets["conf"] || !buckets["logs"]:
		return errors.New("a bucket is missing")
	}
	return w.freelist(le64(meta[metaFreelist:]))
}

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func (w *boltWalk) bucket(name string, value []byte) error {
	each := func(flags uint32, k, v []byte) error {
		if flags != 0 {
			return fmt.Errorf("key %q: %w", k, errBoltPage)
		}
		return w.leaf(name, k, v)
	}
	if root := le64(value); root != 0 {
		return w.tree(root, each)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || le64(inline) != 0 || le64(inline[8:])>>32 != 0 ||
		binary.LittleEndian.Uint16(inline[8:]) != pageLeaf {
		return fmt.Errorf("bucket %q: %w", name, errBoltPage)
	}
	return leafElements(inline, each)
}

// page returns a page with its overflow.
func (w *boltWalk) page(id uint64) ([]byte, error) {
	bad := fmt.Errorf("offset %d: %w", id*w.size, errBoltPage)
	if id < 2 || id >= w.high || w.seen[id] {
		return nil, bad
	}
	p := w.b[id*w.size:]
	more := uint64(binary.LittleEndian.Uint32(p[12:]))
	if le64(p) != id || more >= w.high-id {
		return nil, bad
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i] {
			return nil, bad
		}
		w.seen[i] = true
	}
	return p[:(more+1)*w.size], nil
}

func (w *boltWalk) tree(id uint64, each func(flags uint32, key, value []byte) error) error {
	p, err := w.page(id)
	if err != nil {
		return err
	}
	switch binary.LittleEndian.Uint16(p[8:]) {
	case pageLeaf:
		err = leafElements(p, each)
	case pageBranch:
		err = w.branch(p, each)
	default:
		err = errBoltPage
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", id*w.size, err)
	}
	return nil
}

// branch walks below a page. bbolt writes as a branch's key the first key below it.
func (w *boltWalk) branch(p []byte, each func(uint32, []byte, []byte) error) error {
	count := int(binary.LittleEndian.Uint16(p[10:]))
	at := pageHeader + count*pageElement
	for i := range count {
		e := pageHeader + i*pageElement
		pos, ksize := int(binary.LittleEndian.Uint32(p[e:])), int(binary.LittleEndian.Uint32(p[e+4:]))
		if e+pos != at || ksize > len(p)-at {
			return errBoltPage
		}
		at += ksize
		if err := w.tree(le64(p[e+8:]), each); err != nil {
			return err
		}
	}
	return nil
}

func leafElements(p []byte, each func(flags uint32, key, value []byte) error) error {
	count := int(binary.LittleEndian.Uint16(p[10:]))
	at := pageHeader + count*pageElement
	if at > len(p) {
		return errBoltPage
	}
	var last string
	for i := range count {
		e := pageHeader + i*pageElement
		pos, ksize := int(binary.LittleEndian.Uint32(p[e+4:])), int(binary.LittleEndian.Uint32(p[e+8:]))
		vsize := int(binary.LittleEndian.Uint32(p[e+12:]))
		if e+pos != at || ksize > len(p)-at || vsize > len(p)-at-ksize {
			return errBoltPage
		}
		key := p[at : at+ksize]
		if i > 0 && string(key) <= last {
			return errBoltPage
		}
		last = string(key)
		if err := each(binary.LittleEndian.Uint32(p[e:]), key, p[at+ksize:at+ksize+vsize]); err != nil {
			return err
		}
		at += ksize + vsize
	}
	return nil
}

// freelist wants every page to be either in the tree or free, and none both: a page that is used but listed
// as free would be written over.
func (w *boltWalk) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	p, err := w.page(id)
	if err != nil {
		return err
	}
	bad := fmt.Errorf("offset %d: %w", id*w.size, errBoltPage)
	count, list := uint64(binary.LittleEndian.Uint16(p[10:])), p[pageHeader:]
	if binary.LittleEndian.Uint16(p[8:]) != pageFreelist {
		return bad
	}
	if count == 0xffff {
		count, list = le64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return bad
	}
	for i := range count {
		free := le64(list[8*i:])
		if free < 2 || free >= w.high || w.seen[free] {
			return bad
		}
		w.seen[free] = true
	}
	if uint64(len(w.seen)) != w.high-2 {
		return bad
	}
	return nil
}
