package commands

import (
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

// Watches, in their two forms: channels (watch:key, for every Redis client) and KV.WATCH (binary-safe, a
// push per revision). Both are specs for the hub; here are their grammar and their frames.

var watchRows = []Command{
	{Name: "kv.watch", Arity: -2, Flags: FlagPubSub | FlagNoScript | FlagNoMulti, Group: "kv", Since: "0.2.0",
		Categories: CatPubSub, subscribed: true, Keys: oneKey("RO access"),
		Complexity: "O(log N) where N is the number of watches.",
		Summary:    "Pushes every change of a range of keys, revision by revision, from now or a past revision on.",
		Args: args(argKey("from"), kvSpanArg, argInteger("revision").after("REV").opt(), argToken("PREV").opt(),
			argToken("NOPUT").opt(), argToken("NODEL").opt(), argInteger("milliseconds").after("PROGRESS").opt()),
		session: kvWatch, also: reachWatch},
	{Name: "kv.unwatch", Arity: 2, Flags: FlagPubSub | FlagNoScript | FlagNoMulti | FlagFast, Group: "kv",
		Since: "0.2.0", Categories: CatPubSub, subscribed: true, Complexity: "O(log N)",
		Summary: "Ends a KV.WATCH of this connection.", Args: args(argInteger("id")), session: kvUnwatch},
}

// The bounds of how often progress is told.
const (
	minProgress = 100 * time.Millisecond
	maxProgress = 24 * time.Hour
)

// parseWatchChannel reads watch[;option[=value]]…:key. It returns nil for a name that does not begin so:
// that is an ordinary channel or pattern.
func parseWatchChannel(name string, pattern bool) (*pubsub.Watch, error) {
	if !strings.HasPrefix(name, "watch:") && !strings.HasPrefix(name, "watch;") {
		return nil, nil
	}
	head, key, ok := strings.Cut(name, ":")
	if !ok {
		return nil, errWatchChannel(name, "no ':' before the key")
	}
	w := &pubsub.Watch{}
	options := strings.Split(head, ";")[1:]
	prefix := false
	for i, option := range options {
		word, operand, valued := strings.Cut(option, "=")
		for _, earlier := range options[:i] {
			if e, _, _ := strings.Cut(earlier, "="); e == word {
				return nil, errWatchChannel(name, "option "+word+" stands twice")
			}
		}
		var why string
		if word == "prefix" && !valued && !pattern {
			prefix = true
		} else if why = watchOption(w, word, operand, valued); why != "" {
			return nil, errWatchChannel(name, why)
		}
	}
	switch {
	case prefix:
		w.Spec.Span = mvcc.PrefixSpan(key)
	case pattern:
		w.Spec.Span = globSpan(key)
		w.Spec.Match = globMatcher(key)
	default:
		w.Spec.Span = mvcc.KeySpan(key)
	}
	w.Name = "c" + name
	f := channelForm{channel: name}
	if pattern {
		w.Name, f = "p"+name, channelForm{pattern: name}
	}
	w.Encoder, w.Canceled = f, f.canceled
	return w, nil
}

// watchOption reads one option of a watch channel; why tells what is wrong with it.
func watchOption(w *pubsub.Watch, word, operand string, valued bool) (why string) {
	switch number, ok := parseInt([]byte(operand)); word {
	case "rev":
		if !valued || !ok || number < 0 {
			return "rev needs a revision"
		}
		w.From = mvcc.Revision(number)
		return ""
	case "progress":
		w.Progress = milliseconds(number)
		if !valued || !ok || w.Progress == 0 {
			return "progress needs milliseconds, from 100 to one day"
		}
		return ""
	}
	flags := map[string]*bool{"prev": &w.Spec.Prev, "noput": &w.Spec.NoPut, "nodel": &w.Spec.NoDelete}
	flag := flags[word]
	if flag == nil || valued {
		return "unknown option " + strconv.Quote(word)
	}
	*flag = true
	return ""
}

// milliseconds is an interval of progress; 0 if it is out of range.
func milliseconds(n int64) time.Duration {
	if n < minProgress.Milliseconds() || n > maxProgress.Milliseconds() {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// channelForm makes messages of a watch channel: one JSON object each.
type channelForm struct {
	channel string // SUBSCRIBE
	pattern string // PSUBSCRIBE: channels are watch:<key>
}

// Events implements pubsub.Encoder.
func (f channelForm) Events(b []byte, proto int, _ mvcc.Revision, events []mvcc.Event) []byte {
	for i := range events {
		e := &events[i]
		b = f.begin(b, proto, e.Record.Key())
		b = appendBulkOf(b, func(b []byte) []byte { return pubsub.AppendJSON(b, e, i == len(events)-1) })
	}
	return b
}

// Progress implements pubsub.Encoder.
func (f channelForm) Progress(b []byte, proto int, rev mvcc.Revision) []byte {
	return appendBulkOf(f.control(b, proto), func(b []byte) []byte { return pubsub.AppendProgress(b, rev) })
}

func (f channelForm) canceled(proto int, compacted mvcc.Revision) []byte {
	return resp.AppendBulk(f.control(nil, proto), pubsub.AppendCanceled(nil, compacted))
}

// begin appends a message up to its payload.
func (f channelForm) begin(b []byte, proto int, key string) []byte {
	if f.pattern == "" {
		return f.control(b, proto)
	}
	b = appendMessageHead(b, proto, 4, "pmessage", f.pattern)
	return appendBulkOf(b, func(b []byte) []byte { return append(append(b, "watch:"...), key...) })
}

// control begins a message that is about no key; with a pattern it names the pattern as its channel.
func (f channelForm) control(b []byte, proto int) []byte {
	if f.pattern == "" {
		return appendMessageHead(b, proto, 3, "message", f.channel)
	}
	return resp.AppendBulk(appendMessageHead(b, proto, 4, "pmessage", f.pattern), f.pattern)
}

func appendMessageHead(b []byte, proto, n int, kind, name string) []byte {
	return resp.AppendBulk(resp.AppendBulk(resp.AppendPush(b, proto, n), kind), name)
}

// appendBulkOf appends what fill appends as a bulk string. The length stands in front and is known behind,
// so the content is moved once; that is cheaper than a buffer of its own.
func appendBulkOf(b []byte, fill func([]byte) []byte) []byte {
	start := len(b)
	b = fill(b)
	size := len(b) - start
	var room [24]byte
	head := append(strconv.AppendInt(append(room[:0], '$'), int64(size), 10), '\r', '\n')
	b = append(b, head...)
	copy(b[start+len(head):], b[start:start+size])
	copy(b[start:], head)
	return append(b, '\r', '\n')
}

// kvWatchForm makes the frames of KV.WATCH behind ["watch", id: they are the same for all ids.
type kvWatchForm struct{}

// Events implements pubsub.Encoder.
func (kvWatchForm) Events(b []byte, proto int, rev mvcc.Revision, events []mvcc.Event) []byte {
	b = resp.AppendArray(resp.AppendInt(b, int64(rev)), len(events))
	for i := range events {
		e := &events[i]
		b = resp.AppendArray(b, 3)
		b = resp.AppendBulk(b, pubsub.TypeName(e.Record.Kind()))
		b = appendRecord(b, proto, e.Record)
		if e.Prev.Exists() {
			b = appendRecord(b, proto, e.Prev)
		} else {
			b = resp.AppendNull(b, proto)
		}
	}
	return b
}

// Progress implements pubsub.Encoder.
func (kvWatchForm) Progress(b []byte, _ int, rev mvcc.Revision) []byte {
	return resp.AppendArray(resp.AppendInt(b, int64(rev)), 0)
}

// appendRecord appends a record as KV.GET gives it, without building values on the way.
func appendRecord(b []byte, proto int, r mvcc.Record) []byte {
	b = resp.AppendMap(b, proto, 7)
	b = resp.AppendBulk(resp.AppendBulk(b, "key"), r.Key())
	b = resp.AppendBulk(resp.AppendBulk(b, "value"), r.Value())
	b = resp.AppendInt(resp.AppendBulk(b, "create_revision"), int64(r.CreateRevision()))
	b = resp.AppendInt(resp.AppendBulk(b, "mod_revision"), int64(r.ModRevision()))
	b = resp.AppendInt(resp.AppendBulk(b, "version"), r.Version())
	b = resp.AppendBulk(resp.AppendBulk(b, "lease"), leaseText(r.Lease()))
	return resp.AppendInt(resp.AppendBulk(b, "expires"), int64(r.Deadline()))
}

// kvWatch starts a watch of this connection.
func kvWatch(c *call, s *session) (resp.Value, error) {
	w, err := parseKVWatch(c)
	if err != nil {
		return resp.Value{}, err
	}
	store := c.d.engine.Store()
	if compacted := store.CompactRevision(); w.From > 0 && w.From < compacted {
		return resp.Value{}, errCompacted(&mvcc.CompactedError{Revision: compacted})
	}
	s.lastWatch++
	id := s.lastWatch
	heads := [4][]byte{2: watchHead(2, "watch", id), 3: watchHead(3, "watch", id)}
	w.Head = func(proto int) []byte { return heads[proto] }
	w.Canceled = func(proto int, compacted mvcc.Revision) []byte {
		b := resp.AppendBulk(watchHead(proto, "watch-canceled", id), pubsub.CompactedReason)
		return resp.AppendInt(b, int64(compacted))
	}
	if s.watches == nil {
		s.watches = map[int64]*pubsub.Subscription{}
	}
	s.watches[id] = c.d.hub.Watch(w, s.open(c.d))
	s.shownWatches.Store(int64(len(s.watches)))
	s.stake(c.d, claim{sub: s.watches[id], kind: listWatch, span: w.Spec.Span, gone: revokedWatch(id)})
	return resp.Int(id), nil
}

func watchHead(proto int, kind string, id int64) []byte {
	return resp.AppendInt(resp.AppendBulk(resp.AppendPush(nil, proto, 4), kind), id)
}

func parseKVWatch(c *call) (*pubsub.Watch, error) {
	w := &pubsub.Watch{Encoder: kvWatchForm{}}
	var rest [][]byte
	seen := map[string]bool{}
	for words := c.options(2); words.more(); {
		option := words.next()
		name := strings.ToUpper(string(option))
		if seen[name] {
			return nil, errSyntax
		}
		seen[name] = true
		mine, err := watchWord(w, name, &words)
		if err != nil {
			return nil, err
		}
		if mine {
			continue
		}
		if rest = append(rest, option); name == "TO" && words.more() {
			rest = append(rest, words.next())
		}
	}
	o, err := parseKV(&call{args: append([][]byte{c.args[0], c.args[1]}, rest...)}, 2, kvSpanOptions)
	if err != nil {
		return nil, err
	}
	w.Spec.Span = o.copied(string(c.args[1]))
	if span := w.Spec.Span; span.Kind == mvcc.SpanRange && span.End <= span.From {
		return nil, errWatchRange
	}
	w.Name = feedName(&w.Spec)
	return w, nil
}

// watchWord reads an option of KV.WATCH; mine is false for one of the range.
func watchWord(w *pubsub.Watch, name string, words *words) (mine bool, err error) {
	switch name {
	case "REV":
		rev, err := words.count()
		w.From = mvcc.Revision(rev)
		return true, err
	case "PROGRESS":
		ms, err := words.count()
		if w.Progress = milliseconds(ms); err == nil && w.Progress == 0 {
			err = errProgress
		}
		return true, err
	case "PREV":
		w.Spec.Prev = true
	case "NOPUT":
		w.Spec.NoPut = true
	case "NODEL":
		w.Spec.NoDelete = true
	default:
		return false, nil
	}
	return true, nil
}

// copied is the span of a range whose beginning is from; it holds no bytes of the client's.
func (o *kvOptions) copied(from string) mvcc.Span {
	switch {
	case o.has(kvTo):
		return mvcc.Span{From: from, End: string(o.end), Kind: mvcc.SpanRange}
	case o.has(kvPrefix):
		return mvcc.PrefixSpan(from)
	case o.has(kvFromKey):
		return mvcc.Span{From: from, Kind: mvcc.SpanFrom}
	default:
		return mvcc.KeySpan(from)
	}
}

// feedName is the same for equal specs alone.
func feedName(s *pubsub.Spec) string {
	b := []byte{'k', byte(s.Span.Kind), bit(s.Prev), bit(s.NoPut), bit(s.NoDelete)}
	b = strconv.AppendInt(b, int64(len(s.Span.From)), 10)
	return string(b) + ":" + s.Span.From + s.Span.End
}

func bit(yes bool) byte {
	if yes {
		return '1'
	}
	return '0'
}

func kvUnwatch(c *call, s *session) (resp.Value, error) {
	id, err := integer(c.args[1])
	if err != nil {
		return resp.Value{}, err
	}
	sub := s.watches[id]
	if sub == nil {
		return resp.Int(0), nil
	}
	ended := sub.Ended()
	delete(s.watches, id)
	s.shownWatches.Store(int64(len(s.watches)))
	s.settle(c.d, []*pubsub.Subscription{sub})
	return resp.Int(int64(1 - count(ended))), nil
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
