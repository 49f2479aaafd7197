package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unique"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// A watchForm is one way to ask for changes: the command, what it must tell, and how a frame reads.
type watchForm struct {
	name  string
	resp3 bool
	whole bool // every change of every key of the partitions
	prev  bool // with the record before
	slow  bool // reads now and then only, so that its queue overflows
	args  func(from int64) []string
	wants func(key string, exists bool) bool
	read  func(r wire.Reply) ([]told, error)
}

func everything(string, bool) bool { return true }

// watchForms are the watchers of each node. Together they go through every way in which the hub finds the
// watches of a key and makes their frames.
var watchForms = []*watchForm{
	{name: "KV.WATCH", resp3: true, whole: true, prev: true, wants: everything, read: readFrame,
		args: func(from int64) []string {
			return []string{"KV.WATCH", "p", "PREFIX", "REV", strconv.FormatInt(from, 10), "PREV", "PROGRESS", "100"}
		}},
	{name: "SUBSCRIBE", whole: true, prev: true, wants: everything, read: readMessage,
		args: func(from int64) []string {
			return []string{"SUBSCRIBE", fmt.Sprintf("watch;prefix;rev=%d;prev;progress=100:p", from)}
		}},
	{name: "PSUBSCRIBE", resp3: true, read: readMessage,
		wants: func(key string, exists bool) bool { return exists && strings.HasSuffix(key, ":2") },
		args: func(from int64) []string {
			return []string{"PSUBSCRIBE", fmt.Sprintf("watch;rev=%d;nodel;progress=100:p*:2", from)}
		}},
	{name: "slow KV.WATCH", whole: true, slow: true, wants: everything, read: readFrame,
		args: func(from int64) []string {
			return []string{"KV.WATCH", "", "PREFIX", "REV", strconv.FormatInt(from, 10), "PROGRESS", "100"}
		}},
}

// told is one thing a watcher was told, or did.
type told struct {
	kind      toldKind
	revision  int64
	partition int // of an event; -1 for a key that is none of the clients'
	text      unique.Handle[string]
	prev      unique.Handle[string]
	end       bool // the last event of its revision
}

type toldKind uint8

const (
	asked    toldKind = iota // the watch was asked for, from revision on
	event                    //
	progress                 // everything up to revision has been told
	canceled                 // history below revision is compacted
	broke                    // the connection is gone
)

// String renders it for a failure message.
func (t told) String() string {
	switch t.kind {
	case event:
		return fmt.Sprintf("revision %d: %s (before: %s, end: %v)", t.revision, t.text.Value(), t.prev.Value(),
			t.end)
	default:
		names := [...]string{"asked from", "", "progress", "canceled", "broke"}
		return fmt.Sprintf("%s %d", names[t.kind], t.revision)
	}
}

var errFrame = errors.New("a frame that no watch may send")

// readFrame reads a push of KV.WATCH: a revision with its events, or none for progress.
func readFrame(r wire.Reply) ([]told, error) {
	if len(r.Elems) != 4 {
		return nil, fmt.Errorf("%w: %s", errFrame, r)
	}
	if r.Elems[0].Text == "watch-canceled" {
		return []told{{kind: canceled, revision: r.Elems[3].Int()}}, nil
	}
	rev := r.Elems[2].Int()
	events := r.Elems[3].Elems
	if r.Elems[0].Text != "watch" || rev == 0 {
		return nil, fmt.Errorf("%w: %s", errFrame, r)
	}
	if len(events) == 0 {
		return []told{{kind: progress, revision: rev}}, nil
	}
	out := make([]told, len(events))
	for i, e := range events {
		if len(e.Elems) != 3 {
			return nil, fmt.Errorf("%w: %s", errFrame, r)
		}
		c := changeOf(e.Elems[0].Text, e.Elems[1])
		out[i] = c.told(rev, i == len(events)-1)
		if !e.Elems[2].Null {
			out[i].prev = unique.Make(changeOf("put", e.Elems[2]).text())
		}
	}
	return out, nil
}

// change is what an event says of a key, in either form.
type change struct {
	Type    string
	Key     string
	Value   string
	Create  int64 `json:"create_revision"`
	Mod     int64 `json:"mod_revision"`
	Version int64
	Lease   string
	Expires int64
}

// message is the payload of a watch channel.
type message struct {
	change
	Prev     *change
	End      bool
	Revision int64
	Compact  int64 `json:"compact_revision"`
}

// readMessage reads a message of a watch channel.
func readMessage(r wire.Reply) ([]told, error) {
	if n := len(r.Elems); n < 3 || r.Elems[0].Text != "message" && r.Elems[0].Text != "pmessage" {
		return nil, fmt.Errorf("%w: %s", errFrame, r)
	}
	var m message
	payload := r.Elems[len(r.Elems)-1].Text
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errFrame, payload, err)
	}
	switch m.Type {
	case "progress":
		return []told{{kind: progress, revision: m.Revision}}, nil
	case "canceled":
		return []told{{kind: canceled, revision: m.Compact}}, nil
	}
	t := m.change.told(m.Mod, m.End)
	if m.Prev != nil {
		m.Prev.Type = "put"
		t.prev = unique.Make(m.Prev.text())
	}
	return []told{t}, nil
}

// changeOf reads a record in the form of KV.GET.
func changeOf(kind string, r wire.Reply) change {
	text := func(name string) string {
		f, _ := r.Field(name)
		return f.Text
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(text(name), 10, 64)
		return n
	}
	return change{Type: kind, Key: text("key"), Value: text("value"), Create: number("create_revision"),
		Mod: number("mod_revision"), Version: number("version"), Lease: text("lease"), Expires: number("expires")}
}

// text is the same for equal changes, whoever tells them. What a channel does not say of a deleted key is
// left out; a value of no client is not kept.
func (r change) text() string {
	switch {
	case partitionOf(r.Key) < 0:
		return r.Type + " " + r.Key
	case r.Type != "put":
		return fmt.Sprintf("%s %s at %d", r.Type, r.Key, r.Mod)
	}
	return fmt.Sprintf("put %s=%s create %d mod %d version %d lease %q expires %d", r.Key, r.Value, r.Create,
		r.Mod, r.Version, r.Lease, r.Expires)
}

func (r change) told(revision int64, end bool) told {
	return told{kind: event, revision: revision, partition: partitionOf(r.Key), text: unique.Make(r.text()),
		prev: unique.Make(""), end: end}
}

// partitionOf is the partition that a key belongs to; -1 for none.
func partitionOf(key string) int {
	number, _, ok := strings.Cut(strings.TrimPrefix(key, "p"), ":")
	p, err := strconv.Atoi(number)
	if !ok || err != nil || p < 0 || !strings.HasPrefix(key, "p") {
		return -1
	}
	return p
}
