package raftfsm

import (
	"encoding/binary"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
)

// The requests about leases, in version 1 of the log format (codec.go):
//
//	LeaseGrant      = u64 id, uvarint ttl ms
//	LeaseRevoke     = u8 0, u64 id                                   by a client
//	                  u8 1, uvarint n, ref × n                       their time is over
//	LeaseCheckpoint = u8 0, uvarint lease time, uvarint n, (ref, uvarint ms left) × n
//	                  u8 1, uvarint n, ref × n                       renewals
//	ref             = u64 id, uvarint grant, uvarint renewal
const (
	revokeByClient = 0
	revokeExpired  = 1

	checkpointTime   = 0
	checkpointRenews = 1
)

// AddLeaseGrant asks for a lease. Its result has one operation, whose Err may be mvcc.ErrLeaseExists.
func (s *Submission) AddLeaseGrant(id mvcc.LeaseID, ttl lease.Millis) {
	s.add(ReqLeaseGrant, func(b []byte) []byte {
		return binary.AppendUvarint(binary.BigEndian.AppendUint64(b, uint64(id)), uint64(ttl))
	})
}

// AddLeaseRevoke asks for the end of a lease. Its result has one operation: N is the number of keys
// deleted, Err may be mvcc.ErrNoLease.
func (s *Submission) AddLeaseRevoke(id mvcc.LeaseID) {
	s.add(ReqLeaseRevoke, func(b []byte) []byte {
		return binary.BigEndian.AppendUint64(append(b, revokeByClient), uint64(id))
	})
}

func (s *Submission) addLeaseExpire(refs []lease.Ref) {
	s.add(ReqLeaseRevoke, func(b []byte) []byte { return appendRefs(append(b, revokeExpired), refs) })
}

// addLeaseRenew's result has one operation per lease; N is 1 if it is renewed.
func (s *Submission) addLeaseRenew(refs []lease.Ref) {
	s.add(ReqLeaseCheckpoint, func(b []byte) []byte { return appendRefs(append(b, checkpointRenews), refs) })
}

func (s *Submission) addCheckpoint(at lease.Millis, marks []lease.Mark) {
	s.add(ReqLeaseCheckpoint, func(b []byte) []byte {
		b = binary.AppendUvarint(append(b, checkpointTime), uint64(at))
		b = binary.AppendUvarint(b, uint64(len(marks)))
		for _, m := range marks {
			b = binary.AppendUvarint(appendRef(b, m.Ref), uint64(m.Left))
		}
		return b
	})
}

func appendRefs(b []byte, refs []lease.Ref) []byte {
	b = binary.AppendUvarint(b, uint64(len(refs)))
	for _, ref := range refs {
		b = appendRef(b, ref)
	}
	return b
}

func appendRef(b []byte, ref lease.Ref) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(ref.ID))
	return binary.AppendUvarint(binary.AppendUvarint(b, ref.Seq), ref.Gen)
}

const refBytes = 10 // at least

func (r *reader) ref() lease.Ref {
	return lease.Ref{ID: mvcc.LeaseID(r.u64()), Seq: r.uvarint(), Gen: r.uvarint()}
}

func (r *reader) refs() []lease.Ref {
	n := r.count(refBytes)
	refs := make([]lease.Ref, 0, n)
	for range n {
		refs = append(refs, r.ref())
	}
	return refs
}

func (r *reader) millis() lease.Millis {
	v := r.uvarint()
	if v > 1<<63-1 {
		r.fail("time out of range")
		return 0
	}
	return lease.Millis(v)
}

func (r *reader) marks() []lease.Mark {
	n := r.count(refBytes + 1)
	marks := make([]lease.Mark, 0, n)
	for range n {
		marks = append(marks, lease.Mark{Ref: r.ref(), Left: r.millis()})
	}
	return marks
}
