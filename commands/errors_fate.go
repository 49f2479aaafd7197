package commands

import (
	"errors"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// Which text tells of what became of a request: of one in the log, of reads, of renewals, of changes of the
// membership, and of what was not even tried.

// writeFate is the text for a submission that has no results.
func (d *Dispatcher) writeFate(err error, bytes int) error {
	switch {
	case errors.Is(err, raftfsm.ErrNoLeader):
		return errNoLeader
	case errors.Is(err, raftfsm.ErrBusy):
		return errBusy
	case errors.Is(err, raftfsm.ErrTooLarge):
		return errTooLarge(bytes, d.cfg.MaxRequestBytes)
	case errors.Is(err, raftfsm.ErrClosed):
		return errClosing
	default:
		return errDoubtful // the only safe thing to say of what is not known to be undone
	}
}

// readFate is the text for reads that could not be confirmed. A read changes nothing, so it may be
// repeated.
func readFate(err error) error {
	switch {
	case errors.Is(err, raftfsm.ErrNoLeader):
		return errNoLeader
	case errors.Is(err, raftfsm.ErrClosed):
		return errClosing
	case errors.Is(err, raftfsm.ErrBehind):
		return errBehind
	default:
		return errReadFailed
	}
}

// renewalFate is the text for renewals that were not answered.
func renewalFate(err error) error {
	if errors.Is(err, raftfsm.ErrUnconfirmed) {
		return errRenewal
	}
	return readFate(err)
}

// removedTrouble is what CLUSTER.STATUS says of a member that was removed.
const removedTrouble = "this member was removed from the cluster"

// changeFate is the text for a change that was not made, or may not have been.
func changeFate(err error) error {
	var refused cluster.RefusedChange
	switch {
	case errors.As(err, &refused):
		return clientError("ERR " + string(refused))
	case errors.Is(err, raftfsm.ErrNoLeader), errors.Is(err, raftfsm.ErrClosed):
		return readFate(err)
	default:
		return errDoubtfulChange
	}
}

// refusal is the text for writes that grow the state while the node takes none.
func refusal(err error) error {
	switch {
	case errors.Is(err, raftfsm.ErrDiskFull):
		return errDiskFull
	case errors.Is(err, raftfsm.ErrLeaderDiskFull):
		return errLeaderDiskFull
	}
	return errOOM
}
