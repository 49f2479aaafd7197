package migrate

import (
	"encoding/binary"
	"errors"
)

// What etcd keeps in its buckets is protobuf: fields of a number and a kind, in any order. Those we need:
//
//	KeyValue: 1 key, 5 value, 6 lease          Lease: 1 id, 2 TTL in seconds

// errRecord: a record is no protobuf.
var errRecord = errors.New("malformed record")

// protobuf kinds.
const (
	kindVarint = 0
	kind64     = 1
	kindBytes  = 2
	kind32     = 5
)

type etcdRecord struct {
	key, value []byte
	lease      uint64
}

func parseKeyValue(b []byte) (kv etcdRecord, err error) {
	err = fieldsIn(b, func(number, n uint64, body []byte) {
		switch number {
		case 1:
			kv.key = body
		case 5:
			kv.value = body
		case 6:
			kv.lease = n
		}
	})
	return kv, err
}

func parseLease(b []byte) (*Lease, error) {
	l := &Lease{}
	err := fieldsIn(b, func(number, n uint64, _ []byte) {
		switch number {
		case 1:
			l.ID = n
		case 2:
			l.Millis = int64(min(n, longestLease/1000)) * 1000
		}
	})
	return l, err
}

// fieldsIn calls fn for each field, with its number, or its bytes.
func fieldsIn(b []byte, fn func(number, n uint64, body []byte)) error {
	for len(b) > 0 {
		tag, used := binary.Uvarint(b)
		if used <= 0 {
			return errRecord
		}
		var n uint64
		var body []byte
		if n, body, b = field(tag&7, b[used:]); b == nil {
			return errRecord
		}
		fn(tag>>3, n, body)
	}
	return nil
}

// field takes one field; rest is nil if it is malformed.
func field(kind uint64, b []byte) (n uint64, body, rest []byte) {
	switch kind {
	case kindVarint, kindBytes:
		n, used := binary.Uvarint(b)
		if used <= 0 || kind == kindBytes && n > uint64(len(b)-used) {
			return 0, nil, nil
		}
		if kind == kindVarint {
			return n, nil, b[used:]
		}
		return n, b[used : used+int(n)], b[used+int(n):]
	case kind64, kind32:
		size := 8
		if kind == kind32 {
			size = 4
		}
		if len(b) >= size {
			return 0, nil, b[size:]
		}
	}
	return 0, nil, nil
}
