package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/client"
)

func ExampleMutex() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	m := client.NewMutex(rdb, "mutex1", 10*time.Second)
	if err := m.Lock(ctx); err != nil {
		return
	}
	defer m.Unlock(ctx)
	// m.Context() is done as soon as the lock is lost; the fence guards what is written all the same.
	rdb.Do(m.Context(), "SET", "balance", "42", "FENCE", "mutex1", m.Token())
}

func ExampleElection() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	e := client.NewElection(rdb, "one", 0)
	if err := e.Campaign(ctx, "p1"); err != nil {
		return
	}
	defer e.Resign(ctx)
	<-e.Context().Done() // leads until then
}

func ExampleSemaphore() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	s := client.NewSemaphore(rdb, "downloads", 3, 0)
	if err := s.Acquire(ctx); err != nil {
		return
	}
	defer s.Release(ctx)
}

func ExampleGrant() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	lease, err := client.Grant(ctx, rdb, time.Minute)
	if err != nil {
		return
	}
	defer lease.Close(ctx)
	rdb.Do(ctx, "SET", "service/a", "10.0.0.1:80", "LEASE", lease.ID()) // gone when this process is
}

func ExampleTxn() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	res, err := client.NewTxn(rdb).If(client.Value("user1").Is("bad")).
		Then(client.Command("SET", "user1", "good")).Else(client.Command("GET", "user1")).
		Commit(context.Background())
	fmt.Println(res.Succeeded, err)
}
