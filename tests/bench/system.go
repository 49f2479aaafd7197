package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// conn is a connection to a system. One of etcd's may be used by several goroutines at a time, others by one.
type conn interface {
	set(key, value string) error
	get(key string) error
	setMany(keys, values []string) error // one pipeline, or one transaction where there are no pipelines
	close()
}

// system is a running server or cluster.
type system struct {
	name  string
	procs []*process
	addrs []string
	dial  func(addr string) (conn, error)
	leads func(addr string) (bool, error)
	share int // connections that many clients share

	dialShared func(addr string) (conn, error) // a client for many callers; nil: dial's are
}

// etcdConnections is how many connections etcd's clients share. Its protocol carries many calls at a time
// over one, and on this workload a few were faster than one per client.
const etcdConnections = 3

// ownConnection is for protocols that carry one call at a time.
const ownConnection = 1 << 20

// leader is where one client alone connects: the fair choice for both clusters.
func (s *system) leader() string { return s.addrs[0] }

type redisConn struct{ c *redis.Client }

func dialRedis(addr string) (conn, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1, ReadTimeout: 30 * time.Second})
	return redisConn{c}, c.Ping(context.Background()).Err()
}

func (r redisConn) set(k, v string) error { return r.c.Set(context.Background(), k, v, 0).Err() }
func (r redisConn) get(k string) error    { return r.c.Get(context.Background(), k).Err() }
func (r redisConn) close()                { r.c.Close() }

func (r redisConn) setMany(keys, values []string) error {
	p := r.c.Pipeline()
	for i, k := range keys {
		p.Set(context.Background(), k, values[i], 0)
	}
	_, err := p.Exec(context.Background())
	return err
}

type etcdConn struct{ c *clientv3.Client }

func dialEtcd(addr string) (conn, error) {
	c, err := clientv3.New(etcdConfig(addr))
	if err != nil {
		return nil, err
	}
	return etcdConn{c}, nil
}

// etcdConfig keeps the client's own log of retries off the page.
func etcdConfig(addrs ...string) clientv3.Config {
	return clientv3.Config{Endpoints: addrs, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
}

func (e etcdConn) set(k, v string) error {
	_, err := e.c.Put(context.Background(), k, v)
	return err
}

func (e etcdConn) get(k string) error {
	r, err := e.c.Get(context.Background(), k)
	if err == nil && len(r.Kvs) == 0 {
		err = errors.New("no such key")
	}
	return err
}

func (e etcdConn) setMany(keys, values []string) error {
	ops := make([]clientv3.Op, len(keys))
	for i, k := range keys {
		ops[i] = clientv3.OpPut(k, values[i])
	}
	_, err := e.c.Txn(context.Background()).Then(ops...).Commit()
	return err
}

func (e etcdConn) close() { e.c.Close() }

// startRedkeep starts n nodes; addrs[0] is the leader.
func startRedkeep(c config, ps *processes, name string, n int, flags ...string) (*system, error) {
	addrs, err := freeAddrs(3 * n)
	if err != nil {
		return nil, err
	}
	s := &system{name: "redkeep", addrs: addrs[:n], dial: dialRedis, leads: redkeepLeads, share: ownConnection,
		dialShared: dialRueidis}
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("n%d=%s", i, addrs[n+i]))
	}
	for i := range n {
		argv := append([]string{c.binary, "server", "--name", fmt.Sprintf("n%d", i), "--client-addr", addrs[i],
			"--data-dir", filepath.Join(c.dir, fmt.Sprintf("%s%d", name, i)), "--peer-addr", addrs[n+i],
			"--http-addr", addrs[2*n+i], "--initial-cluster", strings.Join(list, ",")}, flags...)
		for j, word := range argv {
			argv[j] = strings.ReplaceAll(word, "{tls}", secureAddr(addrs[i]))
		}
		p, err := ps.start(c.dir, fmt.Sprintf("%s%d", name, i), argv...)
		if err != nil {
			return nil, err
		}
		s.procs = append(s.procs, p)
	}
	return s, s.settle()
}

