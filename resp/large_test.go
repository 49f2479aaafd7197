package resp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A long reply is made as the client takes it: what has been made is never far ahead of what was read.
func TestLongReplyIsMadeAsItIsRead(t *testing.T) {
	for _, size := range []int{100 << 10, 600 << 10} { // below and above flushAbove
		t.Run(fmt.Sprint(size), func(t *testing.T) { readSlowly(t, size) })
	}
}

func readSlowly(t *testing.T, size int) {
	const total = 200 << 20
	n := total / size
	h := newScript()
	_, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send(wire("MANY", fmt.Sprint(n), fmt.Sprint(size)) + wire("PING"))
	p.expect("*3\r\n:1\r\n*2\r\n$4\r\nlist\r\n" + fmt.Sprintf("*%d\r\n", n))
	ahead := int64(24<<20/size + 2) // socket buffers of both ends, and our own
	head := fmt.Sprintf("$%d\r\n", size)
	body := make([]byte, len(head)+size+2)
	for i := range n {
		if _, err := io.ReadFull(p.Conn, body); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(body[:20]), head) || bytes.Count(body[len(head):], []byte("m")) != size {
			t.Fatalf("member %d is wrong: %.40q", i, body)
		}
		if made := h.made.Load(); made > int64(i)+ahead {
			t.Fatalf("%d of %d members were made when %d had been read", made, n, i+1)
		}
	}
	p.expect(":2\r\n+PONG\r\n")
}

// A client that vanishes in the middle of a long reply ends the making of it.
func TestLongReplyEndsWithItsClient(t *testing.T) {
	h := newScript()
	_, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send(wire("MANY", "5000", "100000"))
	p.expect("*3\r\n:1\r\n")
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	_ = p.Close()
	eventually(t, "the connection is closed", h.see(func() bool { return h.mu.closed == 1 }))
	if made := h.made.Load(); made > 1000 {
		t.Errorf("%d members were made for nobody", made)
	}
}

// A made list looks like any other.
func TestMadeListIsAList(t *testing.T) {
	made := ArrayBy(3, func(i int) Value { return Array(Int(int64(i)), Null()) })
	plain := Array(Array(Int(0), Null()), Array(Int(1), Null()), Array(Int(2), Null()))
	for _, proto := range []int{2, 3} {
		if got, want := string(made.Append(nil, proto)), string(plain.Append(nil, proto)); got != want {
			t.Errorf("RESP%d: %q, want %q", proto, got, want)
		}
	}
	members := made.Elems()
	if len(members) != 3 || members[2].Elems()[0].Num() != 2 || made.Num() != 0 || made.Kind() != KindArray {
		t.Errorf("Elems = %v", members)
	}
}
