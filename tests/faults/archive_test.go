package faults

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// TestCollectTakesPartitionsThatBegin has clients begin a partition while a revision is being read: what is
// compacted up to that revision must have been read before.
func TestCollectTakesPartitionsThatBegin(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	partitions, asked := 1, map[string]bool{}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		command := ""
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch line := lines.Text(); {
			case line == "COUNTONLY":
				partitions = 2
				conn.Write([]byte("*2\r\n$8\r\nrevision\r\n:7\r\n"))
			case command == "KV.HISTORY" && strings.HasPrefix(line, "p"):
				asked[line], command = true, ""
				conn.Write([]byte("*0\r\n"))
			case strings.HasPrefix(line, "KV."):
				command = line
			}
		}
	}()
	through, err := new(archive).collect(listener.Addr().String(), 0, func() int { return partitions })
	<-served
	if err != nil || through != 7 {
		t.Fatalf("collected through revision %d, %v; want 7", through, err)
	}
	if late := keyName(1, 0); !asked[late] {
		t.Errorf("%s was never read; only %v", late, asked)
	}
}