// startEtcd starts n members of etcd with its defaults, but for the quota, which one million keys need.
func startEtcd(c config, ps *processes, name string, n int) (*system, error) {
	addrs, err := freeAddrs(2 * n)
	if err != nil {
		return nil, err
	}
	s := &system{name: "etcd", addrs: addrs[:n], dial: dialEtcd, leads: etcdLeads, share: etcdConnections}
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("e%d=http://%s", i, addrs[n+i]))
	}
	for i := range n {
		client, peer := "http://"+addrs[i], "http://"+addrs[n+i]
		p, err := ps.start(c.dir, fmt.Sprintf("%s%d", name, i), "etcd", "--name", fmt.Sprintf("e%d", i),
			"--data-dir", filepath.Join(c.dir, fmt.Sprintf("%s%d", name, i)), "--listen-client-urls", client,
			"--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(list, ","), "--quota-backend-bytes", "8589934592", "--log-level",
			"error")
		if err != nil {
			return nil, err
		}
		s.procs = append(s.procs, p)
	}
	return s, s.settle()
}

// startRedis starts one redis-server that syncs its log before it answers a write.
func startRedis(c config, ps *processes) (*system, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	dir := filepath.Join(c.dir, "redis")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p, err := ps.start(c.dir, "redis", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--save", "",
		"--appendonly", "yes", "--appendfsync", "always")
	if err != nil {
		return nil, err
	}
	always := func(string) (bool, error) { return true, nil }
	s := &system{
		name: "redis", procs: []*process{p}, addrs: []string{addr}, dial: dialRedis, leads: always,
		share: ownConnection, dialShared: dialRueidis,
	}
	return s, s.settle()
}

// settle waits until the system takes writes and puts its leader first among the addresses.
func (s *system) settle() error {
	err := poll(60*time.Second, 50*time.Millisecond, func() error {
		for i, a := range s.addrs {
			ok, err := s.leads(a)
			if err != nil {
				return fmt.Errorf("%s at %s: %w", s.name, a, err)
			}
			if ok {
				s.addrs[0], s.addrs[i] = s.addrs[i], s.addrs[0]
				return s.tryWrite()
			}
		}
		return fmt.Errorf("%s has no leader", s.name)
	})
	for _, p := range s.procs {
		if err != nil {
			said, _ := os.ReadFile(p.log)
			err = fmt.Errorf("%w\n%s: …%s", err, p.name, said[max(0, len(said)-1000):])
		}
	}
	return err
}

func (s *system) tryWrite() error {
	c, err := s.dial(s.leader())
	if err != nil {
		return err
	}
	defer c.close()
	return c.set("settled", "1")
}

func redkeepLeads(addr string) (bool, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, Protocol: 2})
	defer c.Close()
	fields, err := c.Do(context.Background(), "CLUSTER.STATUS").Slice()
	if err != nil {
		return false, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "is_leader" {
			return fmt.Sprint(fields[i+1]) == "1", nil
		}
	}
	return false, errors.New("CLUSTER.STATUS has no is_leader")
}

func etcdLeads(addr string) (bool, error) {
	c, err := clientv3.New(etcdConfig(addr))
	if err != nil {
		return false, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st, err := c.Status(ctx, addr)
	if err != nil {
		return false, err
	}
	return st.Leader == st.Header.MemberId, nil
}

// versions names what was measured.
func versions(c config) []string {
	var out []string
	for _, argv := range [][]string{{c.binary, "version"}, {"etcd", "--version"}, {"redis-server",
		"--version"}} {
		b, err := exec.Command(argv[0], argv[1:]...).Output()
		line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
		if err != nil {
			line = filepath.Base(argv[0]) + ": " + err.Error()
		}
		out = append(out, line)
	}
	return out
}
