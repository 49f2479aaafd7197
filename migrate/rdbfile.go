package migrate

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/redkeep/redkeep/rdb"
)

// RDB is a file that Redis wrote, one database of it.
type RDB struct {
	path      string
	db        uint64
	size      int64
	strings   int64
	Summary   rdb.Summary
	Elsewhere map[uint64]int64 // strings of other databases
}

// OpenRDB reads a file from end to end and verifies it.
func OpenRDB(path string, db uint64) (*RDB, error) {
	r := &RDB{path: path, db: db, Elsewhere: map[uint64]int64{}}
	err := r.read(func(e rdb.Entry) error {
		if e.DB == db {
			r.strings++
		} else {
			r.Elsewhere[e.DB]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// read reads the file once.
func (r *RDB) read(each func(rdb.Entry) error) error {
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return err
	}
	if !about.Mode().IsRegular() {
		return refusef("%s is not a file", r.path)
	}
	r.size = about.Size()
	r.Summary, err = rdb.Read(bufio.NewReaderSize(f, 1<<20), r.size, each)
	var damage rdb.Damage
	var unknown rdb.Unsupported
	switch {
	case errors.As(err, &damage):
		return refusef("%s: %w; nothing was imported. Make a new file, with `redis-cli --rdb FILE` for instance",
			r.path, err)
	case errors.As(err, &unknown):
		return refusef("%s: %w; nothing was imported. Make the file with Redis 7.4 or older, "+
			"or use `redis-cli --scan` with DUMP and RESTORE", r.path, err)
	}
	return err
}

// Name implements Content.
func (r *RDB) Name() string {
	return fmt.Sprintf("rdb %016x/%d database %d", r.Summary.Sum, r.size, r.db)
}

// Total implements Content.
func (r *RDB) Total() int64 { return r.strings }

// Leases implements Content: Redis has none.
func (r *RDB) Leases() []*Lease { return nil }

// Each implements Content.
func (r *RDB) Each(fn func(Write) error) error {
	sum := r.Summary.Sum
	err := r.read(func(e rdb.Entry) error {
		if e.DB != r.db {
			return nil
		}
		return fn(Write{Key: e.Key, Value: e.Value, Deadline: e.Deadline})
	})
	if err == nil && r.Summary.Sum != sum {
		return refusef("%s was changed while it was imported", r.path)
	}
	return err
}
