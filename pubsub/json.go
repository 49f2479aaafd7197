package pubsub

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/redkeep/redkeep/mvcc"
)

// AppendJSON appends an event as one JSON object: the payload of a watch channel. last tells that it is
// the last one delivered of its revision. Bytes that are no UTF-8 stand in key_b64 and value_b64. It is
// written by hand: encoding/json takes ten times as long, and a watch that catches up makes hundreds of
// thousands a second.
func AppendJSON(b []byte, e *mvcc.Event, last bool) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, TypeName(e.Record.Kind())...)
	b = append(b, `",`...)
	b = appendRecord(b, e.Record)
	if e.Prev.Exists() {
		b = append(b, `,"prev":{`...)
		b = append(appendRecord(b, e.Prev), '}')
	}
	if last {
		b = append(b, `,"end":true`...)
	}
	return append(b, '}')
}

// AppendProgress appends the payload of a progress message.
func AppendProgress(b []byte, rev mvcc.Revision) []byte {
	b = append(b, `{"type":"progress","revision":`...)
	return append(appendInt(b, int64(rev)), '}')
}

// AppendGap appends the payload that stands for messages that were owed and could not be told: they were of
// revisions up to rev.
func AppendGap(b []byte, rev mvcc.Revision) []byte {
	b = append(b, `{"type":"gap","revision":`...)
	return append(appendInt(b, int64(rev)), '}')
}

// CompactedReason is the reason of a canceled message.
const CompactedReason = "required revision has been compacted"

// AppendCanceled appends the payload of the message that ends a watch.
func AppendCanceled(b []byte, compacted mvcc.Revision) []byte {
	return AppendCanceledFor(b, CompactedReason, compacted)
}

// AppendCanceledFor is AppendCanceled for another reason. REQUIRES: reason needs no escapes.
func AppendCanceledFor(b []byte, reason string, compacted mvcc.Revision) []byte {
	b = append(b, `{"type":"canceled","reason":"`+reason+`","compact_revision":`...)
	return append(appendInt(b, int64(compacted)), '}')
}

// TypeName is how an event's type is spelled.
func TypeName(k mvcc.RecordKind) string {
	switch k {
	case mvcc.KindPut:
		return "put"
	case mvcc.KindDelete:
		return "delete"
	default:
		return "expire"
	}
}

// appendRecord appends the fields of a record; those of a deleted key are its key and revision alone.
func appendRecord(b []byte, r mvcc.Record) []byte {
	b = appendText(b, "key", r.Key())
	if !r.Exists() {
		return appendInt(append(b, `,"mod_revision":`...), int64(r.ModRevision()))
	}
	b = appendText(append(b, ','), "value", r.Value())
	b = appendInt(append(b, `,"create_revision":`...), int64(r.CreateRevision()))
	b = appendInt(append(b, `,"mod_revision":`...), int64(r.ModRevision()))
	b = appendInt(append(b, `,"version":`...), r.Version())
	if lease := r.Lease(); lease != 0 {
		b = append(b, `,"lease":"`...)
		b = appendHex(b, uint64(lease))
		b = append(b, '"')
	}
	if deadline := r.Deadline(); deadline != 0 {
		b = appendInt(append(b, `,"expires":`...), int64(deadline))
	}
	return b
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendHex appends 16 hex digits.
func appendHex(b []byte, n uint64) []byte {
	text := strconv.FormatUint(n, 16)
	b = append(b, "0000000000000000"[len(text):]...)
	return append(b, text...)
}

func appendText(b []byte, name, s string) []byte {
	b = append(append(b, '"'), name...)
	if !utf8.ValidString(s) {
		b = append(b, `_b64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, '"')
	}
	b = append(b, `":"`...)
	return append(appendEscaped(b, s), '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends what stands between a JSON string's quotes. REQUIRES: s is UTF-8.
func appendEscaped(b []byte, s string) []byte {
	plain := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(b, s[plain:]...)
}
