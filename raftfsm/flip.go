//go:build faults

package raftfsm

import (
	"errors"
	"sync/atomic"
)

var flippable atomic.Pointer[machine]

var errNoFlip = errors.New("no such key, or it has no value")

func offerFlip(m *machine) { flippable.Store(m) }

// Flip damages the value of a key in the state of this process's member; see mvcc.Store.Flip.
func Flip(key string) error {
	m := flippable.Load()
	if m == nil || !m.store.Flip(key) {
		return errNoFlip
	}
	return nil
}
