package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Changes of the membership, as the leader makes them.
//
// Idea. raft makes every change that is asked of it and uses the new configuration from the moment it is in
// the log, before it is committed. A change that leaves fewer members at work than the new configuration
// needs can therefore not even be taken back: its own entry never commits. So each is weighed first, by
// asking the members who is there now, and refused with what to do instead.
//
// Invariants:
//
//	M1  A change is weighed against one configuration and made to that one (raft's prevIndex), so two changes
//	    at once cannot add up to what neither would be allowed.
//	M2  After a change, the voters that answered just before it are a majority of the new configuration.
//	M3  A new member is a learner; it becomes a voter only when it has what the leader has.
//	M4  A leader never removes itself: it hands over first, and the next leader removes it. raft would let it
//	    go on until the entry is committed, and then leave the others to an election.
//
// Rejected: raft's own AddVoter for a new address (one wrong digit in it stops a cluster of one or two for
// good); trusting the last heartbeats instead of asking (a member that was paused a moment ago counts as
// there). The drawback: a change costs a round of questions, a second of waiting if somebody is away.

// RefusedChange is the reason why a change was not made. Nothing has been changed.
type RefusedChange string

func (e RefusedChange) Error() string { return string(e) }

// Refusef makes a RefusedChange.
func Refusef(format string, args ...any) error { return RefusedChange(fmt.Sprintf(format, args...)) }

const (
	// aliveTimeout is how long a member may take to show that it is there: longer than a link rests between two
	// attempts to dial.
	aliveTimeout = backoffMax + 500*time.Millisecond
	askAgain     = 100 * time.Millisecond
)

// plan is the configuration that a change is weighed against.
type plan struct {
	index   uint64
	members []Member
}

// AddLearner adds a member that does not vote. REQUIRES: id was never used before, or belongs to a learner
// that was added under it.
func (n *Node) AddLearner(ctx context.Context, id MemberID, addr string) error {
	p, err := n.plan(ctx)
	if err != nil {
		return err
	}
	if other := p.at(addr); other != nil && other.ID != id {
		return Refusef("%s is the peer address of %s already", addr, other)
	}
	return n.make(ctx, n.raft.AddNonvoter(id.serverID(), raft.ServerAddress(addr), p.index, n.patience(ctx)))
}

// Promote makes a learner a voter. Whether it has caught up is for the caller to know (M3).
func (n *Node) Promote(ctx context.Context, id MemberID) error {
	p, err := n.plan(ctx)
	if err != nil {
		return err
	}
	m, err := p.find(id)
	switch {
	case err != nil:
		return err
	case m.Voter:
		return Refusef("%s is a voter already", m)
	}
	alive := n.Alive(ctx, p.members)
	if !alive[id] {
		return Refusef("%s does not answer: as a voter it would only count as missing; start it, or remove it", m)
	}
	voters := append(p.voters(), *m)
	if up := count(voters, alive); up < majority(len(voters)) {
		return Refusef("of the %d voters there would be, %d answer, and a majority of %d is needed: "+
			"start the others (%s), or remove them first", len(voters), up, majority(len(voters)),
			missing(voters, alive))
	}
	addr := raft.ServerAddress(m.Addr)
	return n.make(ctx, n.raft.AddVoter(id.serverID(), addr, p.index, n.patience(ctx)))
}

// Remove removes a member for good. On the member itself it answers ErrHandOverFirst (M4).
func (n *Node) Remove(ctx context.Context, id MemberID) error {
	p, err := n.plan(ctx)
	if err != nil {
		return err
	}
	m, err := p.find(id)
	if err == nil && m.Voter {
		err = n.weighRemoval(ctx, p, m)
	}
	switch {
	case err != nil:
		return err
	case id == n.self:
		return ErrHandOverFirst
	}
	return n.make(ctx, n.raft.RemoveServer(id.serverID(), p.index, n.patience(ctx)))
}

