package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Logins: thousands of connections come at once with the passwords of a few users, as when an application
// starts again, while others write. A password costs 30 ms of a core once; nobody else is to feel that.

const (
	loginsName   = "logins of 2000 connections at once"
	loginsAtOnce = 2000
	loginUsers   = 4
	loginWriters = 4

	loginsWithin = 10 * time.Second
	loginsP99    = 50 * time.Millisecond
)

// logins is what was measured: the median of rounds.
type logins struct{ took, p99 time.Duration }

func measureLogins(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "logins", 1)
	if err != nil {
		return err
	}
	defer ps.killAll()
	if err := s.settle(); err != nil {
		return err
	}
	var took, p99 []time.Duration
	for r := range c.rounds {
		one, err := loginRound(s, r)
		if err != nil {
			return fmt.Errorf("%s: %w", loginsName, err)
		}
		fmt.Printf("%-42s round %d  served in %v, p99 of SET meanwhile %v\n", loginsName, r+1,
			one.took.Round(time.Millisecond), one.p99.Round(100*time.Microsecond))
		took, p99 = append(took, one.took), append(p99, one.p99)
	}
	slices.Sort(took)
	slices.Sort(p99)
	t.logins = logins{took[len(took)/2], p99[len(p99)/2]}
	return nil
}

// loginRound logs in with users of its own: what was right lately is remembered.
func loginRound(s *system, r int) (one logins, err error) {
	admin := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1})
	defer admin.Close()
	name := func(u int) string { return fmt.Sprintf("app%d-%d", r, u) }
	for u := range loginUsers {
		err := admin.Do(context.Background(), "ACL", "SETUSER", name(u), "on", ">secret-"+name(u)).Err()
		if err != nil {
			return one, err
		}
	}
	conns, err := dialAll(s.leader(), loginsAtOnce)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	if err != nil {
		return one, err
	}
	st, err := startWriters(s, loginWriters, 1000)
	if err != nil {
		return one, err
	}
	began := time.Now()
	failed := make(chan error, len(conns))
	var wg sync.WaitGroup
	for i, conn := range conns {
		wg.Go(func() { failed <- logIn(conn, name(i%loginUsers)) })
	}
	wg.Wait()
	one.took = time.Since(began)
	close(failed)
	for e := range failed {
		if err == nil {
			err = e
		}
	}
	if _, e := st.end(); err == nil {
		err = e
	}
	if err != nil || len(st.mu.all) == 0 {
		return one, err
	}
	slices.Sort(st.mu.all)
	one.p99 = st.mu.all[len(st.mu.all)*99/100]
	return one, nil
}

func dialAll(addr string, n int) (conns []net.Conn, err error) {
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

func logIn(conn net.Conn, user string) error {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s secret-%s\r\n", user, user); err != nil {
		return err
	}
	var ok [5]byte
	if _, err := io.ReadFull(conn, ok[:]); err != nil || string(ok[:]) != "+OK\r\n" {
		return fmt.Errorf("a login was told %q, %v", ok, err)
	}
	return nil
}

func (l *logins) verdicts(add func(met bool, format string, args ...any)) {
	if l.took == 0 {
		return
	}
	add(l.took <= loginsWithin, "%s: served in %v, at most %v", loginsName, l.took.Round(time.Millisecond),
		loginsWithin)
	add(l.p99 < loginsP99, "99th percentile of SET during %s: %v, under %v", loginsName,
		l.p99.Round(100*time.Microsecond), loginsP99)
}
