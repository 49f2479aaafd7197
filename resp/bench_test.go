package resp

import (
	"io"
	"strings"
	"testing"
)

// okHandler is the cheapest possible handler.
type okHandler struct{}

func (okHandler) ServePipeline(c *Conn, cmds []Command) {
	for range cmds {
		c.Reply(OK())
	}
}

func (okHandler) Closed(*Conn) {}

func benchmarkRoundTrip(b *testing.B, pipeline int) {
	_, addr := start(b, Config{Handler: okHandler{}})
	p := dial(b, addr)
	request := []byte(strings.Repeat(wire("SET", "key:000001", strings.Repeat("v", 128)), pipeline))
	reply := make([]byte, pipeline*len("+OK\r\n"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p, reply); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*pipeline)/b.Elapsed().Seconds(), "commands/s")
}

func BenchmarkRoundTrip(b *testing.B)   { benchmarkRoundTrip(b, 1) }
func BenchmarkRoundTrip16(b *testing.B) { benchmarkRoundTrip(b, 16) }
