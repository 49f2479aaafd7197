package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// The watch measurements: how long 1000 watchers of one prefix wait for an event while 50 are written a
// second, with none lost; and what 100 watchers that have stopped reading cost the writers.
const (
	watchers       = 1000
	watchedPuts    = 50 // per second
	stoppedWatches = 100
	stoppedRounds  = 5
	watchPrefix    = "key:" // what the writers of throughput.go write
)

func measureWatches(c config, ps *processes, t *table) error {
	const name = "watch delivery"
	if c.only != "" && !strings.Contains(name, c.only) {
		return nil
	}
	redkeep, err := startRedkeep(c, ps, "watched", 3)
	if err != nil {
		return err
	}
	if err := delivery(c, redkeep, t, watchRedkeep); err != nil {
		return err
	}
	if err := measureIdleWatchers(redkeep, t); err != nil {
		return err
	}
	if err := stoppedWatchers(c, redkeep, t); err != nil {
		return err
	}
	for _, p := range redkeep.procs {
		p.kill()
	}
	etcd, err := startEtcd(c, ps, "ewatched", 3)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range etcd.procs {
			p.kill()
		}
	}()
	return delivery(c, etcd, t, watchEtcd)
}

// latencies gathers how long each event took to each watcher.
type latencies struct {
	mu struct {
		sync.Mutex
		all []time.Duration
	}
}

// told notes an event whose value is the moment it was written.
func (l *latencies) told(value string) error {
	sent, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return err
	}
	took := time.Duration(time.Now().UnixNano() - sent)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.all = append(l.mu.all, took)
	return nil
}

func (l *latencies) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.all)
}

// watchStarter starts one watcher; it returns when the watcher is sure to be told what is written from now
// on.
type watchStarter func(ctx context.Context, s *system, l *latencies) error

func delivery(c config, s *system, t *table, start watchStarter) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var l latencies
	for range watchers {
		if err := start(ctx, s, &l); err != nil {
			return fmt.Errorf("watcher of %s: %w", s.name, err)
		}
	}
	writer, err := s.dial(s.leader())
	if err != nil {
		return err
	}
	defer writer.close()
	puts := 0
	tick := time.NewTicker(time.Second / watchedPuts)
	defer tick.Stop()
	for end := time.Now().Add(c.round * time.Duration(c.rounds)); time.Now().Before(end); puts++ {
		<-tick.C
		if err := writer.set(keyName(puts), strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
			return err
		}
	}
	err = poll(30*time.Second, 10*time.Millisecond, func() error {
		if n := l.count(); n != puts*watchers {
			return fmt.Errorf("%s: %d of %d events were told", s.name, n, puts*watchers)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(l.mu.all)
	at := func(q float64) time.Duration { return l.mu.all[int(q*float64(len(l.mu.all)-1))] }
	t.delivery[s.name] = at(0.5)
	fmt.Printf("%s: %d watchers, %d puts a second: p50 %v, p99 %v, none of %d lost\n", s.name, watchers,
		watchedPuts, at(0.5).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond), len(l.mu.all))
	return nil
}

// watchConn is a connection that carries many KV.WATCHes.
type watchConn struct {
	net.Conn
	confirmed chan struct{}
}

var redkeepWatches struct {
	next int
	all  []*watchConn
}

// watchRedkeep watches on one of a few connections in turn, to the leader, as etcd's watchers do.
func watchRedkeep(ctx context.Context, s *system, l *latencies) error {
	if len(redkeepWatches.all) < etcdConnections {
		conn, err := net.Dial("tcp", s.leader())
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		w := &watchConn{conn, make(chan struct{}, watchers)}
		redkeepWatches.all = append(redkeepWatches.all, w)
		go w.read(l)
	}
	redkeepWatches.next++
	w := redkeepWatches.all[redkeepWatches.next%len(redkeepWatches.all)]
	fmt.Fprintf(w, "KV.WATCH %s PREFIX\r\n", watchPrefix)
	select {
	case <-w.confirmed:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("KV.WATCH was not confirmed")
	}
}

// read notes confirmations, which come before anything is written, and the value of each event.
func (w *watchConn) read(l *latencies) {
	in := bufio.NewReaderSize(w, 256<<10)
	for last := ""; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch {
		case line[0] == ':':
			select {
			case w.confirmed <- struct{}{}:
			default:
			}
		case last == "value\r\n" && line[0] == '$':
			value, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_ = l.told(strings.TrimSpace(value)) // a value that is no time is missing in the count
		}
		last = line
	}
}

