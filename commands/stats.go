package commands

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// rowStats are the counters of one row.
type rowStats struct {
	calls    atomic.Int64
	micros   atomic.Int64
	rejected atomic.Int64 // refused by a gate
	failed   atomic.Int64 // answered with an error
	latency  atomic.Pointer[histogram]
}

// histogram counts durations in microseconds. Below 4 each has a bucket; above, each power of two has four,
// so a bucket's upper end is at most 25 % above what it holds.
type histogram struct{ buckets [4 * 34]atomic.Int64 }

func bucketOf(micros int64) int {
	if micros < 4 {
		return int(max(micros, 0))
	}
	top := bits.Len64(uint64(micros)) - 1
	b := 4*(top-1) + int(micros>>(top-2))&3
	return min(b, len(histogram{}.buckets)-1)
}

// bucketEnd is the largest value of bucket b.
func bucketEnd(b int) int64 {
	if b < 4 {
		return int64(b)
	}
	top := b/4 + 1
	return int64(1)<<top + int64(b%4+1)<<(top-2) - 1
}

func (s *rowStats) observe(took time.Duration) {
	micros := took.Microseconds()
	s.calls.Add(1)
	s.micros.Add(micros)
	h := s.latency.Load()
	for h == nil {
		s.latency.CompareAndSwap(nil, &histogram{})
		h = s.latency.Load()
	}
	h.buckets[bucketOf(micros)].Add(1)
}

func (s *rowStats) reset() {
	s.calls.Store(0)
	s.micros.Store(0)
	s.rejected.Store(0)
	s.failed.Store(0)
	s.latency.Store(nil)
}

// errorPrefixes are the first words of all errors; one that is not here is counted as "other".
var errorPrefixes = [...]string{"ERR", "WRONGPASS", "NOAUTH", "NOPERM", "NOPROTO", "OOM", "BUSY",
	"CLUSTERDOWN",
	"TRYAGAIN", "MOVED", "EXECABORT", "NOLEASE", "COMPACTED", "FUTUREREV", "LOCKLOST", "NOTLEADER", "CORRUPT",
	"UNCERTAIN", "WRONGTYPE", "NOSCRIPT", "NOTBUSY", "other"}

// rateSamples and ratePeriod: INFO's rates are averages over the last sixteen tenths of a second, as in
// Redis.
const (
	rateSamples = 16
	ratePeriod  = 100 * time.Millisecond
)

// statistics are the node's counters of commands.
type statistics struct {
	commands     atomic.Int64
	errors       [len(errorPrefixes)]atomic.Int64
	hits, misses atomic.Int64

	opsRate, inRate, outRate rate
}

// rate is a moving average. Only the sampling goroutine calls tick.
type rate struct {
	last    int64
	at      time.Time
	samples [rateSamples]float64
	next    int
	value   atomic.Int64 // per second
}

func (r *rate) tick(total int64, now time.Time) {
	if passed := now.Sub(r.at).Seconds(); passed > 0 && !r.at.IsZero() {
		r.samples[r.next] = float64(max(total-r.last, 0)) / passed
		r.next = (r.next + 1) % rateSamples
	}
	r.last, r.at = total, now
	sum := 0.0
	for _, s := range r.samples {
		sum += s
	}
	r.value.Store(int64(sum / rateSamples))
}

func newStatistics() *statistics { return &statistics{} }

// sample keeps the rates until Close.
func (d *Dispatcher) sample() {
	defer close(d.done)
	tick := time.NewTicker(ratePeriod)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case now := <-tick.C:
			conns := d.connectionStats()
			d.stats.opsRate.tick(d.stats.commands.Load(), now)
			d.stats.inRate.tick(conns.BytesIn, now)
			d.stats.outRate.tick(conns.BytesOut, now)
		}
	}
}

func (d *Dispatcher) connectionStats() resp.Stats {
	if c := d.connections.Load(); c != nil {
		return (*c).Stats()
	}
	return resp.Stats{}
}

// reject counts a command that a gate answered with v; row is nil when there is no such command.
func (s *statistics) reject(row *Command, v resp.Value) {
	s.countError(v.Text())
	if row != nil {
		row.stats.rejected.Add(1)
	}
}

func (s *statistics) lookups(v *view) {
	if v.hits > 0 {
		s.hits.Add(v.hits)
	}
	if v.misses > 0 {
		s.misses.Add(v.misses)
	}
}

