package pubsub

import (
	"strings"

	"github.com/redkeep/redkeep/mvcc"
)

// Notify says which keyspace notifications are sent: Redis's notify-keyspace-events.
type Notify uint32

// The classes, in the order of Redis's letters.
const (
	NotifyKeyspace Notify = 1 << iota
	NotifyKeyevent
	NotifyGeneric
	NotifyString
	NotifyList
	NotifySet
	NotifyHash
	NotifyZset
	NotifyExpired
	NotifyEvicted
	NotifyStream
	NotifyModule
	NotifyMiss
	NotifyNew
)

// notifyLetters are the letters of the classes, in the order of their bits.
const notifyLetters = "KEg$lshzxetdmn"

// notifyAll is the letter A: everything but K, E, misses and new keys.
const notifyAll = NotifyGeneric | NotifyString | NotifyList | NotifySet | NotifyHash | NotifyZset |
	NotifyExpired | NotifyEvicted | NotifyStream | NotifyModule

// ParseNotify reads the letters; ok is false for one that Redis does not know.
func ParseNotify(text string) (n Notify, ok bool) {
	for i := range len(text) {
		at := strings.IndexByte(notifyLetters, text[i])
		switch {
		case text[i] == 'A':
			n |= notifyAll
		case at < 0:
			return 0, false
		default:
			n |= 1 << at
		}
	}
	return n, true
}

// String writes the classes as CONFIG GET does.
func (n Notify) String() string {
	var b strings.Builder
	classes := "g$lshzxetdn"
	if n&notifyAll == notifyAll {
		b.WriteByte('A')
		classes = ""
	}
	for _, letter := range []byte(classes + notifyTail) {
		if n&(1<<strings.IndexByte(notifyLetters, letter)) != 0 {
			b.WriteByte(letter)
		}
	}
	return b.String()
}

// notifyTail are the letters behind the classes. New keys are not shown beside A: Redis forgets them there.
const notifyTail = "KEm"

// SetNotify chooses the keyspace notifications of this member.
func (h *Hub) SetNotify(n Notify) { h.notify.Store(uint32(n)) }

// Notify returns the keyspace notifications of this member.
func (h *Hub) Notify() Notify { return Notify(h.notify.Load()) }

// name is one event's name and class.
type name struct {
	name  string
	class Notify
}

// namesOf returns the names that Redis gives a change, in the order in which it sends them.
func namesOf(e *mvcc.Event) (names [3]name, n int) {
	add := func(text string, class Notify) { names[n], n = name{text, class}, n+1 }
	switch kind := e.Record.Kind(); {
	case kind == mvcc.KindExpire:
		add("expired", NotifyExpired)
		return names, n
	case kind == mvcc.KindDelete:
		add(deleteName(e.Cause), NotifyGeneric)
		return names, n
	case !e.Prev.Exists():
		add("new", NotifyNew)
	}
	add(putName(e.Cause))
	if e.Cause.Deadline {
		add("expire", NotifyGeneric)
	}
	return names, n
}

// deleteName names a deletion: by a deadline in the past, too, it is "del".
func deleteName(c mvcc.Cause) string {
	if c.Op == mvcc.OpModify && c.Modify == mvcc.ModifyMove {
		return "rename_from"
	}
	return "del"
}

// putName names a change of a value. A kind of modification that Redis has a name for stands here.
func putName(c mvcc.Cause) (string, Notify) {
	if c.Op != mvcc.OpModify {
		return "set", NotifyString
	}
	switch c.Modify {
	case mvcc.ModifyIncrBy:
		return "incrby", NotifyString
	case mvcc.ModifyAppend:
		return "append", NotifyString
	case mvcc.ModifySetDeadline:
		return "expire", NotifyGeneric
	case mvcc.ModifyPersist:
		return "persist", NotifyGeneric
	case mvcc.ModifyIncrByFloat:
		return "incrbyfloat", NotifyString
	case mvcc.ModifySetRange:
		return "setrange", NotifyString
	case mvcc.ModifySetBit, mvcc.ModifyBitfield:
		return "setbit", NotifyString
	case mvcc.ModifyMove:
		return "rename_to", NotifyGeneric
	case mvcc.ModifyCopy:
		return "copy_to", NotifyGeneric
	default:
		return "set", NotifyString
	}
}
