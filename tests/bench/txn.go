package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// transactor is a connection that has transactions; both systems' do.
type transactor interface {
	guarded(key, value string) error         // one request: write if the key was ever written
	readThenSet(key, value string) error     // read, then write if nothing changed; again until it did
	setTogether(keys, values []string) error // one transaction
}

func guardedOne(c conn, rng *rand.Rand) (int, error) {
	return 1, c.(transactor).guarded(randomKey(rng), randomValue(rng))
}

var txnScenarios = []scenario{
	{"compare-and-set in one request, 64 clients", 64, false, true, usual, guardedOne},
	{"read, then compare-and-set, 64 clients", 64, true, true, usual, func(c conn, rng *rand.Rand) (int, error) {
		return 1, c.(transactor).readThenSet(randomKey(rng), randomValue(rng))
	}},
	{"transaction of 16 SETs, 64 clients", 64, true, true, usual, setTogether},
}

func setTogether(c conn, rng *rand.Rand) (int, error) {
	var keys, values []string
	const stride = 61 // prime to the number of keys, so these are distinct: etcd writes no key twice
	for i, at := 0, rng.IntN(keySpace/100); i < 16; i, at = i+1, (at+stride)%(keySpace/100) {
		keys, values = append(keys, keyName(at)), append(values, randomValue(rng))
	}
	return 1, c.(transactor).setTogether(keys, values)
}

var errGuard = errors.New("the guard did not hold")

func (r redisConn) guarded(k, v string) error {
	reply, err := r.c.Do(context.Background(),
		"KV.TXN", 1, "mod", k, ">", 0, 1, 3, "SET", k, v, 0).Result()
	if err != nil {
		return err
	}
	if m, ok := reply.(map[any]any); !ok || m["succeeded"] != int64(1) {
		return errGuard
	}
	return nil
}

// readThenSet is go-redis's own loop around WATCH, MULTI and EXEC: three round trips.
func (r redisConn) readThenSet(k, v string) error {
	ctx := context.Background()
	for {
		err := r.c.Watch(ctx, func(tx *redis.Tx) error {
			if err := tx.Get(ctx, k).Err(); err != nil {
				return err
			}
			_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, k, v, 0).Err() })
			return err
		}, k)
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
}

func (r redisConn) setTogether(keys, values []string) error {
	_, err := r.c.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		for i, k := range keys {
			p.Set(context.Background(), k, values[i], 0)
		}
		return nil
	})
	return err
}

func (e etcdConn) guarded(k, v string) error {
	r, err := e.c.Txn(context.Background()).If(clientv3.Compare(clientv3.ModRevision(k), ">", 0)).
		Then(clientv3.OpPut(k, v)).Commit()
	if err == nil && !r.Succeeded {
		err = errGuard
	}
	return err
}

func (e etcdConn) readThenSet(k, v string) error {
	for {
		r, err := e.c.Get(context.Background(), k)
		if err != nil || len(r.Kvs) == 0 {
			return errors.Join(err, errors.New("no such key"))
		}
		done, err := e.c.Txn(context.Background()).
			If(clientv3.Compare(clientv3.ModRevision(k), "=", r.Kvs[0].ModRevision)).
			Then(clientv3.OpPut(k, v)).Commit()
		if err != nil || done.Succeeded {
			return err
		}
	}
}

func (e etcdConn) setTogether(keys, values []string) error { return e.setMany(keys, values) }

// walkRedkeep reads all keys with KEYS, then with SCAN, while clients write, and files the 99th percentile of
// their writes.
func walkRedkeep(c config, s *system, t *table) error {
	cl := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1, ReadTimeout: time.Minute})
	defer cl.Close()
	st, err := startWriters(s, 4, c.keys)
	if err != nil {
		return err
	}
	keys, err := cl.Keys(context.Background(), "*").Result()
	if err == nil && len(keys) < c.keys {
		err = fmt.Errorf("KEYS found %d keys of %d", len(keys), c.keys)
	}
	for cursor, more := uint64(0), err == nil; more; more = err == nil && cursor != 0 {
		_, cursor, err = cl.Scan(context.Background(), cursor, "", 1000).Result()
	}
	_, failed := st.end()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	t.walkP99 = st.percentile(0.99)
	fmt.Printf("  %s: 99th percentile of SET while KEYS and SCAN walk %d keys: %v\n", s.name, c.keys,
		t.walkP99.Round(10*time.Microsecond))
	return nil
}

// percentile is that of all writes. REQUIRES: the writers have ended.
func (st *stalls) percentile(p float64) time.Duration {
	st.mu.Lock()
	defer st.mu.Unlock()
	slices.Sort(st.mu.all)
	if len(st.mu.all) == 0 {
		return 0
	}
	return st.mu.all[int(p*float64(len(st.mu.all)-1))]
}
