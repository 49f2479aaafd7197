package resp

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var roomy = bounds{RequestBytes: 8 << 20}

// wire builds the multibulk form of a command.
func wire(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func TestBreachesOfProtocol(t *testing.T) {
	strict := bounds{RequestBytes: 64 << 10, BeforeAuth: true}
	const e = "ERR Protocol error: "
	cases := []struct {
		stream string
		limits bounds
		want   string
	}{
		{"*1\r\n$9223372036854775807\r\nxx\r\n", roomy, e + "invalid bulk length"},
		{"*9223372036854775807\r\n", roomy, e + "invalid multibulk length"},
		{"*1000000000\r\n", roomy, e + "invalid multibulk length"},
		{"*1048577\r\n", roomy, e + "invalid multibulk length"},
		{"*1048576\r\n", roomy, ""},
		{"*1\r\n$-2\r\n", roomy, e + "invalid bulk length"},
		{"*1\r\n$-1\r\n", roomy, e + "invalid bulk length"},
		{"*1\r\n$\r\n", roomy, e + "invalid bulk length"},
		{"*1\r\n$18446744073709551617\r\n", roomy, e + "invalid bulk length"},
		{"*1\r\n$2000000000\r\n", roomy, e + "invalid bulk length"},
		{"*01\r\n", roomy, e + "invalid multibulk length"},
		{"*+1\r\n", roomy, e + "invalid multibulk length"},
		{"*-0\r\n", roomy, e + "invalid multibulk length"},
		{"* 1\r\n", roomy, e + "invalid multibulk length"},
		{"*\r\n", roomy, e + "invalid multibulk length"},
		{"*1\rX", roomy, e + "invalid multibulk length"},
		{"*1\r\n$1\rX", roomy, e + "invalid bulk length"},
		{"*1\r\n$1\r\nabc\r\n", roomy, e + "invalid bulk length"},
		{"*2\r\n$1\r\na\r\n:1\r\n", roomy, e + "expected '$', got ':'"},
		{"*" + strings.Repeat("1", 40), roomy, e + "too big mbulk count string"},
		{"*1\r\n$" + strings.Repeat("1", 40), roomy, e + "too big bulk count string"},
		{"GET \"a\r\n", roomy, e + "unbalanced quotes in request"},
		{strings.Repeat("a", 65536), roomy, ""},
		{strings.Repeat("a", 65537), roomy, e + "too big inline request"},
		{"*11\r\n", strict, e + "unauthenticated multibulk length"},
		{"*10\r\n", strict, ""},
		{"*1\r\n$16385\r\n", strict, e + "unauthenticated bulk length"},
		{"*1\r\n$16384\r\n", strict, ""},
		{"*10\r\n" + strings.Repeat("$16384\r\n"+strings.Repeat("x", 16384)+"\r\n", 4), strict,
			e + "unauthenticated request exceeds 65536 bytes"},
		{"*1\r\n$8388608\r\n", roomy, e + "request exceeds max-request-bytes (8388608)"},
		{fmt.Sprintf("*1\r\n$%d\r\n", 8<<20-16), roomy, ""},
		{fmt.Sprintf("*1\r\n$%d\r\n", 8<<20-15), roomy, e + "request exceeds max-request-bytes (8388608)"},
		{"*0\r\n*-10\r\n\r\n\n   \r\n", roomy, ""},
		{"POST / HTTP/1.1\r\nHost: x\r\n", roomy, "close"},
		{"*2\r\n$5\r\nhOsT:\r\n$1\r\nx\r\n", roomy, "close"},
	}
	for _, c := range cases {
		for _, size := range []int{1 << 20, 1, 3} {
			before := wire("PING")
			cmds, got := pieces(t, before+c.stream, c.limits, []int{size})
			if got != c.want {
				t.Errorf("%.60q in reads of %d: %q, want %q", c.stream, size, got, c.want)
			}
			if len(cmds) != 1 {
				t.Errorf("%.60q: the command before the breach was lost or something was made up: %.100q", c.stream, cmds)
			}
		}
	}
}

func TestInlineWords(t *testing.T) {
	cases := []struct {
		line string
		want []string // nil: unbalanced
	}{
		{"PING", []string{"PING"}},
		{"  SET\ta  b ", []string{"SET", "a", "b"}},
		{`SET k "a b"`, []string{"SET", "k", "a b"}},
		{`"\x00\xfF\n\r\t\b\a\\\"\q"`, []string{"\x00\xff\n\r\t\b\a\\\"q"}},
		{`"\xg1"`, []string{"xg1"}},
		{`'a\n\'b'`, []string{`a\n'b`}},
		{`pre"fix ed"`, []string{"prefix ed"}},
		{`"" ''`, []string{"", ""}},
		{`"a"b`, nil}, {`'a'b`, nil}, {`"a`, nil}, {`'a`, nil}, {`"a\"`, nil}, {`'a\'`, nil},
		{"a\x00b c", []string{"a"}},
		{"\v\fa\vb", []string{"a\vb"}},
		{"", []string{}},
	}
	for _, c := range cases {
		got, ok := splitInline(nil, []byte(c.line))
		if ok != (c.want != nil) || (ok && fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want)) {
			t.Errorf("%q: %q %v, want %q", c.line, got, ok, c.want)
		}
	}
}