// subscribeTo returns a connection whose subscription is confirmed.
func subscribeTo(addr, channel string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(conn, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n", len(channel), channel)
	in := bufio.NewReader(conn)
	for range 6 { // *3 $9 subscribe $n channel :1
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, nil, err
		}
		if line[0] == '-' {
			return nil, nil, fmt.Errorf("%s", line)
		}
	}
	return conn, in, nil
}

func watchEtcd(ctx context.Context, s *system, l *latencies) error {
	c, err := etcdWatchClient(ctx, s)
	if err != nil {
		return err
	}
	events := c.Watch(ctx, watchPrefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	go func() {
		for r := range events {
			for _, e := range r.Events {
				_ = l.told(string(e.Kv.Value))
			}
		}
	}()
	return nil
}

var etcdClients struct {
	next int
	all  []*clientv3.Client
}

// etcdWatchClient hands out a few connections in turn, as for etcd's other clients.
func etcdWatchClient(ctx context.Context, s *system) (*clientv3.Client, error) {
	if len(etcdClients.all) < etcdConnections {
		c, err := clientv3.New(etcdConfig(s.leader()))
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { c.Close() })
		etcdClients.all = append(etcdClients.all, c)
	}
	etcdClients.next++
	return etcdClients.all[etcdClients.next%len(etcdClients.all)], nil
}

// fillSockets writes more than the sockets and queues of watchers that do not read can hold, so that what is
// measured afterwards is the cost of watchers that have stopped, not of filling their buffers.
func fillSockets(s *system) error {
	writer, err := s.dial(s.leader())
	if err != nil {
		return err
	}
	defer writer.close()
	value := strings.Repeat("x", 64<<10)
	for i := range 250 {
		if err := writer.set(keyName(i), value); err != nil {
			return err
		}
	}
	return nil
}

// stoppedWatchers measures SETs of 64 clients without and with watchers that have stopped reading, in turn.
func stoppedWatchers(c config, s *system, t *table) error {
	sc := scenario{name: "SET, 64 clients", clients: 64, op: setOne}
	var without, with []float64 // one more without: a node gets slower while its history fills
	alone := func(seed int) error {
		rate, err := round(s, sc, c.round, false, uint64(seed))
		without = append(without, rate)
		return err
	}
	for i := range stoppedRounds {
		if err := alone(i); err != nil {
			return err
		}
		var conns []net.Conn
		for range stoppedWatches {
			conn, _, err := subscribeTo(s.leader(), "watch;prefix:"+watchPrefix)
			if err != nil {
				return err
			}
			conns = append(conns, conn)
		}
		if err := fillSockets(s); err != nil {
			return err
		}
		rate, err := round(s, sc, c.round, false, rand.Uint64())
		for _, conn := range conns {
			conn.Close()
		}
		if err != nil {
			return err
		}
		with = append(with, rate)
	}
	if err := alone(stoppedRounds); err != nil {
		return err
	}
	memory, err := s.procs[0].resident()
	t.stopped = median(with) / median(without)
	fmt.Printf("SET/s with 64 clients: %.0f, beside %d stopped watchers %.0f (%.0f %%), resident %v\n",
		median(without), stoppedWatches, median(with), 100*t.stopped, memory)
	return err
}
