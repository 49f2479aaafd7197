package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// How fast one watcher that begins at the first revision is fed from history, over one socket: with KV.WATCH,
// and by a channel, whose events are JSON.
const (
	catchUp      = "catching up a million events"
	catchUpLeast = 300_000 // events a second
)

var catchUpForms = []struct{ name, request, mark string }{
	{"KV.WATCH", "KV.WATCH key: PREFIX REV 1\r\n", "\r\nmod_revision\r\n"},
	{"watch channel", "SUBSCRIBE watch;prefix;rev=1:key:\r\n", `"mod_revision":`},
}

func measureCatchUp(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "catchup", 1)
	if err != nil {
		return err
	}
	defer ps.killAll()
	if err := load(s, 0, c.keys); err != nil {
		return err
	}
	for _, form := range catchUpForms {
		before, _ := s.procs[0].cpuTime()
		took, err := catchUpOnce(s.leader(), form.request, []byte(form.mark), c.keys)
		if err != nil {
			return fmt.Errorf("%s: %w", form.name, err)
		}
		t.catchUp[form.name] = float64(c.keys) / took.Seconds()
		after, err := s.procs[0].cpuTime()
		if err != nil {
			return err
		}
		fmt.Printf("%s from the first revision: %d events in %v, %.0f a second, for %v of processor time\n",
			form.name, c.keys, took.Round(time.Millisecond), t.catchUp[form.name], after-before)
	}
	return nil
}

// catchUpOnce counts the events by a mark that each of them has once, so that what is measured is the server
// and not a parser here.
func catchUpOnce(addr, request string, mark []byte, events int) (time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	from := time.Now()
	_ = conn.SetDeadline(from.Add(2 * time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, err
	}
	buf, kept := make([]byte, 1<<20), 0
	for seen := 0; seen < events; {
		n, err := conn.Read(buf[kept:])
		if err != nil {
			return 0, fmt.Errorf("after %d of %d events: %w", seen, events, err)
		}
		all := buf[:kept+n]
		if seen == 0 && all[0] == '-' {
			return 0, errors.New(string(all))
		}
		seen += bytes.Count(all, mark)
		kept = copy(buf, all[max(len(all)-len(mark)+1, 0):]) // a mark may be cut in two
	}
	return time.Since(from), nil
}
