package network

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// queueLength bounds the packets under way on a slow link; more are dropped, as a router would.
const queueLength = 4096

// Link is one direction between two machines. Its settings may be changed at any time.
type Link struct {
	cut     atomic.Bool
	loss    atomic.Int32 // lost packets of a hundred
	broken  atomic.Int32 // packets of a thousand that break their connection instead
	delay   atomic.Int64 // nanoseconds
	jitter  atomic.Int64 // nanoseconds, at most this much more
	pending atomic.Int32 // packets in queue; while there are any, all go that way, in order
	Dropped atomic.Int64 // packets that a cut or a loss took
	Slowed  atomic.Int64 // packets that were held back
	queue   chan parcel
}

// parcel is a packet that may be delivered from its due time on.
type parcel struct {
	due   time.Time
	bytes []byte
}

// Cut drops everything from now on, or no longer.
func (l *Link) Cut(on bool) { l.cut.Store(on) }

// Lose drops this share of the packets.
func (l *Link) Lose(percent int) { l.loss.Store(int32(percent)) }

// Slow holds each packet back for d and up to jitter more; packets keep their order.
func (l *Link) Slow(d, jitter time.Duration) {
	l.delay.Store(int64(d))
	l.jitter.Store(int64(jitter))
}

// Break lets so many packets of a thousand end their TCP connection with a reset, in place of what they
// carried.
func (l *Link) Break(perMille int) { l.broken.Store(int32(perMille)) }

// Heal undoes Cut, Lose, Break and Slow.
func (l *Link) Heal() {
	l.Break(0)
	l.Cut(false)
	l.Lose(0)
	l.Slow(0, 0)
}

// send passes a packet on, now or later. It belongs to the reader of the sending machine's port.
func (l *Link) send(packet []byte, deliver func([]byte)) {
	if l.cut.Load() || rand.Int32N(100) < l.loss.Load() {
		l.Dropped.Add(1)
		return
	}
	if rand.Int32N(1000) < l.broken.Load() {
		l.Dropped.Add(1)
		packet = resetOf(packet)
	}
	delay := l.delay.Load()
	if delay == 0 && l.pending.Load() == 0 {
		deliver(packet)
		return
	}
	if jitter := l.jitter.Load(); jitter > 0 {
		delay += rand.Int64N(jitter)
	}
	l.pending.Add(1)
	select {
	case l.queue <- parcel{time.Now().Add(time.Duration(delay)), append([]byte(nil), packet...)}:
		l.Slowed.Add(1)
	default:
		l.pending.Add(-1)
		l.Dropped.Add(1)
	}
}

// carry delivers what was held back, until the queue is closed.
func (l *Link) carry(deliver func([]byte)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p := range l.queue {
		if wait := time.Until(p.due); wait > 0 {
			timer.Reset(wait)
			<-timer.C
		}
		if !l.cut.Load() {
			deliver(p.bytes)
		}
		l.pending.Add(-1)
	}
}
