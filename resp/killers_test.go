package resp

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The inputs in this file kill, hang or bloat a server built on redcon's own reader. Each runs over a real
// socket, with a bound on the processor time and the memory that the whole process may spend on it.

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak watches the memory in use until stopped.
type peak struct {
	stop, done chan struct{}
	before     uint64
	largest    uint64
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func watchMemory() *peak {
	runtime.GC()
	p := &peak{stop: make(chan struct{}), done: make(chan struct{}), before: inUse()}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				p.largest = max(p.largest, inUse())
			}
		}
	}()
	return p
}

// growth ends the watch and returns the largest growth seen.
func (p *peak) growth() int64 {
	close(p.stop)
	<-p.done
	return int64(max(p.largest, p.before) - p.before)
}

// attack runs play against a fresh server and checks its bounds, and that the server forgets the client.
func attack(t *testing.T, cfg Config, cpu time.Duration, memory int64, play func(p *peer)) {
	t.Helper()
	cfg.Handler = newScript()
	s, addr := start(t, cfg)
	p := dial(t, addr)
	watched, spent := watchMemory(), cpuTime(t)
	play(p)
	_ = p.Close()
	eventually(t, "the server forgets the attacker", func() bool { return s.Stats().Current == 0 })
	if spent = cpuTime(t) - spent; spent > cpu {
		t.Errorf("it cost %v of processor time", spent)
	}
	if grown := watched.growth(); grown > memory {
		t.Errorf("memory grew by %d bytes", grown)
	}
	healthy := dial(t, addr)
	healthy.send("PING\r\n")
	healthy.expect("+PONG\r\n")
}

func TestKillerLengths(t *testing.T) {
	const e = "-ERR Protocol error: "
	for input, want := range map[string]string{
		"*1\r\n$9223372036854775807\r\nxx\r\n": e + "invalid bulk length\r\n",      // row 1: the process died
		"*9223372036854775807\r\n":             e + "invalid multibulk length\r\n", // row 2: a core for ever
		"*1000000000\r\n":                      e + "invalid multibulk length\r\n", // row 3: 1 s per byte
		"*1\r\n$536870912\r\n":                 e + "request exceeds max-request-bytes (8388608)\r\n",
		"*1\r\n$536870913\r\n":                 e + "invalid bulk length\r\n",
		"*1\r\n$-2\r\n":                        e + "invalid bulk length\r\n", // row 9: the process died
	} {
		attack(t, Config{}, 2*time.Second, 4<<20, func(p *peer) {
			p.send(input)
			p.expectEnd(want)
		})
	}
}

// Row 3: a megabyte-long argument list, byte by byte; the worst legal count first.
func TestKillerDribbleOfArguments(t *testing.T) {
	attack(t, Config{}, 8*time.Second, 4<<20, func(p *peer) {
		p.send("*1048576\r\n")
		for _, b := range []byte(strings.Repeat("$1\r\na\r\n", 3000)) {
			p.send(string(b))
		}
	})
	attack(t, Config{}, 8*time.Second, 4<<20, func(p *peer) { // and the long line: 16 s of CPU
		for range 60_000 {
			p.send("a")
		}
		p.send("\r\n")
		p.expect("-ERR unknown command 'aaaa")
	})
}

// Row 4: a promised value that comes in single bytes made the stack grow with every packet.
func TestKillerDribbleOfAValue(t *testing.T) {
	attack(t, Config{}, 10*time.Second, 4<<20, func(p *peer) {
		p.send("*1\r\n$8000000\r\n")
		for range 100_000 {
			p.send("x")
		}
	})
}

// Row 5: a line or a value without end.
func TestKillerEndlessLine(t *testing.T) {
	attack(t, Config{}, 2*time.Second, 4<<20, func(p *peer) {
		chunk := bytes.Repeat([]byte("a"), 1<<20)
		for range 64 {
			if _, err := p.Write(chunk); err != nil {
				break // cut, as it should be
			}
		}
	})
	attack(t, Config{RequireAuth: true}, 2*time.Second, 4<<20, func(p *peer) {
		p.send("*10\r\n" + strings.Repeat("$16384\r\n"+strings.Repeat("x", 16384)+"\r\n", 4))
		p.expectEnd("-ERR Protocol error: unauthenticated request exceeds 65536 bytes\r\n")
	})
}

// Row 6: a stream that never ends on a command border bloated the buffer to half its length.
func TestKillerEndlessPipeline(t *testing.T) {
	attack(t, Config{}, 20*time.Second, 16<<20, func(p *peer) {
		command := wire("PING", strings.Repeat("v", 1009))
		reply := len64("+PONG\r\n")
		chunk := []byte(strings.Repeat(command, 1000))
		const rounds = 64
		read := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, p, rounds*1000*reply)
			read <- err
		}()
		for range rounds {
			if _, err := p.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-read; err != nil {
			t.Error(err)
		}
	})
}

// Row 7: the memory of one big value stayed with its connection.
func TestKillerBigValueThenSmallOnes(t *testing.T) {
	_, addr := start(t, Config{Handler: newScript(), MaxRequestBytes: 128 << 20})
	p := dial(t, addr)
	runtime.GC()
	before := inUse()
	value := strings.Repeat("v", 50<<20)
	p.send("*2\r\n$4\r\nPING\r\n$52428800\r\n")
	p.send(value)
	value = ""
	p.send("\r\n" + wire("PING")[:5]) // never at rest from here on
	p.expect("+PONG\r\n")
	p.send(wire("PING")[5:] + wire("PING")[:5])
	p.expect("+PONG\r\n")
	eventually(t, "the memory comes back", func() bool {
		runtime.GC()
		return inUse() < before+(4<<20)
	})
}

// Row 8: the replies of a whole pipeline were gathered before the first byte went out.
func TestKillerPipelineOfBigReplies(t *testing.T) {
	attack(t, Config{}, 10*time.Second, 64<<20, func(p *peer) {
		p.send(strings.Repeat(wire("BIG", "1000000"), 300))
		if _, err := io.CopyN(io.Discard, p, 300*(1_000_000+len64("$1000000\r\n\r\n"))); err != nil {
			t.Error(err)
		}
	})
}

func len64(s string) int64 { return int64(len(s)) }
