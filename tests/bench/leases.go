package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// Leases and locks. A client keeps one lease, or one session with etcd, for the whole of a round; it is found
// by the client's random source, which is its own.

// holder is a connection that can renew a lease and pass a lock on.
type holder interface {
	keepAlive(of *rand.Rand) error
	handOver(of *rand.Rand) error
}

func keepAliveOne(c conn, rng *rand.Rand) (int, error) { return 1, c.(holder).keepAlive(rng) }
func handOverOne(c conn, rng *rand.Rand) (int, error)  { return 1, c.(holder).handOver(rng) }

// leaseScenarios are run with the others.
var leaseScenarios = []scenario{
	{"lease renewals, 64 clients", 64, false, true, separate, keepAliveOne},
	{"lock hand-overs, 8 contenders", 8, false, true, usual, handOverOne},
}

const leaseTTL = 60 * time.Second

var kept sync.Map // *rand.Rand to a lease id, or to an etcd session

func (r redisConn) lease(of *rand.Rand) (string, error) {
	return leaseOf(of, func() (string, error) {
		return r.c.Do(context.Background(), "LEASE.GRANT", leaseTTL.Milliseconds()).Text()
	})
}

// leaseOf returns the lease of a client, which grants it first.
func leaseOf(client *rand.Rand, grant func() (string, error)) (string, error) {
	if id, ok := kept.Load(client); ok {
		return id.(string), nil
	}
	id, err := grant()
	if err == nil {
		kept.Store(client, id)
	}
	return id, err
}

func (r redisConn) keepAlive(of *rand.Rand) error {
	id, err := r.lease(of)
	if err != nil {
		return err
	}
	return r.c.Do(context.Background(), "LEASE.KEEPALIVE", id).Err()
}

func (r redisConn) handOver(of *rand.Rand) error {
	id, err := r.lease(of)
	if err != nil {
		return err
	}
	place, err := r.c.Do(context.Background(), "LOCK.ACQUIRE", "bench", "LEASE", id, "WAIT", 10000).Slice()
	if err != nil {
		return err
	}
	return r.c.Do(context.Background(), "LOCK.RELEASE", "bench", place[1]).Err()
}

func (e etcdConn) session(of *rand.Rand) (*concurrency.Session, error) {
	if s, ok := kept.Load(of); ok {
		return s.(*concurrency.Session), nil
	}
	s, err := concurrency.NewSession(e.c, concurrency.WithTTL(int(leaseTTL/time.Second)))
	kept.Store(of, s)
	return s, err
}

// renewal is a lease of etcd and the stream that its renewals go over. etcd's users keep one stream for all
// the time (Client.KeepAlive); KeepAliveOnce opens another for each renewal, and measures that. What
// KeepAlive does not let out is when to renew, so the stream is used as it uses it: a request, and its
// answer.
type renewal struct {
	id     clientv3.LeaseID
	stream pb.Lease_LeaseKeepAliveClient
}

var errLeaseGone = errors.New("etcd has ended the lease")

func (e etcdConn) keepAlive(of *rand.Rand) error {
	one, ok := kept.Load(of)
	if !ok {
		r, err := e.openRenewal()
		if err != nil {
			return err
		}
		one, _ = kept.LoadOrStore(of, r)
	}
	r := one.(*renewal)
	if err := r.stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(r.id)}); err != nil {
		return err
	}
	answer, err := r.stream.Recv()
	if err == nil && answer.TTL <= 0 {
		err = errLeaseGone
	}
	return err
}

// openRenewal grants a lease and opens its stream, which ends with the connection.
func (e etcdConn) openRenewal() (*renewal, error) {
	ctx := context.Background()
	l, err := e.c.Grant(ctx, int64(leaseTTL/time.Second))
	if err != nil {
		return nil, err
	}
	stream, err := pb.NewLeaseClient(e.c.ActiveConnection()).LeaseKeepAlive(ctx)
	return &renewal{l.ID, stream}, err
}

func (e etcdConn) handOver(of *rand.Rand) error {
	s, err := e.session(of)
	if err != nil {
		return err
	}
	m := concurrency.NewMutex(s, "bench")
	if err := m.Lock(context.Background()); err != nil {
		return err
	}
	return m.Unlock(context.Background())
}

// leasesAtOnce is how many leases of one key each end at the same time.
const leasesAtOnce = 100_000

// measureLeaseEnd lets them end, and measures how long that takes and the slowest SET meanwhile. etcd ends a
// thousand a second at most, so it is not asked.
func measureLeaseEnd(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "leases", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	rdb := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1, ReadTimeout: 30 * time.Second})
	defer rdb.Close()
	const ttl = 15 * time.Second
	last, err := grantMany(rdb, ttl)
	if err != nil {
		return err
	}
	worst, all, err := setUntilGone(rdb, last.Add(ttl))
	if err != nil {
		return err
	}
	fmt.Printf("%d leases of one key each: gone %v after the last was due; slowest SET %v\n", leasesAtOnce,
		all.Round(time.Millisecond), worst.Round(100*time.Microsecond))
	t.stall(leaseEnd, "redkeep", worst)
	return nil
}

const leaseEnd = "the end of 100 000 leases"

// grantMany grants the leases and puts a key on each.
func grantMany(rdb *redis.Client, ttl time.Duration) (last time.Time, err error) {
	ctx := context.Background()
	for i := 1; i <= leasesAtOnce; i += 1000 {
		pipe := rdb.Pipeline()
		for j := i; j < i+1000; j++ {
			id := strconv.FormatInt(int64(j), 16)
			pipe.Do(ctx, "LEASE.GRANT", ttl.Milliseconds(), "ID", id)
			pipe.Do(ctx, "SET", "leased:"+id, "v", "LEASE", id)
		}
		last = time.Now()
		if _, err := pipe.Exec(ctx); err != nil {
			return last, err
		}
	}
	return time.Now(), nil
}

// setUntilGone writes one SET after the other until all the keys are gone.
func setUntilGone(rdb *redis.Client, due time.Time) (worst, late time.Duration, err error) {
	ctx := context.Background()
	for {
		from := time.Now()
		if err := rdb.Set(ctx, "other", "v", 0).Err(); err != nil {
			return 0, 0, err
		}
		worst = max(worst, time.Since(from))
		n, err := rdb.DBSize(ctx).Result()
		switch {
		case err != nil:
			return 0, 0, err
		case n <= 2: // this one, and the one that settled the cluster
			return worst, time.Since(due), nil
		case time.Since(due) > time.Minute:
			return 0, 0, errors.New("leases are left a minute after their time")
		}
	}
}
