package wire

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxDepth bounds nesting: a server gone wrong must not overflow the stack of the test process.
const maxDepth = 64

// Reply is one decoded reply. Kind is its first byte on the wire; Raw is the whole reply as it arrived.
type Reply struct {
	Kind  byte
	Text  string // text of simple kinds, content of bulk strings
	Null  bool
	Elems []Reply // elements; for maps key, value, key, value …
	Raw   string
}

// IsErr reports whether the reply is an error.
func (r Reply) IsErr() bool { return r.Kind == '-' || r.Kind == '!' }

// Int returns the number of an integer reply, and 0 for any other.
func (r Reply) Int() int64 {
	n, _ := strconv.ParseInt(r.Text, 10, 64)
	return n
}

// Field returns the value that stands after the named key in a map or a flat field-value array.
func (r Reply) Field(name string) (Reply, bool) {
	for i := 0; i+1 < len(r.Elems); i += 2 {
		if r.Elems[i].Text == name {
			return r.Elems[i+1], true
		}
	}
	return Reply{}, false
}

// Strings returns the texts of all elements.
func (r Reply) Strings() []string {
	out := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		out[i] = e.Text
	}
	return out
}

// String renders the reply for a failure message.
func (r Reply) String() string { return strconv.Quote(r.Raw) }

// Shape describes the types of a reply without its contents: two replies of equal shape can be read by the
// same client code. Elements of arrays are described once each, in order.
func (r Reply) Shape() string {
	if len(r.Elems) == 0 {
		return string(r.Kind)
	}
	parts := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		parts[i] = e.Shape()
	}
	return string(r.Kind) + "(" + strings.Join(parts, " ") + ")"
}

// readReply decodes one reply and appends its bytes to raw.
func readReply(br *bufio.Reader, depth int) (Reply, error) {
	if depth > maxDepth {
		return Reply{}, fmt.Errorf("reply nested deeper than %d", maxDepth)
	}
	line, err := br.ReadString('\n')
	if err != nil {
		return Reply{Raw: line}, err
	}
	if len(line) < 3 || !strings.HasSuffix(line, "\r\n") {
		return Reply{Raw: line}, fmt.Errorf("malformed reply line %q", line)
	}
	r := Reply{Kind: line[0], Text: line[1 : len(line)-2], Raw: line}
	switch r.Kind {
	case '+', '-', ':', ',', '#', '(':
		return r, nil
	case '_':
		r.Null = true
		return r, nil
	case '$', '=', '!':
		return readBulk(br, r)
	case '*', '~', '>', '%', '|':
		return readElems(br, r, depth)
	}
	return r, fmt.Errorf("reply starts with an unknown type byte: %q", line)
}

func readBulk(br *bufio.Reader, r Reply) (Reply, error) {
	n, err := strconv.Atoi(r.Text)
	if err != nil || n < -1 {
		return r, fmt.Errorf("malformed bulk length %q", r.Raw)
	}
	if n == -1 {
		r.Null, r.Text = true, ""
		return r, nil
	}
	body := make([]byte, n+2)
	if _, err := io.ReadFull(br, body); err != nil {
		return r, err
	}
	r.Raw += string(body)
	if string(body[n:]) != "\r\n" {
		return r, fmt.Errorf("bulk string does not end with CRLF: %q", r.Raw)
	}
	r.Text = string(body[:n])
	return r, nil
}

func readElems(br *bufio.Reader, r Reply, depth int) (Reply, error) {
	n, err := strconv.Atoi(r.Text)
	if err != nil || n < -1 {
		return r, fmt.Errorf("malformed element count %q", r.Raw)
	}
	r.Text, r.Null = "", n == -1
	if r.Kind == '%' || r.Kind == '|' {
		n *= 2
	}
	var raw strings.Builder
	raw.WriteString(r.Raw)
	for range max(n, 0) {
		e, err := readReply(br, depth+1)
		raw.WriteString(e.Raw)
		if err != nil {
			r.Raw = raw.String()
			return r, err
		}
		r.Elems = append(r.Elems, e)
	}
	r.Raw = raw.String()
	return r, nil
}

// Parse decodes the one reply that raw consists of.
func Parse(raw string) (Reply, error) {
	br := bufio.NewReader(strings.NewReader(raw))
	r, err := readReply(br, 0)
	if err != nil {
		return r, err
	}
	if br.Buffered() > 0 {
		return r, fmt.Errorf("%d bytes after the reply", br.Buffered())
	}
	return r, nil
}
