package faults

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// localRead is one read that a node answered from its own state, with what it claims to be: the state at a
// revision, or (for GET, which shows none) the state at some revision not before that of the read before it
// on the same connection.
type localRead struct {
	conn      int // reads with the same number came over the same connection, in order
	partition int
	key       int   // -1 for the whole partition
	revision  int64 // of a whole partition
	text      string
	cells     Cells
	wall      time.Time // when the answer was there
}

// localReader reads from one node without asking a majority: READONLY on the connection, or SERIALIZABLE.
type localReader struct {
	run     *run
	rng     *rand.Rand
	addr    string
	conn    *wire.Conn
	number  int
	reads   []localRead
	problem error
}

func (r *run) newLocalReader(addr string) *localReader {
	l := &localReader{run: r, addr: addr, number: len(r.locals) << 32,
		rng: rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, uint64(5000+len(r.locals))))}
	r.locals = append(r.locals, l)
	return l
}

// drive reads at a quarter of the clients' pace until the run ends.
func (l *localReader) drive() {
	tick := time.NewTicker(4 * l.run.profile.Pace)
	defer tick.Stop()
	for {
		select {
		case <-l.run.stop:
			l.close()
			return
		case <-tick.C:
			if err := l.read(); err != nil {
				l.close()
			}
		}
	}
}

func (l *localReader) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// dial opens a connection that answers from local state.
func (l *localReader) dial() error {
	if l.conn != nil {
		return nil
	}
	conn, err := wire.Dial(l.addr)
	if err != nil {
		return err
	}
	conn.Timeout = clientTimeout
	l.conn = conn
	l.number++
	r, err := conn.Do("READONLY")
	if err == nil && r.Text != "OK" {
		err = fmt.Errorf("READONLY: %s", r)
	}
	return err
}

func (l *localReader) read() error {
	if err := l.dial(); err != nil {
		return err
	}
	got := localRead{conn: l.number, partition: l.run.partition(l.rng), key: -1}
	args := []string{"KV.RANGE", keyName(got.partition, -1), "PREFIX", "SERIALIZABLE"}
	if l.rng.IntN(2) == 0 {
		got.key = l.rng.IntN(keysPerPartition)
		args = []string{"GET", keyName(got.partition, got.key)}
	}
	r, err := l.conn.Do(args...)
	if err != nil {
		return err
	}
	got.wall = time.Now()
	if got.key >= 0 {
		got.text, _, _ = plainAnswer(nil, r)
	} else if got.cells, got.revision, _ = readRange(got.partition, r); got.revision == 0 {
		l.problem = fmt.Errorf("%v was answered %s", args, r)
	}
	if r.IsErr() {
		l.problem = fmt.Errorf("%v was answered %s; a local read needs nobody", args, r.Text)
		return l.problem
	}
	l.reads = append(l.reads, got)
	return nil
}
