package linear

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// forever is the return time of an operation that may still take effect: after everything else.
const forever = math.MaxInt64

// Recorder collects the operations of one client. It belongs to that client's goroutine until the client has
// ended.
type Recorder struct {
	id      int
	start   time.Time
	ops     []porcupine.Operation
	counts  Counts
	okTotal *atomic.Int64 // shared by all clients: acknowledged writes
}

// Counts says what a run consisted of.
type Counts struct {
	Done    [KindCount]int // answered
	Held    int            // of KV.TXN: those whose guard held
	Maybe   int            // writes of unknown outcome
	Refused int            // definitely not done
	Lost    int            // reads without an answer
}

func (c *Counts) add(o Counts) {
	for i := range c.Done {
		c.Done[i] += o.Done[i]
	}
	c.Held += o.Held
	c.Maybe += o.Maybe
	c.Refused += o.Refused
	c.Lost += o.Lost
}

// Total is the number of answered operations.
func (c *Counts) Total() (n int) {
	for _, d := range c.Done {
		n += d
	}
	return n
}

func (c *Counts) String() string {
	var parts []string
	for k, n := range c.Done {
		parts = append(parts, fmt.Sprintf("%s %d", Kind(k), n))
	}
	return fmt.Sprintf("%d answered (%s, %d of these wrote), %d maybe, %d refused, %d reads lost",
		c.Total(), strings.Join(parts, ", "), c.Held, c.Maybe, c.Refused, c.Lost)
}

func (r *Recorder) now() int64 { return int64(time.Since(r.start)) }

// record files one finished call under its fate.
func (r *Recorder) record(in Input, out Output, f fate, call, ret int64) {
	switch {
	case f == refused:
		r.counts.Refused++
		return
	case f == unknown && in.Kind.IsRead():
		r.counts.Lost++
		return
	case f == unknown:
		r.counts.Maybe++
		out, ret = Output{Unknown: true}, forever
	default:
		r.counts.Done[in.Kind]++
		if in.Kind == Cas {
			r.counts.Held += int(out.N)
		}
		if !in.Kind.IsRead() {
			r.okTotal.Add(1)
		}
	}
	r.ops = append(r.ops, porcupine.Operation{ClientId: r.id, Input: in, Output: out, Call: call, Return: ret})
}

// CheckRevisions checks what the store revision promises across all partitions: a revision given to a write
// is given once, and a revision seen by an operation is above every one seen by an operation that had
// returned before.
func CheckRevisions(history []porcupine.Operation) error {
	type seen struct {
		call, ret int64
		in        Input
		rev       int64
	}
	var all []seen
	given := map[int64]string{}
	for _, op := range history {
		in, out := op.Input.(Input), op.Output.(Output)
		if out.Unknown || in.Kind != KVPut && in.Kind != KVRange {
			continue
		}
		all = append(all, seen{op.Call, op.Return, in, out.N})
		if in.Kind == KVPut {
			text := Describe(in, out)
			if other, ok := given[out.N]; ok {
				return fmt.Errorf("revision %d was given twice: %s; %s", out.N, other, text)
			}
			given[out.N] = text
		}
	}
	byReturn := slices.Clone(all)
	slices.SortFunc(all, func(a, b seen) int { return compare(a.call, b.call) })
	slices.SortFunc(byReturn, func(a, b seen) int { return compare(a.ret, b.ret) })
	next, best := 0, int64(0)
	for _, s := range all {
		for next < len(byReturn) && byReturn[next].ret < s.call {
			best = max(best, byReturn[next].rev)
			next++
		}
		if s.rev < best || s.rev == best && s.in.Kind == KVPut {
			return fmt.Errorf("revision went back: %s p%d saw %d after %d had been seen", s.in.Kind, s.in.Partition,
				s.rev, best)
		}
	}
	return nil
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// CheckHistory looks for a linear order of each partition. It returns an error that shows the first partition
// without one, or says that the search did not end in time.
func CheckHistory(history []porcupine.Operation, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for _, ops := range partition(history) {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("the search for a linear order did not end in %v", timeout)
		}
		switch porcupine.CheckOperationsTimeout(Model, ops, left) {
		case porcupine.Illegal:
			return fmt.Errorf("not linearizable:\n%s", transcript(shrink(ops)))
		case porcupine.Unknown:
			return fmt.Errorf("the search for a linear order of %d operations did not end in %v", len(ops), timeout)
		}
	}
	return nil
}

// shrink cuts an illegal history down to the shortest prefix (by return time) that is still illegal, so that
// the end of the transcript is where it broke.
func shrink(ops []porcupine.Operation) []porcupine.Operation {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return compare(a.Return, b.Return) })
	legal, illegal := 0, len(ops)
	for illegal-legal > 1 {
		mid := (legal + illegal) / 2
		if porcupine.CheckOperationsTimeout(Model, prefix(ops, mid), 10*time.Second) == porcupine.Illegal {
			illegal = mid
		} else {
			legal = mid
		}
	}
	return prefix(ops, illegal)
}

// prefix keeps the first n operations by return, and every write that had been called by then as a maybe.
func prefix(ops []porcupine.Operation, n int) []porcupine.Operation {
	out := slices.Clone(ops[:n])
	end := ops[n-1].Return
	for _, op := range ops[n:] {
		if op.Call <= end && !op.Input.(Input).Kind.IsRead() {
			op.Output, op.Return = Output{Unknown: true}, forever
			out = append(out, op)
		}
	}
	return out
}

// transcript lists the last operations of a history in order of their calls.
func transcript(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return compare(a.Call, b.Call) })
	var b strings.Builder
	for _, op := range ops[max(0, len(ops)-80):] {
		ret := "…"
		if op.Return != forever {
			ret = time.Duration(op.Return).String()
		}
		fmt.Fprintf(&b, "  client %2d  %14v  %14s  %s\n", op.ClientId, time.Duration(op.Call), ret,
			Describe(op.Input.(Input), op.Output.(Output)))
	}
	return b.String()
}
