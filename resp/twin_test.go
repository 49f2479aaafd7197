package resp

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// twin is the dumb model of the parser: it sees the whole stream at once, recurses over strings, copies
// freely and keeps no state. It returns the commands and how the stream ends: "" (all consumed or more
// bytes needed), "close", or the error reply.
func twin(stream string, limits bounds) (cmds [][]string, ending string) {
	for stream != "" {
		cmd, rest, ending := twinCommand(stream, limits)
		if ending != "" || rest == nil {
			return cmds, ending
		}
		if len(cmd) > 0 {
			if name := strings.ToLower(cmd[0]); name == "post" || name == "host:" {
				return cmds, "close"
			}
			cmds = append(cmds, cmd)
		}
		stream = *rest
	}
	return cmds, ""
}

// twinCommand takes one command off the stream; rest is nil when the stream is too short.
func twinCommand(stream string, limits bounds) (cmd []string, rest *string, ending string) {
	if stream[0] != '*' {
		return twinInline(stream)
	}
	count, left, ending := twinHeader(stream, "too big mbulk count string", "invalid multibulk length")
	if ending != "" || left == nil {
		return nil, nil, ending
	}
	if count > 1048576 {
		return nil, nil, twinError("invalid multibulk length")
	}
	if limits.BeforeAuth && count > 10 {
		return nil, nil, twinError("unauthenticated multibulk length")
	}
	for range max(count, 0) {
		word, next, ending := twinBulk(stream, *left, limits)
		if ending != "" || next == nil {
			return nil, nil, ending
		}
		cmd = append(cmd, word)
		left = next
	}
	return cmd, left, ""
}

func twinBulk(whole, stream string, limits bounds) (word string, rest *string, ending string) {
	if stream == "" {
		return "", nil, ""
	}
	if stream[0] != '$' {
		return "", nil, twinError("expected '$', got '" + stream[:1] + "'")
	}
	size, body, ending := twinHeader(stream, "too big bulk count string", "invalid bulk length")
	if ending != "" || body == nil {
		return "", nil, ending
	}
	used := len(whole) - len(*body)
	switch {
	case size < 0 || size > 512*1024*1024:
		return "", nil, twinError("invalid bulk length")
	case limits.BeforeAuth && size > 16384:
		return "", nil, twinError("unauthenticated bulk length")
	case used+size+2 > limits.RequestBytes && limits.BeforeAuth:
		return "", nil, twinError(fmt.Sprintf("unauthenticated request exceeds %d bytes", limits.RequestBytes))
	case used+size+2 > limits.RequestBytes:
		return "", nil, twinError(fmt.Sprintf("request exceeds max-request-bytes (%d)", limits.RequestBytes))
	case len(*body) < size+2:
		return "", nil, ""
	case (*body)[size:size+2] != "\r\n":
		return "", nil, twinError("invalid bulk length")
	}
	after := (*body)[size+2:]
	return (*body)[:size], &after, ""
}

func twinHeader(stream, tooLong, invalid string) (n int, rest *string, ending string) {
	at := strings.Index(stream, "\r")
	switch {
	case at > 32 || (at < 0 && len(stream) > 32):
		return 0, nil, twinError(tooLong)
	case at < 0 || at+1 == len(stream):
		return 0, nil, ""
	}
	digits := stream[1:at]
	n, err := strconv.Atoi(digits)
	canonical := err == nil && strconv.Itoa(n) == digits && len(strings.TrimPrefix(digits, "-")) <= 18
	if !canonical || stream[at+1] != '\n' {
		return 0, nil, twinError(invalid)
	}
	left := stream[at+2:]
	return n, &left, ""
}

func twinInline(stream string) (cmd []string, rest *string, ending string) {
	line, left, found := strings.Cut(stream, "\n")
	if len(line) > 65536 {
		return nil, nil, twinError("too big inline request")
	}
	if !found {
		return nil, nil, ""
	}
	cmd, ok := twinSplit(strings.TrimSuffix(line, "\r"))
	if !ok {
		return nil, nil, twinError("unbalanced quotes in request")
	}
	return cmd, &left, ""
}