// planned counts the single-key lookups of a read that was part of a request.
func (s *statistics) planned(r *mvcc.Result) {
	hits := int64(0)
	for i := range r.Ops {
		hits += min(r.Ops[i].Range.Count, 1)
	}
	s.hits.Add(hits)
	s.misses.Add(int64(len(r.Ops)) - hits)
}

// observe counts a command that was answered with v.
func (s *statistics) observe(row *Command, v resp.Value, took time.Duration) {
	s.commands.Add(1)
	row.stats.observe(took)
	if v.IsErr() {
		s.countError(v.Text())
		row.stats.failed.Add(1)
	}
}

func (s *statistics) countError(text string) {
	prefix, _, _ := strings.Cut(text, " ")
	last := len(errorPrefixes) - 1
	for i, known := range errorPrefixes[:last] {
		if known == prefix {
			s.errors[i].Add(1)
			return
		}
	}
	s.errors[last].Add(1)
}

func (s *statistics) allErrors() int64 {
	total := int64(0)
	for i := range s.errors {
		total += s.errors[i].Load()
	}
	return total
}

func micros(d time.Duration) float64 { return float64(d.Microseconds()) }

func (d *Dispatcher) resetStatistics() {
	for _, row := range d.table.all {
		row.stats.reset()
	}
	for i := range d.stats.errors {
		d.stats.errors[i].Store(0)
	}
	d.stats.commands.Store(0)
	d.stats.hits.Store(0)
	d.stats.misses.Store(0)
}

// CommandStats are the counters of one command.
type CommandStats struct {
	Name                    string
	Calls, Rejected, Failed int64
	Time                    time.Duration
	Latency                 []LatencyBucket // ascending; empty buckets are left out
}

// LatencyBucket counts the calls that took at most UpTo and longer than the bucket before.
type LatencyBucket struct {
	UpTo  time.Duration
	Count int64
}

// Stats are the dispatcher's counters since it began, or since CONFIG RESETSTAT.
type Stats struct {
	Commands     int64
	Hits, Misses int64
	Errors       map[string]int64 // by first word
	OpsPerSecond int64
	PerCommand   []CommandStats // of those that were called or rejected, sorted by name
}

// Stats returns a moment's view; its numbers are read one by one.
func (d *Dispatcher) Stats() Stats {
	out := Stats{
		Commands: d.stats.commands.Load(), Hits: d.stats.hits.Load(), Misses: d.stats.misses.Load(),
		Errors: map[string]int64{}, OpsPerSecond: d.stats.opsRate.value.Load(),
	}
	for i, prefix := range errorPrefixes {
		if n := d.stats.errors[i].Load(); n > 0 {
			out.Errors[prefix] = n
		}
	}
	for _, row := range d.table.all {
		if st := row.stats.snapshot(row.Name); st.Calls > 0 || st.Rejected > 0 {
			out.PerCommand = append(out.PerCommand, st)
		}
	}
	return out
}

func (s *rowStats) snapshot(name string) CommandStats {
	out := CommandStats{
		Name: name, Calls: s.calls.Load(), Rejected: s.rejected.Load(), Failed: s.failed.Load(),
		Time: time.Duration(s.micros.Load()) * time.Microsecond,
	}
	h := s.latency.Load()
	if h == nil {
		return out
	}
	for b := range h.buckets {
		if n := h.buckets[b].Load(); n > 0 {
			upTo := time.Duration(bucketEnd(b)) * time.Microsecond
			out.Latency = append(out.Latency, LatencyBucket{UpTo: upTo, Count: n})
		}
	}
	return out
}

// Percentile returns the end of the bucket below which the given part of all calls stays.
func (c CommandStats) Percentile(p float64) time.Duration {
	total := int64(0)
	for _, b := range c.Latency {
		total += b.Count
	}
	seen := int64(0)
	for _, b := range c.Latency {
		if seen += b.Count; float64(seen) >= p/100*float64(total) {
			return b.UpTo
		}
	}
	return 0
}

// newRunID is not secret: it only has to differ from start to start and from node to node.
func newRunID(now time.Time) string {
	host, _ := os.Hostname()
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d %d", host, os.Getpid(), now.UnixNano()))
	return hex.EncodeToString(sum[:])
}
