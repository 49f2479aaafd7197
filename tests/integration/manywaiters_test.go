package integration

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// Ten thousand clients wait for one lock, a connection each. The lock goes from one to the next in the order
// in which they came, also when half of them go away in the middle of it, and everybody else is served.
func TestTenThousandWaiters(t *testing.T) {
	const (
		waiters   = 10_000
		handOvers = 300 // before some go away, and again afterwards
	)
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if files.Cur < waiters+500 {
		t.Fatalf("the limit of open files is %d; this test needs %d: ulimit -n", files.Cur, waiters+500)
	}
	n := node.Start(t, node.Options{Flags: []string{"--max-clients", strconv.Itoa(waiters + 100)}}).Nodes[0]
	q := waitingLine{t: t, n: n, conns: make([]*wire.Conn, waiters)}
	defer q.closeAll(func(int) bool { return true })
	first := n.Do("LOCK.ACQUIRE", "m", "TTL", "600000")
	q.enter()
	order := q.waiting(waiters)
	n.Do("LOCK.RELEASE", "m", first.Elems[1].Text)
	order = q.handOver(order, handOvers)

	holder := order[0] // it has got the lock and does not give it back yet
	order = slices.DeleteFunc(order, func(p placeInLine) bool { return p != holder && p.conn%2 == 0 })
	q.closeAll(func(i int) bool { return i != holder.conn && i%2 == 0 })
	if now := q.waiting(len(order) - 1); !slices.Equal(now, order[1:]) {
		t.Fatal("those who stayed are not in the order in which they came")
	}
	q.handOver(order, handOvers)
}

// waitingLine is many connections that wait for one lock.
type waitingLine struct {
	t     *testing.T
	n     *node.Node
	conns []*wire.Conn
}

// placeInLine is one place: whose it is, and its token.
type placeInLine struct {
	conn  int
	token string
}

// enter makes all connections ask for the lock.
func (q *waitingLine) enter() {
	var all sync.WaitGroup
	const dialers = 20
	errs := make(chan error, dialers)
	for d := range dialers {
		all.Go(func() {
			for i := d; i < len(q.conns); i += dialers {
				if err := q.ask(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		q.t.Fatal(err)
	default:
	}
}

func (q *waitingLine) ask(i int) error {
	conn, err := wire.Dial(q.n.ClientAddr)
	if err != nil {
		return err
	}
	conn.Timeout = time.Minute
	q.conns[i] = conn
	return conn.Send(wire.Encode("LOCK.ACQUIRE", "m", "TTL", "600000", "WAIT", "600000", "VALUE",
		strconv.Itoa(i)))
}

// waiting waits until so many stand in the queue, and returns them in its order.
func (q *waitingLine) waiting(want int) (order []placeInLine) {
	q.t.Helper()
	node.Eventually(q.t, 2*time.Minute, fmt.Sprintf("%d waiters", want), func() error {
		list, _ := q.n.Do("LOCK.INFO", "m").Field("waiters")
		if len(list.Elems) != want {
			return fmt.Errorf("%d wait", len(list.Elems))
		}
		order = order[:0]
		for _, place := range list.Elems {
			value, _ := place.Field("value")
			token, _ := place.Field("token")
			i, err := strconv.Atoi(value.Text)
			if err != nil {
				return err
			}
			order = append(order, placeInLine{i, token.Text})
		}
		return nil
	})
	return order
}

// handOver lets the first so many have the lock, each of which gives it to the next, and returns the others;
// the first of them has it now.
func (q *waitingLine) handOver(order []placeInLine, count int) []placeInLine {
	q.t.Helper()
	var took []time.Duration
	from := time.Now()
	for _, p := range order[:count] {
		q.gets(p)
		took = append(took, time.Since(from))
		from = time.Now()
		if r, err := q.conns[p.conn].Do("LOCK.RELEASE", "m", p.token); err != nil || r.Text != "OK" {
			q.t.Fatalf("LOCK.RELEASE: %s, %v", r, err)
		}
	}
	slices.Sort(took)
	q.t.Logf("hand-over p50 %v, worst %v", took[count/2], took[count-1])
	return order[count:]
}

// gets reads the answer of one whose turn it is, once.
func (q *waitingLine) gets(p placeInLine) {
	q.t.Helper()
	r, err := q.conns[p.conn].Read()
	if err != nil || len(r.Elems) != 3 || r.Elems[1].Text != p.token {
		q.t.Fatalf("client %d has token %s and was answered %s, %v", p.conn, p.token, r, err)
	}
}

func (q *waitingLine) closeAll(which func(i int) bool) {
	for i, conn := range q.conns {
		if conn != nil && which(i) {
			conn.Close()
			q.conns[i] = nil
		}
	}
}
