package raftfsm

import (
	"encoding/binary"
	"errors"

	"github.com/redkeep/redkeep/cluster"
)

// A change on its way between members, with the integers and strings of the log format:
//
//	change  = u8 kind, u64 id, u64 replaced id, bytes name, bytes address, u8 learner
//	outcome = u8 verdict, then for changeDone u64 id, for changeRefused the text of the refusal
//
// Values are never renumbered: members of different versions talk.

// changeVerdict is the first byte of an outcome.
type changeVerdict byte

const (
	changeDone changeVerdict = iota
	changeRefused
	changeElsewhere // the member asked does not lead: nothing was done
	changeUncertain
	changeNoLeader
)

func (c Change) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{byte(c.Kind)}, uint64(c.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Replace))
	b = appendBytes(appendBytes(b, c.Name), c.Addr)
	if c.Learner {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeChange(b []byte) (c Change, err error) {
	r := reader{b: b}
	c.Kind = ChangeKind(r.enum("change", byte(ChangeAdd), byte(ChangeAnnounce)))
	c.ID, c.Replace = cluster.MemberID(r.u64()), cluster.MemberID(r.u64())
	c.Name, c.Addr = r.bytes(), r.bytes()
	c.Learner = r.enum("learner", 0, 1) == 1
	return c, r.end()
}

func encodeOutcome(id cluster.MemberID, err error) []byte {
	var refused cluster.RefusedChange
	switch {
	case err == nil:
		return binary.BigEndian.AppendUint64([]byte{byte(changeDone)}, uint64(id))
	case errors.As(err, &refused):
		return append([]byte{byte(changeRefused)}, refused...)
	case errors.Is(err, errElsewhere):
		return []byte{byte(changeElsewhere)}
	case errors.Is(err, ErrNoLeader):
		return []byte{byte(changeNoLeader)}
	default:
		return []byte{byte(changeUncertain)}
	}
}

// outcomeOf reads an outcome. A request that certainly did not arrive is asked again.
func outcomeOf(b []byte, err error) (cluster.MemberID, error) {
	switch {
	case errors.Is(err, cluster.ErrPeerUnreachable):
		return 0, ErrUncertain
	case err != nil:
		return 0, errElsewhere
	case len(b) == 9 && changeVerdict(b[0]) == changeDone:
		return cluster.MemberID(binary.BigEndian.Uint64(b[1:])), nil
	case len(b) > 1 && changeVerdict(b[0]) == changeRefused:
		return 0, cluster.RefusedChange(b[1:])
	case len(b) == 1 && changeVerdict(b[0]) == changeElsewhere:
		return 0, errElsewhere
	case len(b) == 1 && changeVerdict(b[0]) == changeNoLeader:
		return 0, ErrNoLeader
	default:
		return 0, ErrUncertain
	}
}