// weighRemoval refuses to remove a voter whose absence the others could not bear.
func (n *Node) weighRemoval(ctx context.Context, p plan, m *Member) error {
	rest := slices.DeleteFunc(p.voters(), func(o Member) bool { return o.ID == m.ID })
	if len(rest) == 0 {
		return Refusef("%s is the only voter: without it there is no cluster. Add another member first, "+
			"or stop the node", m)
	}
	alive := n.Alive(ctx, p.members)
	if up := count(rest, alive); up < majority(len(rest)) {
		return Refusef("without %s there would be %d voters, of which %d answer, and a majority of %d is needed: "+
			"start the others (%s), or remove them first", m, len(rest), up, majority(len(rest)),
			missing(rest, alive))
	}
	return nil
}

// Readdress changes the address that others dial a member at.
func (n *Node) Readdress(ctx context.Context, id MemberID, addr string) error {
	p, err := n.plan(ctx)
	if err != nil {
		return err
	}
	m, err := p.find(id)
	switch {
	case err != nil:
		return err
	case m.Addr == addr:
		return nil
	}
	if other := p.at(addr); other != nil {
		return Refusef("%s is the peer address of %s", addr, other)
	}
	if err := n.weighAddress(ctx, p, m, addr); err != nil {
		return err
	}
	if to := raft.ServerAddress(addr); m.Voter {
		return n.make(ctx, n.raft.AddVoter(id.serverID(), to, p.index, n.patience(ctx)))
	} else {
		return n.make(ctx, n.raft.AddNonvoter(id.serverID(), to, p.index, n.patience(ctx)))
	}
}

// weighAddress refuses an address where somebody else answers, and one where nobody does if the cluster
// cannot go on without the member until it comes there.
func (n *Node) weighAddress(ctx context.Context, p plan, m *Member, addr string) error {
	who, err := n.Probe(addr)
	switch {
	case err == nil && who == m.ID:
		return nil
	case err == nil:
		return Refusef("at %s another member answers, %s, not %s", addr, who, m)
	case errors.Is(err, errBadHello):
		return Refusef("what answers at %s is not %s (%v)", addr, m, err)
	case !m.Voter:
		return nil
	}
	rest := slices.DeleteFunc(p.voters(), func(o Member) bool { return o.ID == m.ID })
	if up := count(rest, n.Alive(ctx, p.members)); up < majority(len(rest)+1) {
		return Refusef("nobody answers at %s, and without %s there is no majority: restart it with "+
			"--advertise-peer-addr %s instead, it then tells the others", addr, m, addr)
	}
	return nil
}

// MoveLeader hands leadership to one voter and returns once it leads.
func (n *Node) MoveLeader(ctx context.Context, id MemberID) error {
	p, err := n.plan(ctx)
	if err != nil {
		return err
	}
	m, err := p.find(id)
	switch {
	case err != nil:
		return err
	case id == n.self:
		return nil
	case !m.Voter:
		return Refusef("%s is a learner and cannot lead: promote it first", m)
	case !n.Alive(ctx, p.members)[id]:
		return Refusef("%s does not answer: choose another member", m)
	}
	changed, stop := n.changes.subscribe()
	defer stop()
	n.raft.LeadershipTransferToServer(id.serverID(), raft.ServerAddress(m.Addr))
	leads := func() bool { leader, _, _ := n.Leader(); return leader == id }
	if waitUntil(ctx, changed, 2*n.cfg.ElectionTimeout, leads) {
		return nil
	}
	if leader, _, ok := n.Leader(); ok {
		return Refusef("%s did not take over in time; %s leads", m, leader)
	}
	return ErrNoHandOver
}

// Probe returns who of this cluster answers at addr, member of it or not.
func (n *Node) Probe(addr string) (MemberID, error) {
	h, err := n.mux.whoIs(addr)
	if err == nil {
		err = n.mux.accept(h)
	}
	if err != nil {
		return 0, err
	}
	return h.member, nil
}

