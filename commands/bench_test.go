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
	benchmarkRequest(b, replyBytes, encode(words...))
}

// benchmarkRequest sends the same bytes again and again from many connections.
func benchmarkRequest(b *testing.B, replyBytes int, text string) {
	n := startNode(b)
	n.dial(b).want("OK", "SET", "key", strings.Repeat("v", 128))
	request := []byte(text)
	b.ReportAllocs()
	b.SetParallelism(clients)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		for r := bufio.NewReader(conn); pb.Next(); {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			if _, err := r.Discard(replyBytes); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// clients is how many connections each processor has.
const clients = 32

func BenchmarkSET(b *testing.B) {
	benchmarkCommand(b, len("+OK\r\n"), "SET", "key", strings.Repeat("v", 128))
}

func BenchmarkGET(b *testing.B) {
	benchmarkCommand(b, len("$128\r\n")+128+len("\r\n"), "GET", "key")
}

func BenchmarkPING(b *testing.B) { benchmarkCommand(b, len("+PONG\r\n"), "PING") }

// BenchmarkMULTI is a transaction of 16 SETs in one packet; it must cost at most three times a SET.
func BenchmarkMULTI(b *testing.B) {
	const sets = 16
	one := encode("SET", "key", strings.Repeat("v", 128))
	request := encode("MULTI") + strings.Repeat(one, sets) + encode("EXEC")
	replies := "+OK\r\n" + strings.Repeat("+QUEUED\r\n", sets) + "*16\r\n" +
		strings.Repeat("+OK\r\n", sets)
	benchmarkRequest(b, len(replies), request)
}
