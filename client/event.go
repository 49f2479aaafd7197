package client

import (
	"encoding/json"
	"fmt"
)

// Revision numbers the states of the store.
type Revision int64

// EventType tells what happened to a key.
type EventType string

// The types of events.
const (
	Put    EventType = "put"
	Delete EventType = "delete" // by a command; also when a lease was revoked that it was on
	Expire EventType = "expire" // its deadline passed, or its lease ran out
)

// Record is one version of one key. Of a key that was deleted only Key and ModRevision are set.
type Record struct {
	Key, Value     []byte
	CreateRevision Revision
	ModRevision    Revision
	Version        int64
	Lease          string // 16 hex digits; empty for none
	Expires        int64  // Unix milliseconds; 0 for never
}

// Event is one change of one key.
type Event struct {
	Type   EventType
	Record Record
	Prev   *Record // with WithPrev: the record before, nil if there was none or it is compacted
}

// message is the payload of a watch channel.
type message struct {
	Type     string
	Revision Revision // progress
	Reason   string   // canceled
	Compact  Revision `json:"compact_revision"`
	End      bool
	Prev     *recordJSON
	recordJSON
}

type recordJSON struct {
	Key      *string
	Value    *string
	KeyB64   []byte   `json:"key_b64"`
	ValueB64 []byte   `json:"value_b64"`
	Create   Revision `json:"create_revision"`
	Mod      Revision `json:"mod_revision"`
	Version  int64
	Lease    string
	Expires  int64
}

func parseMessage(payload string) (m message, err error) {
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		return m, fmt.Errorf("client: malformed watch message: %w", err)
	}
	return m, nil
}

func (r *recordJSON) record() Record {
	return Record{
		Key: textOr(r.Key, r.KeyB64), Value: textOr(r.Value, r.ValueB64), CreateRevision: r.Create,
		ModRevision: r.Mod, Version: r.Version, Lease: r.Lease, Expires: r.Expires,
	}
}

func textOr(text *string, raw []byte) []byte {
	if text != nil {
		return []byte(*text)
	}
	return raw
}

func (m *message) event() Event {
	e := Event{Type: EventType(m.Type), Record: m.record()}
	if m.Prev != nil {
		prev := m.Prev.record()
		e.Prev = &prev
	}
	return e
}
