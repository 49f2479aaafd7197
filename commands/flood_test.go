package commands

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Two thousand clients come at once with a password, as after a failover, while others write. All are served
// within ten seconds, and a slow check of a password holds up nobody's writes: it runs beside them.
func TestManyLoginsAtOnce(t *testing.T) {
	const clients = 2000
	n := startNode(t)
	admin, writer := n.dial(t), n.dial(t)
	for u := range 4 {
		admin.want("OK", "ACL", "SETUSER", fmt.Sprint("u", u), "on", fmt.Sprint(">pw", u), "~*", "&*", "+@all")
	}
	began, served := time.Now(), make(chan error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { served <- loginOnce(n.addr, fmt.Sprint("u", i%4), fmt.Sprint("pw", i%4)) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var waits []time.Duration
	for over := false; !over; {
		at := time.Now()
		writer.want("OK", "SET", "k", "v")
		waits = append(waits, time.Since(at))
		select {
		case <-done:
			over = true
		default:
		}
	}
	took := time.Since(began)
	close(served)
	for err := range served {
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(waits)
	t.Logf("%d logins in %v; %d SETs meanwhile, p50 %v, p99 %v", clients, took, len(waits), waits[len(waits)/2],
		waits[len(waits)*99/100])
	if took > 10*time.Second {
		t.Errorf("%d logins took %v", clients, took)
	}
}

func loginOnce(addr, user, password string) error {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, encode("AUTH", user, password)); err != nil {
		return err
	}
	var ok [5]byte
	if _, err := io.ReadFull(conn, ok[:]); err != nil || string(ok[:]) != "+OK\r\n" {
		return fmt.Errorf("%q, %w", ok, err)
	}
	return nil
}

// A password or a value is in none of the places where somebody could look: CONFIG, INFO, MONITOR, SLOWLOG,
// ACL LOG, CLIENT LIST, the list of commands that failed.
func TestSecretsAreShownNowhere(t *testing.T) {
	const secret = "hunter2hunter2"
	n := startNode(t)
	n.d.slow.threshold.Store(0)
	c, monitor := n.dial(t), n.dial(t)
	monitor.want("OK", "MONITOR")
	c.want("OK", "ACL", "SETUSER", "u", "on", ">"+secret, "~*", "&*", "+@all")
	c.do("ACL", "SETUSER", "u", "nosuch", ">"+secret)
	c.do("ACL", "SETUSER", "u", "<"+secret+"x")
	c.do("AUTH", "u", secret+"y")
	c.want("OK", "AUTH", "u", secret)
	c.do("AUTH", secret)
	c.do("HELLO", "2", "AUTH", "u", secret)
	c.do("HELLO", "2", "AUTH", "u", secret, "SETNAME", "me")
	c.do("MULTI")
	c.do("AUTH", "u", secret)
	c.do("HELLO", "2", "AUTH", "u", secret)
	c.do("EXEC")
	c.want("OK", "CONFIG", "SET", "requirepass", secret)
	for _, words := range []string{"ACL LIST", "ACL GETUSER u", "ACL LOG", "CONFIG GET *", "INFO everything",
		"SLOWLOG GET -1", "CLIENT LIST", "LATENCY LATEST"} {
		if r := c.line(words); strings.Contains(r, secret) {
			t.Errorf("%s shows it: %s", words, r)
		}
	}
	c.do("ECHO", "end of the test")
	for line := ""; !strings.Contains(line, "end of the test"); {
		if line = monitor.reply(); strings.Contains(line, secret) || line == "closed" ||
			line == "nothing in time" {
			t.Fatalf("MONITOR: %s", line)
		}
	}
}

// The cost of asking: a user held to keys and channels, and one held to nothing. Neither allocates.
func BenchmarkPermit(b *testing.B) {
	n := startNode(b)
	for _, rules := range []string{"+@all ~* &*", "+@all -@dangerous ~app:* ~other:* &*"} {
		b.Run(rules, func(b *testing.B) {
			s := n.d.walker(b, "on nopass "+rules)
			c := &call{d: n.d, s: s, tx: &s.tx}
			c.begin([][]byte{[]byte("SET"), []byte("other:key:1"), []byte("v")})
			c.row = n.d.table.Lookup(c.args[0])
			b.ReportAllocs()
			for b.Loop() {
				s.refresh(n.d)
				if s.permit(c) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
