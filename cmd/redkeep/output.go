package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// printable is a reply that etcdctl can print in more than one way. Its JSON form is its own json.Marshal.
type printable interface {
	simple(p *page)
	fields(p *page)
}

// tabular is a printable that etcdctl also prints as a table.
type tabular interface {
	printable
	table() (header table.Row, rows []table.Row)
}

// noTable annotates a verb whose reply is not tabular: -w table is refused before anything is sent.
var noTable = map[string]string{"table": "no"}

// page collects one verb's output and writes it at once.
type page struct {
	*bufio.Writer
	hex bool
}

// print writes the reply in the chosen format.
func (c *client) print(r printable) error {
	p := &page{Writer: bufio.NewWriter(c.out), hex: c.hex}
	switch c.format {
	case formatJSON:
		if err := json.NewEncoder(p).Encode(r); err != nil {
			return err
		}
	case formatFields:
		r.fields(p)
	case formatTable:
		writeTable(p, r.(tabular))
	default:
		r.simple(p)
	}
	return p.Flush()
}

func marshalJSON(v any) ([]byte, error) { return json.Marshal(v) }

func writeTable(w io.Writer, t tabular) {
	head, rows := t.table()
	tw := table.NewWriter()
	tw.SetOutputMirror(w)
	style := table.StyleDefault
	style.Format.HeaderAlign = text.AlignCenter
	tw.SetStyle(style)
	tw.AppendHeader(head)
	tw.AppendRows(rows)
	tw.Render()
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// bytesLine writes bytes of the user's, untouched unless --hex asks otherwise.
func (p *page) bytesLine(b []byte) {
	if p.hex {
		p.WriteString(hexBytes(b))
	} else {
		p.Write(b)
	}
	p.WriteByte('\n')
}

// hexBytes writes every byte as \xHH.
func hexBytes(b []byte) string {
	var s strings.Builder
	for i := range b {
		s.WriteString(`\x`)
		s.WriteString(hex.EncodeToString(b[i : i+1]))
	}
	return s.String()
}

// field writes one line of the fields format. The value is a number, a bool, or text, which is quoted.
func (p *page) field(name string, value any) {
	switch v := value.(type) {
	case []byte:
		if p.hex {
			value = hexBytes(v)
		}
		p.line("%q : %q", name, value)
	case string, []string:
		p.line("%q : %q", name, v)
	default:
		p.line("%q : %v", name, v)
	}
}

func (p *page) header(h header) {
	p.field("ClusterID", h.ClusterID)
	p.field("MemberID", h.MemberID)
	p.field("Revision", h.Revision)
	p.field("RaftTerm", h.RaftTerm)
}

func (p *page) record(prefix string, kv keyValue) {
	p.field(prefix+"Key", kv.Key)
	p.field(prefix+"CreateRevision", kv.CreateRevision)
	p.field(prefix+"ModRevision", kv.ModRevision)
	p.field(prefix+"Version", kv.Version)
	p.field(prefix+"Value", kv.Value)
	p.field(prefix+"Lease", kv.Lease)
	if kv.Expires != 0 {
		p.field(prefix+"Expires", kv.Expires)
	}
}

func (p *page) keyAndValue(kv keyValue) {
	p.bytesLine(kv.Key)
	p.bytesLine(kv.Value)
}

// row writes the simple form of a table's row.
func (p *page) row(r table.Row) {
	for i, cell := range r {
		if i > 0 {
			p.WriteString(", ")
		}
		fmt.Fprint(p, cell)
	}
	p.WriteByte('\n')
}
