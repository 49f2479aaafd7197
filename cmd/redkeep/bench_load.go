package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The load generator shares the machine with the server it measures, so what it costs is taken from the
// result. It therefore speaks RESP over plain connections instead of using go-redis: a client writes its
// whole pipeline, once built, with only the digits of the keys changed, and reads replies without keeping
// them. One request costs it no allocation and two system calls per pipeline. The drawback: it knows only
// the replies of SET, GET and transactions of them.

const (
	keyDigits    = 12
	latencyLimit = int64(time.Minute / time.Microsecond)
)

// load is one run: its clients are connected before the clock starts.
type load struct {
	options benchOptions
	clients []*loadClient
	left    atomic.Int64 // requests not yet sent; without meaning when the run is bounded by time
	done    atomic.Int64 // requests answered
	began   time.Time
	end     time.Time
}

// tally is what a run, or one client of it, counted. Latencies are microseconds.
type tally struct {
	requests, errors, missing int64
	lastError                 string
	took                      time.Duration
	latency                   *hdrhistogram.Histogram
}

func newTally() tally { return tally{latency: hdrhistogram.New(1, latencyLimit, 2)} }

func (t *tally) add(u tally) {
	t.requests += u.requests
	t.errors += u.errors
	t.missing += u.missing
	if u.lastError != "" {
		t.lastError = u.lastError
	}
	t.latency.Merge(u.latency)
}