func TestEveryTruncationAndEveryCut(t *testing.T) {
	stream := wire("SET", "key", "a\r\nb") + "GET \"k 1\"\r\n" + "*0\r\n" +
		wire("DEL", "") + "\r\nPING\n" + wire("PING")
	for n := range len(stream) + 1 {
		for _, sizes := range [][]int{{1}, {2}, {n + 1}, {n/2 + 1, 1 << 20}} {
			compare(t, stream[:n], roomy, sizes)
		}
	}
}

// A big value in one-byte reads was a second of CPU per byte in the worst parser; here it is linear.
func TestOneByteReadsAreLinear(t *testing.T) {
	started := time.Now()
	for _, stream := range []string{
		wire("SET", "k", strings.Repeat("v", 1<<20)),
		wire(strings.Fields(strings.Repeat("a ", 100_000))...),
		strings.Repeat("a", 65535) + "\n",
	} {
		cmds, ending := pieces(t, stream, roomy, []int{1})
		if len(cmds) != 1 || ending != "" {
			t.Fatalf("%.20q: %d commands, %q", stream, len(cmds), ending)
		}
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestHeaderAloneReservesNothing(t *testing.T) {
	p := newParser(roomy)
	defer p.release()
	p.filled(copy(p.tail(), "*1048576\r\n$8000000\r\nab"))
	if _, err := p.parse(maxBatch); err != nil {
		t.Fatal(err)
	}
	got, args, spans := len(p.tail()), cap(p.work.args), cap(p.work.spans)
	if got > smallBuffer || args > keepEntries || spans > keepEntries {
		t.Errorf("a promise of bytes reserved %d bytes, %d arguments", got, args)
	}
}

// feed plays an endless stream made of one repeated command in reads that fill what the parser offers.
func feed(t testing.TB, p *parser, command string, total int) (commands, largest int) {
	t.Helper()
	for sent := 0; sent < total; {
		tail := p.tail()
		n := 0
		for n < len(tail) {
			n += copy(tail[n:], command[(sent+n)%len(command):])
		}
		sent += n
		p.filled(n)
		largest = max(largest, len(p.work.buf))
		for {
			cmds, err := p.parse(maxBatch)
			if err != nil {
				t.Fatal(err)
			}
			if len(cmds) == 0 {
				break
			}
			commands += len(cmds)
		}
	}
	return commands, largest
}

func TestEndlessUnalignedPipelineStaysSmall(t *testing.T) {
	p := newParser(roomy)
	defer p.release()
	command := wire("SET", "key", strings.Repeat("v", 1009))
	commands, largest := feed(t, &p, command, 64<<20)
	if largest > largeBuffer {
		t.Errorf("the buffer grew to %d", largest)
	}
	if want := 64 << 20 / len(command); commands < want {
		t.Errorf("%d commands, want at least %d", commands, want)
	}
}

func TestBufferShrinksAfterABigValue(t *testing.T) {
	p := newParser(roomy)
	defer p.release()
	big := wire("SET", "k", strings.Repeat("v", 5<<20))
	_, largest := feed(t, &p, big, len(big)) // then stops inside the next big one or at its border
	if largest > 2*len(big) {
		t.Errorf("a request of %d bytes took a buffer of %d", len(big), largest)
	}
	for p.unread() > 0 { // finish it
		n := min(len(p.tail()), p.known()-p.unread())
		if p.bulk == noBulk {
			n = 1
		}
		copyAt := (p.end - p.begin) % len(big)
		p.filled(copy(p.tail()[:n], big[copyAt:]))
		if _, err := p.parse(maxBatch); err != nil {
			t.Fatal(err)
		}
	}
	small := wire("SET", "k", strings.Repeat("v", 1009))
	p.filled(copy(p.tail(), small[:100])) // one cut, so that the connection is never at rest again
	if _, err := p.parse(maxBatch); err != nil {
		t.Fatal(err)
	}
	p.tail()
	if got := len(p.work.buf); got > largeBuffer {
		t.Errorf("still %d bytes for a small request", got)
	}
}

func TestBatchIsBounded(t *testing.T) {
	p := newParser(bounds{RequestBytes: 64 << 20})
	defer p.release()
	p.adopt(&workspace{buf: []byte(strings.Repeat("A\n", 20_000))}, 40_000)
	if cmds, err := p.parse(maxBatch); len(cmds) != maxBatch || err != nil {
		t.Errorf("%d commands in a batch, %v", len(cmds), err)
	}
	stream := strings.Repeat(wire("SET", "k", strings.Repeat("v", 100_000)), 40)
	p.adopt(&workspace{buf: []byte(stream)}, len(stream))
	if cmds, err := p.parse(maxBatch); len(cmds) != 11 || err != nil {
		t.Errorf("%d commands of 100 kB in a batch, %v", len(cmds), err)
	}
}

func TestSteadyStateParsesWithoutAllocating(t *testing.T) {
	p := newParser(roomy)
	stream := strings.Repeat(wire("SET", "key:000001", strings.Repeat("v", 128)), 16) + "GET k\r\n"
	allocs := testing.AllocsPerRun(200, func() {
		p.filled(copy(p.tail(), stream))
		if cmds, err := p.parse(maxBatch); len(cmds) != 17 || err != nil {
			t.Fatalf("%d commands, %v", len(cmds), err)
		}
		p.begin = p.pos
	})
	p.release()
	if allocs != 0 {
		t.Errorf("%v allocations for 17 commands", allocs)
	}
}

func BenchmarkPipeline(b *testing.B) {
	p := newParser(roomy)
	defer p.release()
	stream := strings.Repeat(wire("SET", "key:000001", strings.Repeat("v", 128)), 16)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		p.filled(copy(p.tail(), stream))
		if cmds, err := p.parse(maxBatch); len(cmds) != 16 || err != nil {
			b.Fatal(len(cmds), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/command")
}

func TestPooledWorkspaceIsNotLargerThanAFreshOne(t *testing.T) {
	w := &workspace{
		buf:   make([]byte, smallBuffer),
		spans: make([]span, 1, 2*keepEntries),
		args:  make([][]byte, 1, 2*keepEntries),
		batch: make([]Command, 1, 2*keepEntries),
		out:   make([]byte, 1, 2*largeBuffer),
	}
	giveBack(w)
	if cap(w.spans)+cap(w.args)+cap(w.batch)+cap(w.out) != 0 {
		t.Errorf("kept %d %d %d %d", cap(w.spans), cap(w.args), cap(w.batch), cap(w.out))
	}
}
