package migrate

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// bookmark says how far a run has come. It is kept under one key of the destination, as JSON, and written in
// the transactions that write the keys.
type bookmark struct {
	Kind     string `json:"kind"`   // import or mirror
	Source   string `json:"source"` // a file, by its checksum, or a cluster
	From     []byte `json:"prefix,omitempty"`
	To       []byte `json:"dest_prefix,omitempty"`
	Done     int64  `json:"done,omitempty"`     // import: strings of the file that are dealt with
	State    state  `json:"state,omitempty"`    // mirror
	Revision int64  `json:"revision,omitempty"` // mirror: of the source
	Next     []byte `json:"next,omitempty"`     // mirror, while copying: keys before it are there
	Part     int64  `json:"part,omitempty"`     // tells apart transactions that leave the rest as it is
	Run      string `json:"run"`                // whose it is
}

// state is what a mirror is doing.
type state string

const (
	cleaning  state = "clean"  // keys that the source does not have at Revision are removed
	copying   state = "copy"   // keys are copied as they were at Revision
	following state = "follow" // everything up to Revision is there
)

// newBookmark begins a task, as a run that no other is called like.
func newBookmark(kind, source, from, to string) bookmark {
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	return bookmark{
		Kind: kind, Source: source, From: []byte(from), To: []byte(to), Run: hex.EncodeToString(run[:]),
	}
}

func (b bookmark) text() string {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings, bytes and numbers
	}
	return string(text)
}

// adopt reads the destination's bookmark. It returns false if there is none, and an error if it is not of the
// same kind, source and prefixes as b.
func (b *bookmark) adopt(t *Target) (bool, error) {
	if t.seen == "" {
		return false, nil
	}
	var have bookmark
	if err := json.Unmarshal([]byte(t.seen), &have); err != nil || have.Kind == "" {
		return false, refusef("%w: the key %q is no bookmark; choose another key with --state-key",
			ErrBookmark, t.key)
	}
	if have.String() != b.String() {
		return false, refusef("%w: the key %q is the bookmark of %s; let that end, or delete the key if it was "+
			"given up, or choose another key with --state-key", ErrBookmark, t.key, have)
	}
	run := b.Run
	*b = have
	b.Run = run
	return true, nil
}

// String names what the bookmark belongs to; it is the same for all bookmarks of one task.
func (b bookmark) String() string {
	return fmt.Sprintf("the %s of %s, prefix %q to %q", b.Kind, b.Source, b.From, b.To)
}