func (c *client) newLoad(ctx context.Context, o benchOptions) (*load, error) {
	l := &load{options: o}
	l.left.Store(o.requests)
	dialer := net.Dialer{Timeout: min(dialTimeout, c.timeout)}
	for i := range o.clients {
		endpoint := c.endpoints[i%len(c.endpoints)]
		conn, err := c.tls.dial(ctx, &dialer, endpoint)
		if err == nil {
			one := newLoadClient(l, conn, endpoint, c.timeout)
			l.clients = append(l.clients, one)
			err = one.login(c.user, c.password)
		}
		if err != nil {
			l.close()
			return nil, askError{endpoint: endpoint, err: err}
		}
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.clients {
		c.conn.Close()
	}
}

// run drives all clients until the requests are used up or the time is over. A client whose connection
// fails ends the whole run.
func (l *load) run(ctx context.Context) (tally, error) {
	l.began = time.Now()
	l.end = l.began.Add(l.options.duration)
	cut := context.AfterFunc(ctx, l.close)
	defer cut()
	failures := make([]error, len(l.clients))
	var wait sync.WaitGroup
	for i, c := range l.clients {
		wait.Go(func() {
			if failures[i] = c.run(); failures[i] != nil {
				l.left.Store(0)
			}
		})
	}
	wait.Wait()
	total := newTally()
	total.took = time.Since(l.began)
	for _, c := range l.clients {
		total.add(c.tally)
	}
	for _, err := range failures {
		if err != nil {
			return total, err
		}
	}
	return total, ctx.Err()
}

// take reserves up to one pipeline of requests; 0 ends the client.
func (l *load) take() int {
	n := int64(l.options.pipeline)
	if l.options.duration > 0 {
		if time.Now().After(l.end) || l.left.Load() == 0 {
			return 0
		}
		return int(n)
	}
	left := l.left.Add(-n)
	return int(max(0, min(n, left+n)))
}

// progress is the finished part of the run, 0 to 1.
func (l *load) progress() float64 {
	if l.options.duration > 0 {
		return min(1, float64(time.Since(l.began))/float64(l.options.duration))
	}
	return float64(l.done.Load()) / float64(l.options.requests)
}

func (l *load) rate() float64 { return float64(l.done.Load()) / time.Since(l.began).Seconds() }

// loadClient is one connection with its prepared requests.
type loadClient struct {
	load     *load
	conn     net.Conn
	endpoint string
	timeout  time.Duration
	in       *bufio.Reader
	out      []byte
	set, get []byte // one request each
	digits   [2]int // where the key's digits begin in set and get
	random   *rand.Rand
	tally    tally
}

func newLoadClient(l *load, conn net.Conn, endpoint string, timeout time.Duration) *loadClient {
	c := &loadClient{
		load: l, conn: conn, endpoint: endpoint, timeout: timeout,
		in: bufio.NewReaderSize(conn, 16<<10), tally: newTally(),
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	value := make([]byte, l.options.valueSize)
	for i := range value {
		value[i] = byte('a' + c.random.IntN(26))
	}
	key := "bench:" + string(bytes.Repeat([]byte{'0'}, keyDigits))
	c.set = fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value)
	c.get = fmt.Appendf(nil, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
	c.digits = [2]int{bytes.Index(c.set, []byte(key)) + 6, bytes.Index(c.get, []byte(key)) + 6}
	return c
}

// login says who the client is, if there is a password to say.
func (c *loadClient) login(user, password string) error {
	if password == "" {
		return nil
	}
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	if user == "" {
		user = "default"
	}
	_, err := fmt.Fprintf(c.conn, "*3\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(user), user,
		len(password), password)
	if err != nil {
		return err
	}
	return c.readStatus()
}

func (c *loadClient) run() error {
	for {
		n := c.load.take()
		if n == 0 {
			return nil
		}
		if err := c.roundTrip(n); err != nil {
			return askError{endpoint: c.endpoint, err: err}
		}
	}
}

// roundTrip sends n requests at once and reads their replies.
func (c *loadClient) roundTrip(n int) error {
	c.out = c.out[:0]
	if c.load.options.multi {
		c.out = append(c.out, "*1\r\n$5\r\nMULTI\r\n"...)
	}
	for range n {
		c.appendRequest()
	}
	if c.load.options.multi {
		c.out = append(c.out, "*1\r\n$4\r\nEXEC\r\n"...)
	}
	began := time.Now()
	if err := c.conn.SetDeadline(began.Add(c.timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	if err := c.readReplies(n); err != nil {
		return err
	}
	took := min(max(1, time.Since(began).Microseconds()), latencyLimit)
	c.tally.requests += int64(n)
	c.load.done.Add(int64(n))
	return c.tally.latency.RecordValues(took, int64(n))
}

func (c *loadClient) appendRequest() {
	request, at := c.set, c.digits[0]
	o := &c.load.options
	if o.kind == "get" || o.kind == "mixed" && c.random.IntN(100) < o.reads {
		request, at = c.get, c.digits[1]
	}
	start := len(c.out)
	c.out = append(c.out, request...)
	number := c.random.IntN(o.keySpace)
	for i := start + at + keyDigits - 1; number > 0; i-- {
		c.out[i] = byte('0' + number%10)
		number /= 10
	}
}

// readReplies reads those to n requests.
func (c *loadClient) readReplies(n int) error {
	if c.load.options.multi {
		if done, err := c.readExec(n); err != nil || !done {
			return err
		}
	}
	for range n {
		if err := c.readReply(); err != nil {
			return err
		}
	}
	return nil
}

// readExec reads what a transaction of n requests answers in front of their replies: to MULTI, to each as it
// is queued, and the head of EXEC's. Where EXEC is refused, all n were; where MULTI is, each was done by
// itself, and the run ends.
func (c *loadClient) readExec(n int) (done bool, err error) {
	if err := c.readStatus(); err != nil {
		return false, err
	}
	refused := ""
	for range n {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if line[0] == '-' && refused == "" {
			refused = strings.TrimSpace(string(line[1:]))
		}
	}
	line, err := c.in.ReadSlice('\n')
	switch {
	case err != nil:
		return false, err
	case line[0] == '-':
		c.tally.errors += int64(n)
		c.tally.lastError = cmp.Or(refused, strings.TrimSpace(string(line[1:])))
		return false, nil
	case line[0] != '*':
		return false, errNotRESP
	}
	if count, err := strconv.Atoi(strings.TrimSpace(string(line[1:]))); err != nil || count != n {
		return false, errNotRESP
	}
	return true, nil
}

// readStatus reads the reply to a command that must not be refused.
func (c *loadClient) readStatus() error {
	line, err := c.in.ReadString('\n')
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(line, "-"):
		return saidError(strings.TrimSpace(line[1:]))
	case !strings.HasPrefix(line, "+"):
		return errNotRESP
	}
	return nil
}

var errNotRESP = errors.New("the node does not speak the Redis protocol")

// readReply reads a simple string, an error or a bulk string.
func (c *loadClient) readReply() error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 3 {
		return errNotRESP
	}
	switch line[0] {
	case '+':
		return nil
	case '-':
		c.tally.errors++
		c.tally.lastError = string(line[1 : len(line)-2])
		return nil
	case '$':
		return c.skipBulk(string(line[1 : len(line)-2]))
	default:
		return errNotRESP
	}
}

func (c *loadClient) skipBulk(length string) error {
	n, err := strconv.Atoi(length)
	if err != nil {
		return errNotRESP
	}
	if n < 0 {
		c.tally.missing++
		return nil
	}
	if _, err := c.in.Discard(n + 2); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	return nil
}
