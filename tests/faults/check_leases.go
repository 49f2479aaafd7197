package faults

import (
	"fmt"
	"slices"
	"time"
)

// leaseWork is what the checks of leases had to work with.
type leaseWork struct {
	leases, ended, sights int
	longest               time.Duration // that a key was seen after its time, without the time without leader
}

const (
	minLeases = 20
	// overstay is how long a key may stay after its time, beside the time in which no leader worked: a leader
	// counts on from the last checkpoint of the one before it, and ends what is due ten times a second.
	overstay = 2 * time.Second
	// leaderless is from when on a pause between two acknowledged writes counts as time without a leader.
	leaderless = 100 * time.Millisecond
)

// idle is the time between acknowledged writes, as far as it is long: nobody led then, or nobody knew.
type idle struct{ from, to int64 }

// idleTimes finds them in what clients recorded.
func idleTimes(ops []*Op) (out []idle) {
	var acks []int64
	for _, op := range ops {
		if !op.Unknown && !op.Kind.Reads {
			acks = append(acks, op.Ret)
		}
	}
	slices.Sort(acks)
	for i := 1; i < len(acks); i++ {
		if acks[i]-acks[i-1] > int64(leaderless) {
			out = append(out, idle{acks[i-1], acks[i]})
		}
	}
	return out
}

// within is how much of the idle time lies between two moments.
func within(all []idle, from, to int64) (sum int64) {
	for _, i := range all {
		sum += max(min(i.to, to)-max(i.from, from), 0)
	}
	return sum
}

// checkLeases demands that no key goes before its lease's time is over, counted from the last renewal that
// was acknowledged, and that none stays for longer than allowed.
func checkLeases(all []*tenancy, idle []idle) (work leaseWork, err error) {
	for _, t := range all {
		work.leases++
		if t.refused != 0 && t.refused < t.promised {
			return work, fmt.Errorf("lease %s of %v was said to be gone %v before its time", t.id, t.ttl,
				time.Duration(t.promised-t.refused))
		}
		for _, s := range t.sights {
			work.sights++
			if err := work.checkSight(t, s, idle); err != nil {
				return work, err
			}
		}
		if n := len(t.sights); n > 0 && !t.sights[n-1].there {
			work.ended++
		}
		if err := checkSights(t); err != nil {
			return work, err
		}
	}
	return work, nil
}

func (work *leaseWork) checkSight(t *tenancy, s sight, idle []idle) error {
	switch {
	case !s.there && s.ret < t.promised && lastSight(t, s):
		return fmt.Errorf("the key of lease %s of %v was gone %v before its time", t.id, t.ttl,
			time.Duration(t.promised-s.ret))
	case !s.there || t.latest == forever:
		return nil
	}
	over := time.Duration(s.call - t.latest - int64(t.ttl) - within(idle, t.latest, s.call))
	if work.longest = max(work.longest, over); over > overstay {
		return fmt.Errorf("the key of lease %s of %v was seen %v after its time", t.id, t.ttl, over)
	}
	return nil
}

// lastSight tells that nothing was renewed after the look, so that promised is that of its time.
func lastSight(t *tenancy, s sight) bool { return t.promised-int64(t.ttl) <= s.ret }

// checkSights: what is gone does not come back, and a lease whose key is gone is not renewed.
func checkSights(t *tenancy) error {
	for i, s := range t.sights {
		if s.there && t.refused != 0 && s.call > t.refused {
			return fmt.Errorf("lease %s was said to be gone, and then its key was still there", t.id)
		}
		if s.there {
			continue
		}
		if t.promised-int64(t.ttl) > s.ret {
			return fmt.Errorf("lease %s was renewed after its key was gone", t.id)
		}
		for _, later := range t.sights[i:] {
			if later.there {
				return fmt.Errorf("the key of lease %s came back", t.id)
			}
		}
	}
	return nil
}

func (work *leaseWork) lack() (out []error) {
	if work.ended < minLeases || work.sights < 10*minLeases {
		out = append(out, fmt.Errorf("too little work: %d leases ended, %d looks at their keys", work.ended,
			work.sights))
	}
	return out
}

func (work *leaseWork) String() string {
	return fmt.Sprintf("%d leases, %d seen to end, %d looks at their keys, longest stay after their time %v",
		work.leases, work.ended, work.sights, work.longest.Round(time.Millisecond))
}
