package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// The fail-over measurements, at default settings: how long no write is taken when the leader is killed, and
// when it is stopped gracefully. One client writes through another member without a pause, as fast as it is
// answered, and gives a try up after a tenth of a second; the interruption is the longest time between two
// acknowledged writes.

const (
	failoverName = "fail-over"
	killName     = "kill -9 of the leader"
	stopName     = "graceful stop of the leader"
	// failoverRounds is how often each is done per system: an election is a matter of chance.
	failoverRounds = 7
)

// interruptions are what one way of losing the leader cost, per round.
type interruptions []time.Duration

func (d interruptions) median() time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }
func (d interruptions) worst() time.Duration  { return slices.Max(d) }

func measureFailover(c config, ps *processes, t *table) error {
	for _, start := range []func() (*system, error){
		func() (*system, error) { return startRedkeep(c, ps, "failover", 3) },
		func() (*system, error) { return startEtcd(c, ps, "efailover", 3) },
	} {
		s, err := start()
		if err != nil {
			return err
		}
		if err := loseLeaders(s, t); err != nil {
			return err
		}
		for _, p := range s.procs {
			p.kill()
		}
	}
	return nil
}

func loseLeaders(s *system, t *table) error {
	for range failoverRounds {
		for _, way := range []string{killName, stopName} {
			if err := s.settle(); err != nil {
				return err
			}
			leader, err := s.procOf(s.leader())
			if err != nil {
				return err
			}
			took, err := interrupt(s, leader, way)
			if err != nil {
				return err
			}
			t.interrupted(way, s.name, took)
		}
	}
	return nil
}

// procOf returns the process that serves an address. The processes stay in the order of the addresses they
// were started with; settle reorders the addresses.
func (s *system) procOf(addr string) (*process, error) {
	for _, p := range s.procs {
		for _, arg := range p.argv {
			if strings.TrimPrefix(arg, "http://") == addr {
				return p, nil
			}
		}
	}
	return nil, fmt.Errorf("no process of %s serves %s", s.name, addr)
}

// interrupt makes the leader go, and comes back when it is up again.
func interrupt(s *system, leader *process, way string) (time.Duration, error) {
	w, err := newProbe(s)
	if err != nil {
		return 0, err
	}
	defer w.close()
	done := make(chan time.Duration, 1)
	go func() { done <- w.run() }()
	<-w.warm
	w.watching.Store(true)
	if way == killName {
		leader.kill()
	} else {
		leader.cmd.Process.Signal(syscall.SIGTERM)
		<-leader.done
	}
	w.lost.Store(true)
	took := <-done
	return took, leader.launch()
}

// writeOnce makes one attempt with a short limit, through one member.
func writeOnce(c conn, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch c := c.(type) {
	case redisConn:
		return c.c.Set(ctx, "probe", "v", 0).Err()
	case etcdConn:
		_, err := c.c.Put(ctx, "probe", "v")
		return err
	}
	return errors.New("unknown kind of connection")
}

func dialProbe(s *system, addr string) (conn, error) {
	if s.name != "redkeep" {
		return s.dial(addr)
	}
	return redisConn{redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1,
		ContextTimeoutEnabled: true})}, nil
}

// interrupted notes one measurement.
func (t *table) interrupted(way, system string, took time.Duration) {
	if t.failover[way] == nil {
		t.failover[way] = map[string]interruptions{}
	}
	t.failover[way][system] = append(t.failover[way][system], took)
}

// writeFailover renders the measurements.
func (t *table) writeFailover(b *strings.Builder) {
	if len(t.failover) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| no write is taken for, median / worst of %d, 3 nodes, default settings | Redkeep | "+
		"etcd |\n|---|---|---|\n", failoverRounds)
	for _, way := range []string{killName, stopName} {
		fmt.Fprintf(b, "| %s |", way)
		for _, system := range []string{"redkeep", "etcd"} {
			d := t.failover[way][system]
			fmt.Fprintf(b, " %s |", orDash(len(d) > 0, "%s", d.text()))
		}
		b.WriteString("\n")
	}
}

func (d interruptions) text() string {
	if len(d) == 0 {
		return ""
	}
	return fmt.Sprintf("%v / %v", d.median().Round(time.Millisecond), d.worst().Round(time.Millisecond))
}

// failoverLimits are the thresholds: the worst round counts.
var failoverLimits = map[string]time.Duration{killName: 2 * time.Second, stopName: 200 * time.Millisecond}

func (t *table) failoverVerdicts(add func(met bool, format string, args ...any)) {
	for _, way := range []string{killName, stopName} {
		if d := t.failover[way]["redkeep"]; len(d) > 0 {
			limit := failoverLimits[way]
			add(d.worst() <= limit, "no write is taken after %s for: worst %v, at most %v", way,
				d.worst().Round(time.Millisecond), limit)
		}
	}
}
