package discovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// library is a client library in Go, as a program of Redis Cluster or of Redis Sentinel uses it. open returns
// one client for writes and linear reads, and one that reads from replicas.
type library struct {
	name string
	open func(w *world) (main, replica store, err error)
}

// store is what the loop needs of a client.
type store struct {
	set   func(ctx context.Context, key, value string) error
	get   func(ctx context.Context, key string) (value string, found bool, err error)
	close func()
}

var libraries = []library{
	{"go-redis-cluster", func(w *world) (store, store, error) {
		// Its own default is a minute: see TestGoRedisClusterByDefault.
		o := redis.ClusterOptions{Addrs: w.Addrs(), ClusterStateReloadInterval: time.Second}
		reader := o
		reader.ReadOnly = true
		return goRedis(redis.NewClusterClient(&o)), goRedis(redis.NewClusterClient(&reader)), nil
	}},
	{"go-redis-sentinel", func(w *world) (store, store, error) {
		o := redis.FailoverOptions{MasterName: masterName, SentinelAddrs: w.sentinels()}
		reader := o
		reader.ReplicaOnly = true
		return goRedis(redis.NewFailoverClient(&o)), goRedis(redis.NewFailoverClient(&reader)), nil
	}},
	{"rueidis-cluster", func(w *world) (store, store, error) {
		o := rueidis.ClientOption{InitAddress: w.Addrs()}
		reader := o
		reader.SendToReplicas = func(cmd rueidis.Completed) bool { return cmd.IsReadOnly() }
		return rueidisPair(o, reader)
	}},
	{"rueidis-sentinel", func(w *world) (store, store, error) {
		o := rueidis.ClientOption{InitAddress: w.sentinels(),
			Sentinel: rueidis.SentinelOption{MasterSet: masterName}}
		reader := o
		reader.ReplicaOnly = true
		return rueidisPair(o, reader)
	}},
}

func goRedis(c redis.UniversalClient) store {
	return store{
		set: func(ctx context.Context, key, value string) error { return c.Set(ctx, key, value, 0).Err() },
		get: func(ctx context.Context, key string) (string, bool, error) {
			v, err := c.Get(ctx, key).Result()
			if err == redis.Nil {
				return "", false, nil
			}
			return v, err == nil, err
		},
		close: func() { c.Close() },
	}
}

func rueidisPair(o, reader rueidis.ClientOption) (main, replica store, err error) {
	c, err := rueidis.NewClient(o)
	if err != nil {
		return main, replica, err
	}
	r, err := rueidis.NewClient(reader)
	if err != nil {
		c.Close()
		return main, replica, err
	}
	return rueidisStore(c), rueidisStore(r), nil
}

func rueidisStore(c rueidis.Client) store {
	return store{
		set: func(ctx context.Context, key, value string) error {
			return c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error()
		},
		get: func(ctx context.Context, key string) (string, bool, error) {
			v, err := c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
			if rueidis.IsRedisNil(err) {
				return "", false, nil
			}
			return v, err == nil, err
		},
		close: c.Close,
	}
}

// callLimit is a program's patience with one call.
const callLimit = 5 * time.Second

// start opens a library's clients and lets them work until the test ends, or the returned function is called.
func (l *library) start(t *testing.T, w *world) (y *tally, stop func()) {
	t.Helper()
	main, replica, err := l.open(w)
	if err != nil {
		t.Fatalf("%s: %v", l.name, err)
	}
	y = &tally{name: l.name}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer main.close()
		defer replica.close()
		for i := 1; ctx.Err() == nil; i++ {
			step(ctx, y, main, replica, i)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return y, stop
}

// step is one turn of the loop that every client makes, those in other languages too.
func step(ctx context.Context, y *tally, main, replica store, i int) {
	pause(ctx)
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	key, value := fmt.Sprint(y.name, ":", i), fmt.Sprint(i)
	if err := main.set(ctx, key, value); err != nil {
		y.failed(err.Error())
		return
	}
	y.ack(i)
	if got, _, err := main.get(ctx, key); err != nil {
		y.failed(err.Error())
	} else if got != value {
		y.wrong("%s is %q after it was written", key, got)
	}
	if i%5 != 0 {
		return
	}
	if got, found, err := replica.get(ctx, key); err != nil {
		y.failed("replica: " + err.Error())
	} else if found && got != value {
		y.wrong("%s is %q on a replica", key, got)
	} else {
		y.read()
	}
}

// pause leaves the machine to others for a moment.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
