package commands

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// benchmarkCommand sends one command over loopback and waits for its reply of the given length. The
// allocations reported are the whole node's; run with -memprofile to see this package's share.
func benchmarkCommand(b *testing.B, replyBytes int, words ...string) {
	n := startNode(b)
	n.dial(b).want("OK", "SET", "key", strings.Repeat("v", 128))
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request, r := []byte(encode(words...)), bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Discard(replyBytes); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSET(b *testing.B) {
	benchmarkCommand(b, len("+OK\r\n"), "SET", "key", strings.Repeat("v", 128))
}

func BenchmarkGET(b *testing.B) {
	benchmarkCommand(b, len("$128\r\n")+128+len("\r\n"), "GET", "key")
}

func BenchmarkPING(b *testing.B) { benchmarkCommand(b, len("+PONG\r\n"), "PING") }
