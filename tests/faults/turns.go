package faults

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// loadLocks drives the clients of locks and leases at a node, as many as the profile says.
func (r *run) loadLocks(addr string, wg *sync.WaitGroup) {
	for range r.profile.Lockers {
		l := r.newLocker(addr)
		wg.Go(l.drive)
	}
	for range r.profile.Lessees {
		l := r.newLessee(addr)
		wg.Go(l.drive)
	}
	for range r.profile.Borrowers {
		b := r.newBorrower(addr)
		wg.Go(b.drive)
	}
}

// minTenures is the least that the lock libraries must have been used.
const minTenures = 100

// checkTurns runs the checkers of locks and leases, where the profile has clients for them.
func (r *run) checkTurns(t testing.TB, ops []*Op, res *result) {
	t.Helper()
	report := func(what string, errs ...error) {
		for _, err := range errs {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	var err error
	if r.profile.Lockers > 0 {
		res.locks, err = r.checkLockers()
		if report("locks", err); err == nil {
			report("locks", res.locks.lack()...)
		}
	}
	if r.profile.Lessees > 0 {
		var all []*tenancy
		for _, l := range r.lessees {
			all = append(all, l.all...)
			report("leases", l.problem)
		}
		res.leases, err = checkLeases(all, idleTimes(ops))
		if report("leases", err); err == nil {
			report("leases", res.leases.lack()...)
		}
	}
	if r.profile.Borrowers > 0 {
		var all []tenure
		for _, b := range r.borrowers {
			all = append(all, b.spans...)
		}
		report("lock libraries", checkTenures(all))
		if res.tenures = len(all); res.tenures < minTenures {
			report("lock libraries", fmt.Errorf("too little work: %d tenures, want %d", res.tenures, minTenures))
		}
	}
}

// checkLockers checks what all lock clients have recorded.
func (r *run) checkLockers() (work lockWork, err error) {
	var turns []*turn
	var gone []string
	late, inVain := 0, 0
	for _, l := range r.lockers {
		turns, gone = append(turns, l.turns...), append(gone, l.gone...)
		late, inVain = late+l.late, inVain+l.inVain
		if err == nil {
			err = l.problem
		}
	}
	work, broken := checkLocks(r.journal, turns, gone)
	work.late, work.inVain = late, inVain
	return work, errors.Join(err, broken)
}
