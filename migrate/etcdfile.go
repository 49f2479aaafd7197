package migrate

// A snapshot of etcd is its bbolt database, and behind it, if `etcdctl snapshot save` wrote it, a SHA-256 of
// that. (A database copied out of a member's folder has none; then only what bbolt checks is checked.)
//
//	bucket key     revision ("main_sub", 8 bytes each, and "t" for a tombstone) -> KeyValue, in order
//	bucket lease   id, 8 bytes                                                  -> Lease
//	bucket authUsers, authRoles                                                 what is left out and counted
//
// The idea: walk the whole history once and remember, of each key, what was last said of it; values stay in
// the mapped file until they are sent. The order is by lease first, then by key, so that the keys of a lease
// come together and soon after it was granted.
//
// Drawback: bbolt trusts its file. A damaged page makes it panic, or read behind the end of the mapping; both
// are caught here and called damage.

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Etcd is a snapshot that etcd wrote.
type Etcd struct {
	Revision     int64 // of the store when it was saved
	Summed       bool  // the file carries a checksum
	Users, Roles int

	name   string
	db     *bbolt.DB
	tx     *bbolt.Tx
	kvs    []etcdKV
	leases []*Lease
}

// etcdKV is a key as it was when the snapshot was made; value is in the mapped file.
type etcdKV struct {
	key   string
	value []byte
	lease *Lease
}

// OpenEtcd opens a snapshot and verifies it. Close ends it.
func OpenEtcd(path string, withLeases bool) (*Etcd, error) {
	e := &Etcd{}
	sum, err := e.verify(path)
	if err != nil {
		return nil, err
	}
	e.name = "etcd " + hex.EncodeToString(sum[:12])
	if err := e.open(path); err != nil {
		return nil, err
	}
	if err := guarded(path, func() error { return e.load(withLeases) }); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func damaged(path string, why any) error {
	return refusef("%s: damaged: %v; nothing was imported. Make a new one with `etcdctl snapshot save FILE`",
		path, why)
}

// verify sums the file up, and compares if it can.
func (e *Etcd) verify(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, refusef("%s is not a file", path)
	}
	size := about.Size()
	e.Summed = size%512 == sha256.Size // etcd's own rule: pages are multiples of 512
	if e.Summed {
		size -= sha256.Size
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, size)); err != nil {
		return nil, err
	}
	var said [sha256.Size]byte
	if _, err := f.ReadAt(said[:], size); e.Summed && err != nil {
		return nil, err
	}
	sum := hash.Sum(nil)
	if e.Summed && !bytes.Equal(sum, said[:]) {
		return nil, damaged(path, "the SHA-256 at its end is not that of the content")
	}
	return sum, nil
}

// open opens the database and checks that the file is as long as the database says.
func (e *Etcd) open(path string) error {
	return guarded(path, func() (err error) {
		e.db, err = bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return refusef("%s is in use by a running etcd: import what `etcdctl snapshot save FILE` writes", path)
		case err != nil:
			return refusef("%s is no snapshot of etcd: %w", path, err)
		}
		e.tx, err = e.db.Begin(false)
		return err
	})
}

// guarded turns what bbolt does with a damaged file into an error.
func guarded(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if why := recover(); why != nil {
			err = damaged(path, why)
		}
	}()
	return do()
}

// Close ends the reading.
func (e *Etcd) Close() error {
	var failed error
	if e.tx != nil {
		failed = e.tx.Rollback()
	}
	return errors.Join(failed, e.db.Close())
}

func (e *Etcd) load(withLeases bool) error {
	about, err := os.Stat(e.db.Path())
	if err != nil {
		return err
	}
	if e.tx.Size() > about.Size() {
		return damaged(e.db.Path(), fmt.Sprintf("cut: %d of %d bytes are there", about.Size(), e.tx.Size()))
	}
	keys := e.tx.Bucket([]byte("key"))
	if keys == nil {
		return refusef("%s is no snapshot of etcd 3: it has no bucket of keys", e.db.Path())
	}
	leases := map[uint64]*Lease{}
	if withLeases {
		if leases, err = e.readLeases(); err != nil {
			return err
		}
	}
	last := map[string]etcdKV{}
	err = keys.ForEach(func(rev, record []byte) error { return e.replay(last, leases, rev, record) })
	if err != nil {
		return err
	}
	e.arrange(last, leases)
	e.Users, e.Roles = e.count("authUsers"), e.count("authRoles")
	return nil
}

func (e *Etcd) count(bucket string) int {
	b := e.tx.Bucket([]byte(bucket))
	if b == nil {
		return 0
	}
	return b.Stats().KeyN
}

func (e *Etcd) readLeases() (map[uint64]*Lease, error) {
	leases := map[uint64]*Lease{}
	b := e.tx.Bucket([]byte("lease"))
	if b == nil {
		return leases, nil
	}
	return leases, b.ForEach(func(_, record []byte) error {
		l, err := parseLease(record)
		if err != nil {
			return damaged(e.db.Path(), err)
		}
		leases[l.ID] = l
		return nil
	})
}

const revisionBytes = 17 // main, "_", sub

// replay notes what one record of the history says.
func (e *Etcd) replay(last map[string]etcdKV, leases map[uint64]*Lease, rev, record []byte) error {
	if len(rev) != revisionBytes && len(rev) != revisionBytes+1 || rev[8] != '_' {
		return damaged(e.db.Path(), fmt.Sprintf("%x is no revision", rev))
	}
	kv, err := parseKeyValue(record)
	if err != nil {
		return damaged(e.db.Path(), err)
	}
	e.Revision = max(e.Revision, int64(binary.BigEndian.Uint64(rev)))
	if len(rev) > revisionBytes {
		delete(last, string(kv.key))
		return nil
	}
	last[string(kv.key)] = etcdKV{value: kv.value, lease: leases[kv.lease]}
	return nil
}

// arrange puts the keys into their order.
func (e *Etcd) arrange(last map[string]etcdKV, leases map[uint64]*Lease) {
	for key, kv := range last {
		kv.key = key
		if kv.lease != nil {
			kv.lease.Keys++
		}
		e.kvs = append(e.kvs, kv)
	}
	slices.SortFunc(e.kvs, func(a, b etcdKV) int {
		return cmp.Or(cmp.Compare(leaseOf(a), leaseOf(b)), cmp.Compare(a.key, b.key))
	})
	for _, l := range leases {
		e.leases = append(e.leases, l)
	}
	slices.SortFunc(e.leases, func(a, b *Lease) int { return cmp.Compare(a.ID, b.ID) })
}

func leaseOf(kv etcdKV) uint64 {
	if kv.lease == nil {
		return 0
	}
	return kv.lease.ID
}

// Name implements Content.
func (e *Etcd) Name() string { return e.name }

// Total implements Content.
func (e *Etcd) Total() int64 { return int64(len(e.kvs)) }

// Leases implements Content.
func (e *Etcd) Leases() []*Lease { return e.leases }

// Each implements Content.
func (e *Etcd) Each(fn func(Write) error) error {
	for i := range e.kvs {
		kv := &e.kvs[i]
		w := Write{Key: kv.key, Lease: kv.lease}
		err := guarded(e.db.Path(), func() error { w.Value = string(kv.value); return nil })
		if err == nil {
			err = fn(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
