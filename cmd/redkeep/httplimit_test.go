package main

import (
	"net"
	"testing"
	"time"
)

func TestHTTPConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := &limitedListener{Listener: inner, most: 2}
	accepted := make(chan net.Conn, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	dial()
	dial()
	first, second := <-accepted, <-accepted
	defer second.Close()
	if n, err := dial().Read(make([]byte, 1)); err == nil || n != 0 {
		t.Error("a third connection is served")
	}
	_ = first.Close()
	_ = first.Close() // gives back one place, not two
	dial()
	third := <-accepted
	defer third.Close()
	if n, err := dial().Read(make([]byte, 1)); err == nil || n != 0 {
		t.Error("closing twice made room for two")
	}
	inner.Close()
	<-ended
}
