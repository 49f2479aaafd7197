package raftfsm

// The reserved lane. What clients write may fill the queue, and then gets BUSY; what keeps the cluster and
// its leases alive must still find room behind it: renewals and ends of leases, expiries, members, users, the
// start of a term. It is little, so a sixteenth of the queue is kept free for it.
const laneShare = 16

// room is how much may be queued when s has come.
func (l *limits) room(s *Submission) int64 {
	switch RequestKind(s.buf[0]) {
	case ReqTxn, ReqPublish, ReqLeaseGrant:
		return l.queueBytes - l.queueBytes/laneShare
	default:
		return l.queueBytes
	}
}
