package faults

import (
	"fmt"
	"time"
)

// checkLocal replays the history against the reads that nodes answered from their own state. A range must
// show the state at the revision it names; the revisions of a connection must not go down; a GET, which
// names none, must show a state not before the one seen before it.
//
// A node hides a key past its deadline by its own clock before the expiry is in the log: such a key may
// be missing.
//
// REQUIRES: the archive is complete.
func checkLocal(reads []localRead, a *archive, tolerance slack) (checked int, err error) {
	position := map[int]int64{}
	for _, r := range reads {
		checked++
		from := position[r.conn]
		if r.key < 0 {
			if r.revision < from {
				return checked, fmt.Errorf("local read went back from revision %d to %d: %+v", from, r.revision, r)
			}
			if err := a.matchRange(r, tolerance); err != nil {
				return checked, err
			}
			position[r.conn] = r.revision
			continue
		}
		at, ok := a.earliest(r, from, tolerance)
		if !ok {
			return checked, fmt.Errorf("no revision from %d on shows %s as %s", from,
				keyName(r.partition, r.key), r.text)
		}
		position[r.conn] = at
	}
	return checked, nil
}

func (a *archive) matchRange(r localRead, tolerance slack) error {
	for k, got := range r.cells {
		v, ok := a.at(keyName(r.partition, k), r.revision)
		ok = ok && v.exists
		switch {
		case !got.Exists && (!ok || hidden(v, r.wall, tolerance)):
		case got.Exists && ok && got.Value == v.value:
		default:
			return fmt.Errorf("a local read at revision %d shows %s as %v, the history has %+v",
				r.revision, keyName(r.partition, k), got, v)
		}
	}
	return nil
}

// hidden reports whether a record may be hidden at a time because its deadline has passed.
func hidden(v version, wall time.Time, tolerance slack) bool {
	return v.expires != 0 && wall.Add(time.Duration(tolerance)).UnixMilli() >= v.expires
}

// earliest returns the first revision from a position on that shows a key as a read has seen it.
func (a *archive) earliest(r localRead, from int64, tolerance slack) (int64, bool) {
	key := keyName(r.partition, r.key)
	if shown(a, key, from, r, tolerance) {
		return from, true
	}
	for _, v := range a.versions[key] {
		if v.revision > from && shown(a, key, v.revision, r, tolerance) {
			return v.revision, true
		}
	}
	return 0, false
}

func shown(a *archive, key string, revision int64, r localRead, tolerance slack) bool {
	v, ok := a.at(key, revision)
	if r.text == "nil" {
		return !ok || !v.exists || hidden(v, r.wall, tolerance)
	}
	return ok && v.exists && v.value == r.text
}
