package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/client"
)

// What needs a server is tested with real ones, in tests/integration.

func put(key, value string) client.Event {
	r := client.Record{Key: []byte(key), Value: []byte(value), Expires: 7}
	return client.Event{Type: client.Put, Record: r}
}

func gone(key string, kind client.EventType) client.Event {
	return client.Event{Type: kind, Record: client.Record{Key: []byte(key)}}
}

// Of several changes of a key in one batch the last one counts, whatever they are.
func TestBatchKeepsTheLast(t *testing.T) {
	m := &mirror{target: &Target{key: "mark"}}
	m.Prefix, m.DestPrefix = "a/", "b/"
	b := &batch{at: map[string]int{}}
	m.addAll(b, client.Response{Revision: 5, Events: []client.Event{
		put("a/x", "1"), put("a/y", "1"), put("a/x", "2")}})
	m.addAll(b, client.Response{Revision: 6, Events: []client.Event{
		gone("a/x", client.Delete), put("a/z", "3")}})
	m.addAll(b, client.Response{Revision: 7, Events: []client.Event{
		gone("a/z", client.Expire), put("a/z", "4")}})
	got := fmt.Sprintf("%d %+v", b.revision, b.writes)
	want := fmt.Sprintf("%d %+v", 7, []Write{
		{Key: "b/x", Delete: true}, {Key: "b/y", Value: "1", Deadline: 7}, {Key: "b/z", Value: "4", Deadline: 7}})
	size := 0
	for i := range b.writes {
		size += b.writes[i].size()
	}
	if got != want || b.bytes != size {
		t.Errorf("%s, %d bytes\nwant %s, %d bytes", got, b.bytes, want, size)
	}
}

// A revision is never shared by two batches, however many writes it has.
func TestGatherTakesWholeRevisions(t *testing.T) {
	m := &mirror{target: &Target{key: "mark"}}
	changes := make(chan client.Response, 10)
	var events []client.Event
	for i := range 3 * batchWrites {
		events = append(events, put(fmt.Sprint(i), "v"))
	}
	changes <- client.Response{Revision: 5, Events: events[:1]}
	changes <- client.Response{Revision: 6, Events: events}
	changes <- client.Response{Revision: 7, Events: events[:1]}
	for _, want := range []struct{ revision, writes int }{{6, 3 * batchWrites}, {7, 1}} {
		b, err := m.gather(t.Context(), changes)
		if err != nil || b.revision != int64(want.revision) || len(b.writes) != want.writes {
			t.Errorf("%d writes up to %d, %v; want %v", len(b.writes), b.revision, err, want)
		}
	}
	changes <- client.Response{Err: client.ErrCompacted}
	if _, err := m.gather(t.Context(), changes); !errors.Is(err, errCompacted) {
		t.Errorf("compacted: %v", err)
	}
}

func TestBookmarks(t *testing.T) {
	mine := newBookmark("mirror", "cluster 1", "a", "\xff")
	mine.State, mine.Revision, mine.Next = copying, 7, []byte("n\x00")
	again := newBookmark("mirror", "cluster 1", "a", "\xff")
	run := again.Run
	going, err := again.adopt(&Target{seen: mine.text()})
	if !going || err != nil || again.Revision != 7 || string(again.Next) != "n\x00" || again.Run != run {
		t.Errorf("adopted %v, %v: %+v", going, err, again)
	}
	if going, err := again.adopt(&Target{}); going || err != nil {
		t.Errorf("adopted nothing: %v, %v", going, err)
	}
	for name, text := range map[string]string{
		"another source": newBookmark("mirror", "cluster 2", "a", "\xff").text(),
		"another prefix": newBookmark("mirror", "cluster 1", "", "\xff").text(),
		"an import":      newBookmark("import", "cluster 1", "a", "\xff").text(),
		"no bookmark":    "hello", "other JSON": "{}",
	} {
		b := newBookmark("mirror", "cluster 1", "a", "\xff")
		if _, err := b.adopt(&Target{seen: text, key: "k"}); !errors.Is(err, ErrBookmark) || passes(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	ends := map[string]string{"": "", "a": "b", "a\xff": "b", "\xff\xff": "", "ab\xfe": "ab\xff"}
	for prefix, end := range ends {
		if got := prefixEnd(prefix); got != end {
			t.Errorf("%q: %q, want %q", prefix, got, end)
		}
	}
}

// Patience tells once, and ends at its limit with what it waited for.
func TestPatience(t *testing.T) {
	var told []string
	p := patience{who: "the destination", limit: 200 * time.Millisecond}
	p.notice = func(s string) { told = append(told, s) }
	down := errors.New("connection refused")
	tries := 0
	for p.again(context.Background(), down) == nil {
		tries++
	}
	if tries < 2 || len(told) != 1 || !strings.Contains(told[0], "connection refused") {
		t.Errorf("%d tries, told %q", tries, told)
	}
	p.over()
	if len(told) != 2 || !strings.Contains(told[1], "takes requests again") {
		t.Errorf("told %q", told)
	}
	if err := p.again(context.Background(), refusal{down}); !errors.Is(err, down) {
		t.Errorf("a refusal is waited for: %v", err)
	}
}

func TestEtcdRecords(t *testing.T) {
	kv, err := parseKeyValue([]byte("\x0a\x03key\x10\x05\x18\x06\x20\x01\x2a\x05value\x30\xac\x02\x7d1234" +
		"\x799876543\x21"))
	if err != nil || string(kv.key) != "key" || string(kv.value) != "value" || kv.lease != 300 {
		t.Errorf("%+v, %v", kv, err)
	}
	l, err := parseLease([]byte("\x08\x07\x10\x3c\x18\x1e"))
	if err != nil || l.ID != 7 || l.Millis != 60_000 {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []string{"\x0a", "\x0a\x05key", "\x80", "\x0b", "\x7d123",
		"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if _, err := parseKeyValue([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzEtcdRecord(f *testing.F) {
	f.Add([]byte("\x0a\x03key\x10\x05\x18\x06\x20\x01\x2a\x05value\x30\xac\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kv, err := parseKeyValue(b)
		if err == nil && (!bytes.Contains(b, kv.key) || !bytes.Contains(b, kv.value)) {
			t.Errorf("%q: %+v", b, kv)
		}
	})
}
