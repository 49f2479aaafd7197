package main

import (
	"context"
	"math/rand/v2"
	"strconv"

	"github.com/redis/rueidis"
)

// How the clients of a scenario come to the servers.
const (
	// usual is go-redis with a connection each; etcd's clients share a few, which is its fastest.
	usual = iota
	// separate is a connection each for both, as that many processes would have.
	separate
	// callers are goroutines of one process, and its client shares connections between them: rueidis writes
	// what waits in one pipeline, etcd's sends it in streams of HTTP/2.
	callers
)

var callerScenarios = []scenario{
	{"SET, 64 callers in one process", 64, true, true, callers, setOne},
	{"GET, 64 callers in one process", 64, true, true, callers, getOne},
	{"lease renewals, 64 callers in one process", 64, false, true, callers, keepAliveOne},
}

// rueidisConn is a client that many callers use at a time.
type rueidisConn struct{ c rueidis.Client }

func dialRueidis(addr string) (conn, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		return nil, err
	}
	return rueidisConn{c}, nil
}

func (r rueidisConn) close() { r.c.Close() }

func (r rueidisConn) do(words ...string) rueidis.RedisResult {
	return r.c.Do(context.Background(), r.c.B().Arbitrary(words...).Build())
}

func (r rueidisConn) set(k, v string) error { return r.do("SET", k, v).Error() }
func (r rueidisConn) get(k string) error    { return r.do("GET", k).Error() }

func (r rueidisConn) setMany(keys, values []string) error {
	cmds := make(rueidis.Commands, len(keys))
	for i, k := range keys {
		cmds[i] = r.c.B().Set().Key(k).Value(values[i]).Build()
	}
	for _, reply := range r.c.DoMulti(context.Background(), cmds...) {
		if err := reply.Error(); err != nil {
			return err
		}
	}
	return nil
}

func (r rueidisConn) keepAlive(of *rand.Rand) error {
	id, err := leaseOf(of, func() (string, error) {
		return r.do("LEASE.GRANT", strconv.FormatInt(leaseTTL.Milliseconds(), 10)).ToString()
	})
	if err != nil {
		return err
	}
	return r.do("LEASE.KEEPALIVE", id).Error()
}

func (r rueidisConn) handOver(of *rand.Rand) error { panic("callers of one process pass no lock on") }
