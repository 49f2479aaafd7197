package discovery

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// followLimit bounds how long a client may take from the death of the leader until its writes succeed again.
const followLimit = 15 * time.Second

// tally is what a client has been told. Its client writes keys "<name>:<i>" with the value i, for rising i,
// one after the other, and reads each again.
type tally struct {
	name string

	mu struct {
		sync.Mutex
		acked  []int
		reads  int // from replicas that succeeded
		behind int // meant for the master while it was gone, and answered by a replica that lacks the write
		bad    []string
		errors []string // the last few
	}
}

func (y *tally) ack(i int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.mu.acked = append(y.mu.acked, i)
}

func (y *tally) read() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.mu.reads++
}

// lagged notes a read that a client without a master sent to a replica.
func (y *tally) lagged() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.mu.behind++
}

// wrong notes an answer that must not be.
func (y *tally) wrong(format string, args ...any) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.mu.bad = append(y.mu.bad, fmt.Sprintf(format, args...))
}

// failed notes an error; while there is no leader they are expected.
func (y *tally) failed(err string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.mu.errors = append(y.mu.errors[max(0, len(y.mu.errors)-9):], err)
}

func (y *tally) count() (acked, reads int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.mu.acked), y.mu.reads
}

func (y *tally) lastErrors() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return fmt.Sprintf("wrong %q, errors %q", y.mu.bad[:min(5, len(y.mu.bad))], y.mu.errors)
}

// grown returns nil iff so many writes are acknowledged and so many reads from replicas were answered.
func (y *tally) grown(acked, reads int) error {
	if a, r := y.count(); a < acked || r < reads {
		return fmt.Errorf("%d of %d writes and %d of %d reads from replicas", a, acked, r, reads)
	}
	return nil
}

// more returns nil iff a count has grown.
func more(before, now int64) error {
	if now <= before {
		return fmt.Errorf("still %d", now)
	}
	return nil
}

// check demands that everything acknowledged is there.
func (y *tally) check(t testing.TB, n *node.Node) {
	t.Helper()
	y.mu.Lock()
	acked, bad, behind := y.mu.acked, y.mu.bad, y.mu.behind
	y.mu.Unlock()
	if behind > 0 {
		t.Logf("%s: %d reads while the client had no master lack a write", y.name, behind)
	}
	if len(bad) > 0 {
		t.Errorf("%s: %d wrong answers: %q", y.name, len(bad), bad[:min(5, len(bad))])
	}
	gone := 0
	for len(acked) > 0 {
		part := acked[:min(len(acked), 500)]
		acked = acked[len(part):]
		words := []string{"MGET"}
		for _, i := range part {
			words = append(words, fmt.Sprint(y.name, ":", i))
		}
		for j, v := range n.Do(words...).Strings() {
			if v != fmt.Sprint(part[j]) {
				gone++
			}
		}
	}
	if gone > 0 {
		t.Errorf("%s: %d acknowledged writes are missing on %s", y.name, gone, n.Name)
	}
}
