package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// What watches cost that are told nothing: the memory of the node that serves them, before and after, each
// time when it has given back what it needs no more.
const (
	idleWatchers    = 10_000
	idleConnections = 10
	idleMost        = 2 << 10 // bytes for each
)

func measureIdleWatchers(s *system, t *table) error {
	leader, err := s.procOf(s.leader())
	if err != nil {
		return err
	}
	before, err := settled(s.leader(), leader)
	if err != nil {
		return err
	}
	for i := range idleConnections {
		conn, err := watchMany(s.leader(), i*idleWatchers/idleConnections, (i+1)*idleWatchers/idleConnections)
		if err != nil {
			return err
		}
		defer conn.Close()
	}
	after, err := settled(s.leader(), leader)
	if err != nil {
		return err
	}
	t.idleWatcher = max(after.anonymous-before.anonymous, 1) / idleWatchers
	fmt.Printf("%d idle watchers on %d connections: %d bytes each\n", idleWatchers, idleConnections,
		t.idleWatcher)
	return nil
}

// settled returns the memory of a node that has just collected its garbage.
func settled(addr string, p *process) (resident, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	if err := rdb.Do(context.Background(), "MEMORY", "PURGE").Err(); err != nil {
		return resident{}, err
	}
	return p.resident()
}

// watchMany starts watches of keys that nobody writes.
func watchMany(addr string, from, to int) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "KV.WATCH idle:%d\r\n", i)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte(b.String())); err != nil {
		conn.Close()
		return nil, err
	}
	in := bufio.NewReader(conn)
	for range to - from {
		line, err := in.ReadString('\n')
		if err != nil || line[0] != ':' {
			conn.Close()
			return nil, fmt.Errorf("KV.WATCH: %q, %w", line, err)
		}
	}
	return conn, nil
}