// Alive asks every member of the list and returns those that answered, this node included. One that cannot be
// asked is asked again until time is up: it may be that nobody has dialled it since it came back.
func (n *Node) Alive(ctx context.Context, list []Member) map[MemberID]bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	alive, open := map[MemberID]bool{n.self: true}, 0
	answers := make(chan MemberID, len(list))
	for _, m := range list {
		if m.ID != n.self {
			open++
			go func() { answers <- n.askUntil(ctx, m.ID) }()
		}
	}
	for ; open > 0; open-- {
		alive[<-answers] = true
	}
	delete(alive, 0)
	return alive
}

// askUntil returns the member's id once it answers, 0 if it does not before ctx ends.
func (n *Node) askUntil(ctx context.Context, id MemberID) MemberID {
	for {
		answered := make(chan error, 1)
		n.peers.send(id, kindTerm, nil, func(_ []byte, err error) { answered <- err })
		select {
		case err := <-answered:
			if err == nil {
				return id
			}
		case <-ctx.Done():
			return 0
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return 0
		}
	}
}

// plan returns the latest configuration once it is committed.
func (n *Node) plan(ctx context.Context) (plan, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return plan{}, err
	}
	if !n.IsLeader() {
		return plan{}, raft.ErrNotLeader
	}
	return plan{f.Index(), n.membersOf(f.Configuration())}, ctx.Err()
}

// make waits for a change. raft's future is not waited for longer than ctx: it may never be done
// (hashicorp/raft issue 498).
func (n *Node) make(ctx context.Context, f raft.IndexFuture) error {
	done := make(chan error, 1)
	n.proposals.watch(f, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patience is how long a change may wait for its turn.
func (n *Node) patience(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Until(end), time.Millisecond)
	}
	return n.cfg.ElectionTimeout
}

// SetNames sets where the names of members come from that are not in the initial list.
func (n *Node) SetNames(f func(MemberID) string) { n.naming.Store(&f) }

func (n *Node) nameOf(id MemberID) string {
	if f := n.naming.Load(); f != nil {
		if name := (*f)(id); name != "" {
			return name
		}
	}
	return n.names[id]
}

// Retire stops raft for good, because this member was removed, and notes it in the data directory.
// REQUIRES: only the goroutine that calls Joining and Joined calls it.
func (n *Node) Retire() error {
	n.stopRaft()
	if n.dir.meta.Removed {
		return nil
	}
	n.dir.meta.Removed, n.dir.meta.Join = true, nil
	return n.keepMeta()
}

// Retired reports whether this member has ever learned that it was removed.
// REQUIRES: as Retire, or Open has only just returned.
func (n *Node) Retired() bool { return n.dir.meta.Removed }

// Moved returns the address that this member is to announce; "" if the others know it.
func (n *Node) Moved() string {
	known, ok := n.addrOf(n.self)
	if !ok || !n.cfg.Announce || known == n.mux.advertise || isUnspecified(n.mux.advertise) {
		return ""
	}
	return n.mux.advertise
}

func (m *Member) String() string {
	if m.Name == "" {
		return "member " + m.ID.String()
	}
	return fmt.Sprintf("%s (%s)", m.Name, m.ID)
}

func (p plan) find(id MemberID) (*Member, error) {
	for i := range p.members {
		if p.members[i].ID == id {
			return &p.members[i], nil
		}
	}
	return nil, Refusef("no member has the id %s; MEMBER.LIST shows those there are", id)
}

func (p plan) at(addr string) *Member {
	for i := range p.members {
		if p.members[i].Addr == addr {
			return &p.members[i]
		}
	}
	return nil
}

func (p plan) voters() (list []Member) {
	for _, m := range p.members {
		if m.Voter {
			list = append(list, m)
		}
	}
	return list
}

func majority(voters int) int { return voters/2 + 1 }

func count(list []Member, alive map[MemberID]bool) (n int) {
	for _, m := range list {
		if alive[m.ID] {
			n++
		}
	}
	return n
}

// missing names those that do not answer.
func missing(list []Member, alive map[MemberID]bool) (text string) {
	for _, m := range list {
		if alive[m.ID] {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += m.String()
	}
	return text
}
