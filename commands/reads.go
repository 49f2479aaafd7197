package commands

import (
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// A run of reads: many commands, one barrier round.
//
// The round makes all that was acknowledged before it visible here, so every read behind it is linearizable,
// however much later it is made. That allows to make them in stretches: a stretch ends when its replies take
// stretchBytes, and is sent before the next begins. A client that reads slowly, or not at all, so holds one
// stretch of replies in memory and not those of its whole pipeline, which may be some hundred KB of KEYS and
// ten thousand times that in replies.
//
// Rejected: a round for each read of a range. It bounds no other read that copies (DUMP, SCAN with a COUNT),
// and taxes those who page through many small ranges.

// stretchBytes bounds the replies of a stretch; a single one may be larger.
const stretchBytes = 1 << 20

// read puts the command into the current run of reads.
func (d *Dispatcher) read(conn *resp.Conn, s *session) bool {
	if s.run.kind != KindRead && !d.finish(conn, s) {
		return false
	}
	s.run.begin(KindRead)
	s.run.items = append(s.run.items, item{row: s.call.row, args: s.call.args, reads: true,
		track: s.tracks.wants()})
	return true
}

// finishReads waits for one barrier round and runs the reads. It leaves the last stretch to be sent.
func (d *Dispatcher) finishReads(conn *resp.Conn, s *session) bool {
	if !s.run.undecided() {
		return true
	}
	round := d.engine.Barrier()
	if !conn.Wait(round.Done()) {
		return false
	}
	if err := round.Err(); err != nil {
		s.run.refuse(readFate(err))
		return true
	}
	s.permitAgain(d)
	s.trackAll(conn)
	for {
		end, ok := d.stretch(conn, s, round)
		if !ok || end == len(s.run.items) {
			return ok
		}
		d.answerRun(conn, s, end)
		if conn.Closing() {
			return false
		}
		s.permitAgain(d)
	}
}

// stretch makes the replies of the reads from the first that is not answered to before end, again if they met
// keys past their deadline. ok is false iff the client vanished.
func (d *Dispatcher) stretch(conn *resp.Conn, s *session, round *raftfsm.Round) (end int, ok bool) {
	s.view.begin(d.engine.Store(), round.Point().Now, true)
	for range expireRounds {
		end = s.run.read(&s.reading, &s.view)
		if len(s.view.expired) == 0 && len(s.view.wanted) == 0 {
			break
		}
		if !d.expire(conn, s) || !d.askLeft(conn, s) {
			return 0, false
		}
		s.view.again()
	}
	d.stats.lookups(&s.view)
	return end, true
}

// expireRounds bounds how often a run of reads is repeated. A second repetition happens only when a key that
// was past its deadline got another deadline in the past meanwhile; hiding it is then right.
const expireRounds = 3

// expire gets the expiry of the keys that the view hid committed. It returns false iff the client vanished.
func (d *Dispatcher) expire(conn *resp.Conn, s *session) bool {
	for batch, rest := raftfsm.SplitExpired(s.view.expired); len(batch) > 0; {
		sub := d.engine.NewSubmission()
		sub.AddExpire(batch)
		d.engine.Submit(sub)
		if !conn.Wait(sub.Done()) {
			return false
		}
		if err := sub.Err(); err != nil {
			s.run.refuse(readFate(err))
			return true
		}
		batch, rest = raftfsm.SplitExpired(rest)
	}
	return true
}
