package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Adding a member to a cluster that holds many keys, while clients write: how long until it votes, and what
// is left of the rate of SETs meanwhile. The rate without it is measured directly before, with the same
// clients.

const (
	memberAdded   = "a member is added"
	memberClients = 64
	memberWindow  = 4 * time.Second
)

// growth is what was measured.
type growth struct {
	took  time.Duration // from the start of the process to its vote
	kept  float64       // SET rate meanwhile, over the rate before
	worst time.Duration // slowest SET meanwhile
}

func (g growth) verdicts(add func(met bool, format string, args ...any)) {
	if g.took == 0 {
		return
	}
	add(g.took <= 15*time.Second, "a new member of a cluster with a million keys votes after %v, at most 15 s",
		g.took.Round(10*time.Millisecond))
	add(g.kept >= 0.8, "SET, %d clients, while it joins: %.0f %%, at least 80 %%", memberClients, 100*g.kept)
}

func measureGrowth(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "grow", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	if err := load(s, 0, c.keys); err != nil {
		return err
	}
	before, _, err := setRate(s, c.keys, func() error { wait(memberWindow); return nil })
	if err != nil {
		return err
	}
	var took time.Duration
	during, worst, err := setRate(s, c.keys, func() (err error) {
		took, err = grow(c, ps, s)
		return err
	})
	if err != nil {
		return err
	}
	t.growth = growth{took: took, kept: during / before, worst: worst}
	fmt.Printf("%s: votes after %v; SETs %.0f/s before, %.0f/s meanwhile, slowest %v\n", memberAdded,
		took.Round(time.Millisecond), before, during, worst.Round(100*time.Microsecond))
	return nil
}

// setRate writes with many clients for as long as what takes.
func setRate(s *system, keys int, what func() error) (perSecond float64, worst time.Duration, err error) {
	w, err := startWriters(s, memberClients, keys)
	if err != nil {
		return 0, 0, err
	}
	from := time.Now()
	failed := what()
	took := time.Since(from)
	worst, err = w.end()
	return float64(len(w.mu.all)) / took.Seconds(), worst, errors.Join(failed, err)
}

// grow starts one more node and waits until the leader lists four voters that answer.
func grow(c config, ps *processes, s *system) (time.Duration, error) {
	rdb := redis.NewClient(&redis.Options{Addr: s.leader(), ReadTimeout: 10 * time.Second})
	defer rdb.Close()
	peers, _, err := voters(rdb)
	if err != nil {
		return 0, err
	}
	addrs, err := freeAddrs(3)
	if err != nil {
		return 0, err
	}
	from := time.Now()
	_, err = ps.start(c.dir, "grow3", c.binary, "server", "--name", "n3", "--client-addr", addrs[0],
		"--data-dir", filepath.Join(c.dir, "grow3"), "--peer-addr", addrs[1], "--http-addr", addrs[2],
		"--join", strings.Join(peers, ","))
	if err != nil {
		return 0, err
	}
	err = poll(time.Minute, 50*time.Millisecond, func() error {
		_, n, err := voters(rdb)
		if err == nil && n < 4 {
			err = fmt.Errorf("%d voters", n)
		}
		return err
	})
	return time.Since(from), err
}

// voters asks for the peer addresses of all members, and how many of them vote and answer.
func voters(rdb *redis.Client) (peers []string, n int, err error) {
	list, err := rdb.Do(context.Background(), "MEMBER.LIST").Slice()
	if err != nil {
		return nil, 0, err
	}
	for _, e := range list {
		m, ok := e.(map[any]any)
		if !ok {
			return nil, 0, fmt.Errorf("member %v", e)
		}
		peers = append(peers, fmt.Sprint(m["peer_addr"]))
		if fmt.Sprint(m["learner"]) == "0" && m["status"] == "started" {
			n++
		}
	}
	return peers, n, nil
}
