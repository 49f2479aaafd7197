package locks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/redkeep/redkeep/mvcc"
)

// What watchers of a queue are told: one JSON object per change, on the channel of its lock or election.

// Published reports whether the change is for watchers: that somebody who waited has left is not.
func (c *Change) Published() bool { return c.Type != Left }

// Channel is `lock:<name>` or `election:<name>`.
func (c *Change) Channel() string {
	if c.Queue.Election {
		return "election:" + c.Queue.Name
	}
	return "lock:" + c.Queue.Name
}

// words are the types of changes as watchers see them, for locks and for elections.
var words = map[Type][2]string{
	Acquired: {"acquired", "elected"}, Released: {"released", "resigned"}, Lost: {"lost", "lost"},
	Value: {"proclaimed", "proclaimed"},
}

// message is a change as JSON. Bytes that are not UTF-8 are in the fields that end in _b64.
type message struct {
	Type     string        `json:"type"`
	Name     *string       `json:"name,omitempty"`
	NameB64  string        `json:"name_b64,omitempty"`
	Key      *string       `json:"key,omitempty"`
	KeyB64   string        `json:"key_b64,omitempty"`
	Token    mvcc.Revision `json:"token"`
	Lease    string        `json:"lease"`
	Value    *string       `json:"value,omitempty"`
	ValueB64 string        `json:"value_b64,omitempty"`
	Shared   *bool         `json:"shared,omitempty"`
	Revision mvcc.Revision `json:"revision"`
}

// JSON is the change's message. REQUIRES: Published.
func (c *Change) JSON() []byte {
	m := message{Token: c.Place.CreateRevision(), Lease: fmt.Sprintf("%016x", uint64(c.Place.Lease())),
		Revision: c.Revision, Type: words[c.Type][0]}
	if c.Queue.Election {
		m.Type = words[c.Type][1]
	} else {
		shared := c.Place.Mark()&mvcc.MarkShared != 0
		m.Shared = &shared
	}
	m.Name, m.NameB64 = textOrBytes(c.Queue.Name)
	m.Key, m.KeyB64 = textOrBytes(c.Place.Key())
	m.Value, m.ValueB64 = textOrBytes(c.Place.Value())
	b, err := json.Marshal(m)
	if err != nil {
		panic("locks: a change has no JSON: " + err.Error()) // strings and numbers always have
	}
	return b
}

func textOrBytes(s string) (text *string, b64 string) {
	if utf8.ValidString(s) {
		return &s, ""
	}
	return nil, base64.StdEncoding.EncodeToString([]byte(s))
}
