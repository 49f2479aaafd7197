package cluster

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The wraps stand for TLS here: "!" is a member's word, which each side says and demands first.
type password struct {
	net.Conn
}

var errWrongWord = errors.New("wrong word")

func sayAndDemand(c net.Conn, word string) (net.Conn, error) {
	if _, err := c.Write([]byte(word)); err != nil {
		return nil, err
	}
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil {
		return nil, err
	}
	if string(b[:]) != "!" {
		return nil, errWrongWord
	}
	return password{c}, nil
}

func guarded(word string, dialled *atomic.Pointer[string]) func(*Config) {
	return func(cfg *Config) {
		cfg.ListenWrap = func(c net.Conn) (net.Conn, error) { return sayAndDemand(c, word) }
		cfg.DialWrap = func(c net.Conn, addr string) (net.Conn, error) {
			dialled.Store(&addr)
			return sayAndDemand(c, word)
		}
	}
}

// TestNothingBeforeTrust: members that trust each other work; others do not get as far as the hello, and who
// refuses says why, once.
func TestNothingBeforeTrust(t *testing.T) {
	var dialled atomic.Pointer[string]
	a := single(t, t.TempDir(), guarded("!", &dialled))
	b := single(t, t.TempDir(), guarded("?", &dialled))
	a.put(t, "x") // it has also spoken with itself through the wraps
	addr := a.mux.ln.Addr().String()
	for range 3 {
		if c, err := b.mux.dial(leadPeer, addr, 0, time.Second); err == nil {
			c.Close()
			t.Fatal("not refused")
		}
	}
	if got := dialled.Load(); got == nil || *got != addr {
		t.Errorf("the wrap was told another address than %s", addr)
	}
	eventually(t, "the one that was dialled says so", func() bool {
		return strings.Contains(a.out.String(), errWrongWord.Error())
	})
	if got := strings.Count(a.out.String(), "peer refused"); got != 1 {
		t.Errorf("%d lines", got)
	}
	if _, err := a.mux.dial(leadPeer, b.mux.ln.Addr().String(), 0, time.Second); !errors.Is(err, errNoTrust) {
		t.Errorf("who does not trust the one it has dialled says %v", err)
	}
}

// TestSilentStrangersKeepNobodyOut: when too many are silent, the oldest make room.
func TestSilentStrangersKeepNobodyOut(t *testing.T) {
	const more = 5
	n := single(t, t.TempDir(), nil)
	var silent []*muxConn
	var far []net.Conn
	for range maxStrangers + more {
		near, other := net.Pipe()
		c := n.mux.track(near)
		n.mux.meet(c)
		silent, far = append(silent, c), append(far, other)
	}
	for i, c := range far {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		var slow net.Error
		open := errors.As(err, &slow) && slow.Timeout()
		if want := i >= more; open != want {
			t.Fatalf("connection %d of %d: open %v, want %v (%v)", i, len(far), open, want, err)
		}
	}
	for i := range silent {
		_ = silent[i].Close()
		_ = far[i].Close()
	}
}
