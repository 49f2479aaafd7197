package cluster

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Whom a message of raft's is for.
//
// raft's messages do not say whom they are for, and its transport keeps idle connections by address. But at
// an address another member may answer than the one that is meant: one that lost its data came back under a
// new id, say. It would vote and acknowledge in the name of the one that is counted; or be given what the
// leader still had for the other, such as a snapshot in the midst of the entries behind it.
//
// Idea: what raft's transport takes for an address names the member, too: id@host:port. So it has a pool of
// connections for each member, and whoever dials asks at the handshake for that member and nobody else.
//
// Rejected: raft's ServerAddressProvider, which is not told the address and would have to look in a
// configuration that no longer has a member to whom raft still says goodbye. Drawback: connections to a
// member that another has replaced stay in the pool, a few per member, until this process ends.
type addressee struct{ *raft.NetworkTransport }

func (t addressee) AppendEntries(
	id raft.ServerID, at raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse,
) error {
	return t.NetworkTransport.AppendEntries(id, memberAt(id, at), args, resp)
}

func (t addressee) RequestVote(
	id raft.ServerID, at raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse,
) error {
	return t.NetworkTransport.RequestVote(id, memberAt(id, at), args, resp)
}

func (t addressee) RequestPreVote(
	id raft.ServerID, at raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse,
) error {
	return t.NetworkTransport.RequestPreVote(id, memberAt(id, at), args, resp)
}

func (t addressee) InstallSnapshot(
	id raft.ServerID, at raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader,
) error {
	return t.NetworkTransport.InstallSnapshot(id, memberAt(id, at), args, resp, data)
}

func (t addressee) TimeoutNow(
	id raft.ServerID, at raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse,
) error {
	return t.NetworkTransport.TimeoutNow(id, memberAt(id, at), args, resp)
}

// memberAt is a member and where it is, as raftStream.Dial takes them.
func memberAt(id raft.ServerID, at raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + at
}

// Dial connects to the member that is named in front of the address, and to nobody else.
func (s *raftStream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	name, addr, _ := strings.Cut(string(to), "@")
	id := parseMember(raft.ServerID(name))
	if id == 0 {
		return nil, fmt.Errorf("%w: raft dials %q, which names no member", errBadHello, to)
	}
	return s.dial(leadRaft, addr, id, timeout)
}
