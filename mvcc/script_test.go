package mvcc

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs testdata/*.txt. Commands, one request to a line inside update:
//
//	update [now=ms]      one log entry; put k v [lease=n] [px=ms|pxat=ms] [keepttl], incr k n, append k v,
//	                     expire k px=ms, persist k, del k | del from..to, get k; "txn: a; b" for one
//	                     transaction; expired k, as the leader proposes it
//	compact rev          slice max          state          history k          get k at=rev
//	range from..to [at=rev] [limit=n] [desc]              restore
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if filepath.Ext(path) != ".txt" {
			return // what the fuzzers keep
		}
		x := &script{s: New()}
		defer func() { x.s.Close() }()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := x.run(d)
			if err := x.s.Check(); err != nil {
				t.Fatalf("%s: %v", d.Pos, err)
			}
			return out
		})
	})
}

type script struct {
	s   *Store
	now UnixMilli
	out strings.Builder
}

func (x *script) run(d *datadriven.TestData) string {
	x.out.Reset()
	word := ""
	if len(d.CmdArgs) > 0 {
		word = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "update":
		x.update(d)
	case "compact":
		var err error
		x.s.Update(x.now, func(b *Batch) { err = b.Compact(Revision(number(word))) })
		x.say("%v", err)
	case "slice":
		x.say("more=%v history=%d bytes", x.s.CompactSlice(int(number(word))), x.s.HistoryBytes())
	case "state":
		x.state()
	case "history":
		rs, _ := x.s.History(word, 0)
		x.records(rs)
	case "get":
		r, err := x.s.GetAt(word, at(d))
		x.record(r, err)
	case "range":
		x.rangeCmd(d, word)
	case "restore":
		x.restore()
	default:
		x.say("unknown command")
	}
	return x.out.String()
}

func (x *script) say(format string, args ...any) { fmt.Fprintf(&x.out, format+"\n", args...) }

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func at(d *datadriven.TestData) Revision {
	if arg, ok := d.Arg("at"); ok {
		return Revision(number(arg.Vals[0]))
	}
	return 0
}

func (x *script) update(d *datadriven.TestData) {
	if arg, ok := d.Arg("now"); ok {
		x.now = UnixMilli(number(arg.Vals[0]))
	}
	events := x.s.Update(x.now, func(b *Batch) {
		for line := range strings.Lines(d.Input) {
			x.request(b, strings.TrimSpace(line))
		}
	})
	for _, e := range events {
		x.say("  event %s (was %s)", show(e.Record), show(e.Prev))
	}
}

func (x *script) request(b *Batch, line string) {
	if key, ok := strings.CutPrefix(line, "expired "); ok {
		r := b.st.view.Get(key)
		b.Expire([]ExpireKey{{key, r.ModRevision()}})
		x.say("%s -> revision %d", line, b.Revision())
		return
	}
	var txn Txn
	rest, _ := strings.CutPrefix(line, "txn: ")
	for op := range strings.SplitSeq(rest, ";") {
		txn.Then = append(txn.Then, parseOp(strings.Fields(op)))
	}
	var res Result
	b.Txn(&txn, &res)
	var answers []string
	for _, o := range res.Ops {
		answers = append(answers, answer(o))
	}
	x.say("%s -> %s; revision %d", line, strings.Join(answers, ", "), res.Revision)
}

func answer(o OpResult) string {
	switch {
	case o.Err != nil:
		return o.Err.Error()
	case o.Range.Revision != 0:
		return fmt.Sprintf("%d keys", o.Range.Count)
	case o.Record.Exists() && o.N == 0:
		return "ok"
	default:
		return strconv.FormatInt(o.N, 10)
	}
}

func parseOp(words []string) Op {
	from, end, ranged := strings.Cut(words[1], "..")
	op := Op{Span: KeySpan(from)}
	if ranged {
		op.Span = Span{From: from, End: end, Kind: SpanRange}
	}
	args := words[2:]
	switch words[0] {
	case "put":
		op.Kind, op.Value, args = OpPut, args[0], args[1:]
	case "incr":
		op.Kind, op.Modify, op.Delta, args = OpModify, ModifyIncrBy, number(args[0]), args[1:]
	case "append":
		op.Kind, op.Modify, op.Value, args = OpModify, ModifyAppend, args[0], args[1:]
	case "expire":
		op.Kind, op.Modify = OpModify, ModifySetDeadline
	case "persist":
		op.Kind, op.Modify = OpModify, ModifyPersist
	case "del":
		op.Kind = OpDelete
	case "get":
		op.Kind = OpRange
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "lease":
			op.Lease = LeaseID(number(value))
		case "px":
			op.Expiry = Expiry{ExpiryIn, number(value)}
		case "pxat":
			op.Expiry = Expiry{ExpiryAt, number(value)}
		case "keepttl":
			op.Expiry.Mode, op.Flags = ExpiryKeep, FlagLeaseIfAny
		case "nx":
			op.Flags |= FlagIfNoDeadline
		}
	}
	return op
}

func show(r Record) string {
	switch r.Kind() {
	case 0:
		return "nothing"
	case KindDelete:
		return fmt.Sprintf("%s deleted @%d.%d", r.Key(), r.ModRevision(), r.Sub())
	case KindExpire:
		return fmt.Sprintf("%s expired @%d.%d", r.Key(), r.ModRevision(), r.Sub())
	}
	s := fmt.Sprintf("%s=%q @%d.%d create=%d version=%d", r.Key(), r.Value(), r.ModRevision(), r.Sub(),
		r.CreateRevision(), r.Version())
	if r.Lease() != 0 {
		s += fmt.Sprintf(" lease=%d", r.Lease())
	}
	if r.Deadline() != 0 {
		s += fmt.Sprintf(" deadline=%d", r.Deadline())
	}
	return s
}

func (x *script) record(r Record, err error) {
	if err != nil {
		x.say("%v", err)
		return
	}
	x.say("%s", show(r))
}

func (x *script) records(rs []Record) {
	for _, r := range rs {
		x.say("%s", show(r))
	}
}

func (x *script) state() {
	x.say("revision=%d compacted=%d keys=%d expiring=%d state=%d history=%d bytes", x.s.Revision(),
		x.s.CompactRevision(), x.s.Len(), x.s.Expiring(), x.s.StateBytes(), x.s.HistoryBytes())
	res, _ := x.s.Range(Span{Kind: SpanFrom}, RangeOptions{})
	x.records(res.Records)
}

func (x *script) rangeCmd(d *datadriven.TestData, word string) {
	from, end, _ := strings.Cut(word, "..")
	o := RangeOptions{At: at(d), Desc: slices.ContainsFunc(d.CmdArgs, func(a datadriven.CmdArg) bool {
		return a.Key == "desc"
	})}
	if arg, ok := d.Arg("limit"); ok {
		o.Limit = number(arg.Vals[0])
	}
	res, err := x.s.Range(Span{From: from, End: end, Kind: SpanRange}, o)
	if err != nil {
		x.say("%v", err)
		return
	}
	x.say("count=%d more=%v revision=%d", res.Count, res.More, res.Revision)
	x.records(res.Records)
}

func (x *script) restore() {
	p := x.s.Pin()
	defer p.Release()
	l := NewLoader(p.Revision, p.CompactRevision)
	var errs []error
	p.Ascend(0, -1, 1<<30, func(r Record) {
		errs = append(errs, l.Add(r.ModRevision(), r.Sub(), r.Encoded()))
	})
	fresh, err := l.Finish()
	if err := errors.Join(append(errs, err)...); err != nil {
		x.say("%v", err)
		return
	}
	x.s.Replace(fresh)
	x.say("restored")
}
