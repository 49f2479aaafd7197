package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// What keys that end cost the writers: a million keys are written whose deadlines are spread over a minute
// that begins later. SETs of 64 clients are measured before that minute, beside all the keys, inside it, and
// after it: a node gets slower while its history fills, and faster with fewer keys, whatever ends.
const (
	deadlines      = "a million deadlines in a minute"
	deadlineSpread = time.Minute
	deadlineAhead  = 90 * time.Second // for writing the keys and for measuring without
	deadlineRounds = 5
)

func measureDeadlines(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "deadlines", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	begin := time.Now().Add(deadlineAhead)
	if err := setDeadlines(s, c.keys, begin); err != nil {
		return err
	}
	before, err := setRates(c, s)
	if err != nil {
		return err
	}
	if time.Now().After(begin) {
		return errors.New("writing the keys took too long: the first ended before they were all there")
	}
	wait(time.Until(begin))
	with, err := setRates(c, s)
	if err != nil {
		return err
	}
	if time.Since(begin) > deadlineSpread {
		return errors.New("the rounds took longer than the keys ended: shorten them")
	}
	if err := keysEnd(s, begin.Add(deadlineSpread)); err != nil {
		return err
	}
	after, err := setRates(c, s)
	if err != nil {
		return err
	}
	t.deadlines = 2 * with / (before + after)
	fmt.Printf("SET/s with 64 clients: %.0f, while %d keys end in %v %.0f, after that %.0f (%.0f %%)\n", before,
		c.keys, deadlineSpread, with, after, 100*t.deadlines)
	return nil
}

func setRates(c config, s *system) (float64, error) {
	var rates []float64
	for i := range deadlineRounds {
		rate, err := round(s, scenario{name: deadlines, clients: 64, op: setOne}, c.round, false, uint64(i))
		if err != nil {
			return 0, err
		}
		rates = append(rates, rate)
	}
	return median(rates), nil
}

// setDeadlines writes n keys that end at moments spread evenly from begin on, in no order.
func setDeadlines(s *system, n int, begin time.Time) error {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1, ReadTimeout: 30 * time.Second})
	defer rdb.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < n; i += 1000 {
		pipe := rdb.Pipeline()
		for j := i; j < min(i+1000, n); j++ {
			at := begin.Add(time.Duration(rng.Int64N(int64(deadlineSpread))))
			pipe.Do(ctx, "SET", fmt.Sprintf("timed:%08d", j), "v", "PXAT", at.UnixMilli())
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keysEnd waits until all of them have ended.
func keysEnd(s *system, due time.Time) error {
	rdb := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1})
	defer rdb.Close()
	wait(time.Until(due))
	return poll(20*time.Second, 50*time.Millisecond, func() error {
		n, err := rdb.Do(context.Background(), "KV.RANGE", "timed:", "PREFIX", "COUNTONLY").Result()
		if err != nil {
			return err
		}
		if fields, ok := n.(map[any]any); !ok || fields["count"] != int64(0) {
			return fmt.Errorf("keys are left after their deadline: %v", n)
		}
		return nil
	})
}
