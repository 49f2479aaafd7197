package resp

import (
	"net"
	"runtime"
	"syscall"
	"testing"
)

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func heapAndStacks() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// clientEnd is what one client of this test costs in memory: half of a pair of bare connections and the
// rest of peer.
func clientEnd(t *testing.T) int64 {
	t.Helper()
	const pairs = 500
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	far := make([]net.Conn, pairs)
	near := make([]*peer, pairs)
	conns := make([]net.Conn, pairs)
	start := heapAndStacks()
	for i := range pairs {
		if conns[i], err = net.Dial("tcp", ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if far[i], err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	bare := (heapAndStacks() - start) / 2
	for i := range pairs {
		near[i] = newPeer(t, conns[i])
	}
	all := heapAndStacks() - start - bare
	for i := range pairs {
		_ = near[i].Close()
		_ = far[i].Close()
	}
	return all / pairs
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	const spare = 200
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	count := min(10_000, (int(limit.Cur)-spare)/2)
	if testing.Short() {
		count = min(count, 1000)
	}
	client := clientEnd(t)
	_, addr := start(t, Config{Handler: newScript()})
	peers := make([]*peer, 0, count)
	before := heapAndStacks()
	for range count {
		peers = append(peers, dial(t, addr))
	}
	for _, p := range peers {
		p.send(wire("PING"))
		p.expect("+PONG\r\n")
	}
	var each int64
	eventually(t, "an idle connection costs little", func() bool {
		each = (heapAndStacks()-before)/int64(count) - client
		return each < idleLimit
	})
	t.Logf("%d idle connections: %d bytes of heap and stack each, and %d for the client's end",
		count, each, client)
}