// twinSplit follows the text of Redis's sdssplitargs step by step, with a NUL put at the end as C has it.
func twinSplit(line string) (words []string, ok bool) {
	s := line + "\x00\x00\x00\x00"
	i := 0
	for {
		for strings.IndexByte(" \t\n\v\f\r", s[i]) >= 0 {
			i++
		}
		if s[i] == 0 {
			return words, true
		}
		var word strings.Builder
		quote := byte(0)
		for done := false; !done; i++ {
			c := s[i]
			switch {
			case quote != 0 && c == 0:
				return nil, false
			case quote == '"' && c == '\\' && s[i+1] == 'x' && isHex(s[i+2]) && isHex(s[i+3]):
				v, _ := strconv.ParseUint(s[i+2:i+4], 16, 8)
				word.WriteByte(byte(v))
				i += 3
			case quote == '"' && c == '\\' && s[i+1] != 0:
				word.WriteString(strings.NewReplacer("n", "\n", "r", "\r", "t", "\t", "b", "\b", "a", "\a").
					Replace(s[i+1 : i+2]))
				i++
			case quote == '\'' && c == '\\' && s[i+1] == '\'':
				word.WriteByte('\'')
				i++
			case quote != 0 && c == quote && s[i+1] != 0 && strings.IndexByte(" \t\n\v\f\r", s[i+1]) < 0:
				return nil, false
			case quote != 0 && c == quote:
				done = true
			case quote != 0:
				word.WriteByte(c)
			case c == 0 || strings.IndexByte(" \n\r\t", c) >= 0:
				done = true
				i--
			case c == '"' || c == '\'':
				quote = c
			default:
				word.WriteByte(c)
			}
		}
		words = append(words, word.String())
	}
}

// tester is what *testing.T, *testing.F and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func twinError(text string) string { return "ERR Protocol error: " + text }

// pieces feeds stream to a real parser in reads of the given sizes (the last size repeats) and collects
// what it says in the twin's terms. invariants of the parser are checked on the way.
func pieces(t tester, stream string, limits bounds, sizes []int) (cmds [][]string, ending string) {
	p := newParser(limits)
	defer p.release()
	for turn := 0; ; turn++ {
		got, err := p.parse(3)
		for _, c := range got {
			cmds = append(cmds, words(c))
		}
		checkParser(t, &p)
		switch {
		case err == errCrossProtocol:
			return cmds, "close"
		case err != nil:
			return cmds, err.Error()
		case len(got) > 0:
			continue
		case stream == "":
			return cmds, ""
		}
		tail := p.tail()
		n := copy(tail[:min(len(tail), sizes[min(turn, len(sizes)-1)])], stream)
		stream = stream[n:]
		p.filled(n)
	}
}

func words(c Command) []string {
	out := make([]string, len(c.Args))
	for i, a := range c.Args {
		out[i] = string(a)
	}
	return out
}

func checkParser(t tester, p *parser) {
	t.Helper()
	if p.work == nil {
		return
	}
	size := len(p.work.buf)
	if p.begin > p.pos || p.pos > p.end || p.end > size {
		t.Fatalf("invariant 1: begin %d pos %d end %d size %d", p.begin, p.pos, p.end, size)
	}
	if size > max(largeBuffer, 2*p.limits.RequestBytes) {
		t.Fatalf("invariant 4: a buffer of %d bytes", size)
	}
}

func compare(t tester, stream string, limits bounds, sizes []int) {
	t.Helper()
	wantCmds, wantEnding := twin(stream, limits)
	gotCmds, gotEnding := pieces(t, stream, limits, sizes)
	if fmt.Sprintf("%q", gotCmds) != fmt.Sprintf("%q", wantCmds) || gotEnding != wantEnding {
		t.Fatalf("stream %.300q in reads of %v:\n got %.300q %q\nwant %.300q %q",
			stream, sizes, gotCmds, gotEnding, wantCmds, wantEnding)
	}
}

