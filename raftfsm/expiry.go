package raftfsm

import (
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// Expiry: a key whose deadline has passed ends by an entry in the log, never by a clock alone.
//
// Idea. The leader asks the deadline index what is due by its clock and proposes it in batches; each key
// carries the mod_revision it was seen at, so a key written meanwhile stays. The loop sleeps until the next
// deadline, at most a tick, and takes one batch at a time, so that expiring a million keys shares the log
// with everybody else. Where keys end all the time it rests for a moment after each batch: an entry costs
// its sync and its round whether it holds one key or a thousand. A batch is bounded by the bytes of its
// keys, too: were it larger than a request may be, the same keys would be due for ever and none would end.
// A key that a transaction touches past its deadline is ended by that transaction; one that a linearizable
// read meets is ended first, at that reader's request.
//
// Rejected: hiding by the reader's clock (two members disagree), and buntdb's own TTL (it reads the
// clock while it applies). Drawback: between deadline and entry the key still counts in DBSIZE.
const (
	expiryTick  = 100 * time.Millisecond
	expiryRest  = 20 * time.Millisecond
	expiryBatch = 1000       // keys per request
	expiryBytes = entryBytes // of those keys, unless one alone has more
)

func (e *Engine) expiry() {
	defer e.wg.Done()
	sub := e.NewSubmission()
	timer := time.NewTimer(expiryTick)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.stop:
			return
		}
		least := time.Millisecond
		for e.leading() {
			some, more := e.expireDue(sub)
			if some {
				least = expiryRest
			}
			if !more {
				break
			}
		}
		timer.Reset(e.untilNext(least))
	}
}

// leading reports whether this node leads a term that has started.
func (e *Engine) leading() bool {
	return e.node.IsLeader() && e.machine.ready.Load() == uint64(e.node.Term())
}

// expireDue ends one batch of due keys. some tells that there were any, more that it is not over: others are
// due, and this batch has ended.
func (e *Engine) expireDue(sub *Submission) (some, more bool) {
	due, more := e.machine.deadlines.Due(e.Now(), expiryBatch, expiryBytes)
	if len(due) == 0 {
		return false, false
	}
	sub.AddExpire(due)
	e.Submit(sub)
	<-sub.Done() // comes within the request timeout, and when the engine closes
	ended := sub.Err() == nil
	sub.Reset()
	return true, more && ended
}

// SplitExpired cuts keys past their deadline into those that go into one request, one at least, and the rest.
func SplitExpired(keys []mvcc.ExpireKey) (batch, rest []mvcc.ExpireKey) {
	n, bytes := 0, 0
	for n < min(len(keys), expiryBatch) {
		if bytes += len(keys[n].Key); n > 0 && bytes > expiryBytes {
			break
		}
		n++
	}
	return keys[:n], keys[n:]
}

// untilNext returns how long to sleep: to the next deadline, but so long at least and a tick at most.
func (e *Engine) untilNext(least time.Duration) time.Duration {
	next := e.machine.deadlines.Next()
	if next == 0 {
		return expiryTick
	}
	return min(max(time.Duration(next-e.Now())*time.Millisecond, least), expiryTick)
}

// Now returns this node's clock, never behind the last stamp applied. It is what reads without a
// barrier hide expired keys by, and what a leader stamps.
func (e *Engine) Now() mvcc.UnixMilli { return e.clock.now() }