var (
	nothings  = []string{"\r\n", "\n", "*0\r\n", "*-1\r\n", "*-7\r\n", " \t\r\n"}
	https     = []string{"POST / HTTP/1.1\r\n", "Host: x\r\n", "*1\r\n$4\r\npOsT\r\n"}
	lineRunes = []rune("ab \t'\"\\x4nrq\x00\v$*")
	readSizes = []int{1, 2, 5, 17, 100, 4096, 30000, 1 << 20}
)

// drawStream makes a stream of mostly good commands with some broken bits.
func drawStream(t *rapid.T) string {
	var b bytes.Buffer
	for range rapid.IntRange(1, 12).Draw(t, "commands") {
		switch rapid.IntRange(0, 19).Draw(t, "kind") {
		case 0:
			b.WriteString(rapid.SampledFrom(nothings).Draw(t, "nothing"))
		case 1:
			b.WriteString(rapid.StringOfN(rapid.RuneFrom(lineRunes), 0, 30, -1).Draw(t, "line"))
			b.WriteString(rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(t, "eol"))
		case 2:
			b.WriteString(rapid.StringOfN(rapid.RuneFrom([]rune("*$-01239\r\nxP")), 1, 40, -1).Draw(t, "junk"))
		case 3:
			b.WriteString(rapid.SampledFrom(https).Draw(t, "http"))
		default:
			n := rapid.IntRange(1, 6).Draw(t, "args")
			fmt.Fprintf(&b, "*%d\r\n", n)
			for range n {
				size := rapid.SampledFrom([]int{0, 1, 3, 10, 100, 5000, 16384, 16385, 70000}).Draw(t, "size")
				fmt.Fprintf(&b, "$%d\r\n%s\r\n", size, strings.Repeat(string(rune('a'+size%26)), size))
			}
		}
	}
	return b.String()
}

func TestParserAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := drawStream(t)
		limits := bounds{RequestBytes: rapid.SampledFrom([]int{64 << 10, 200 << 10}).Draw(t, "limit")}
		limits.BeforeAuth = rapid.IntRange(0, 4).Draw(t, "before auth") == 0
		sizes := rapid.SliceOfN(rapid.SampledFrom(readSizes), 1, 40).Draw(t, "reads")
		compare(t, stream, limits, sizes)
	})
}

func FuzzParser(f *testing.F) {
	for _, seed := range []string{"*1\r\n$4\r\nPING\r\n", "PING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
		"*1\r\n$-2\r\n",
		"SET a \"\\x41'\" \r\n", "*3000000000\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "POST / HTTP/1.1\r\n",
		"*0\r\n\r\nX\n"} {
		f.Add([]byte(seed), uint8(1), false)
		f.Add([]byte(seed), uint8(7), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint8, beforeAuth bool) {
		limits := bounds{RequestBytes: 64 << 10, BeforeAuth: beforeAuth}
		compare(t, string(stream), limits, []int{max(int(size), 1)})
		compare(t, string(stream), limits, []int{1 << 20})
	})
}

func FuzzInline(f *testing.F) {
	for _, seed := range []string{`a b`, `"a b" 'c d'`, `"\x41\n\q\"" '\'\n'`, `a"b"`, `a"b"c`,
		`"`, `'`, `"\`, `'\`,
		"\ta\v b\f", "a\x00b", "\"a\x00\"", `"\x4"`, `""''`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		want, wantOK := twinSplit(line)
		got, ok := splitInline(nil, []byte(line))
		if ok != wantOK || (ok && fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want)) {
			t.Fatalf("%q: got %q %v, want %q %v", line, got, ok, want, wantOK)
		}
	})
}
