package raftfsm

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
)

// Changes of the membership, from the member that was asked to the leader that makes them.
//
// Idea. A change may be asked of any member. It goes to the leader, which weighs it (cluster/members.go) and
// makes it, one at a time. Beside raft's configuration there is a record of each member in the log: its name
// and, once it has run, the address of its client port. The record comes before the configuration (a name
// is taken before its member exists) and the end of it after: a record without a name says that the member
// was removed. That is how a removed member that missed its removal learns of it, from whoever it asks.
//
// Invariants:
//
//	C1  The leader makes one change at a time; a second one is refused, not queued.
//	C2  A record without a name is final: its id is never a member again, and no later record changes it.
//	C3  A record becomes final only on a leader whose latest configuration is without the id and whose record
//	    has a client address: so the member was in the configuration once, and the entry that took it out
//	    stands before the final record in the same log.
//	C4  A learner is promoted only after it has applied, within promotionRound, all that the leader had
//	    committed when it was asked (Ongaro's thesis, section 4.2.1), and after its client address is in its
//	    record: so an id without one never voted, and may still be given out.
//
// Rejected: a promoter at the leader, which would have to keep in the log who wants to be promoted; the
// learner itself knows, and asks. The drawback: a change whose answer got lost is of unknown outcome, and
// whoever asked looks at the list of the members.

// ChangeKind says what is to be changed. The values travel between members.
type ChangeKind uint8

// The changes there are.
const (
	ChangeAdd      ChangeKind = 1 + iota // Name, Addr, Learner: MEMBER.ADD
	ChangeJoin                           // ID, Name, Addr, Replace: asked by the new member itself
	ChangePromote                        // ID: a learner becomes a voter
	ChangeEnter                          // ID, Replace: the same, asked by the learner itself
	ChangeRemove                         // ID
	ChangeUpdate                         // ID, Addr: another peer address
	ChangeMove                           // ID: leadership
	ChangeAnnounce                       // ID, Addr: asked by a member that runs at another address now
)

// Change is one change of the membership.
type Change struct {
	Kind       ChangeKind
	ID         cluster.MemberID
	Replace    cluster.MemberID
	Name, Addr string
	Learner    bool // it stays one, and need not answer yet
}

// Changing is a change under way.
type Changing struct {
	done chan struct{}
	id   cluster.MemberID
	err  error
}

// Done is closed when the outcome is known, within the request timeout.
func (c *Changing) Done() <-chan struct{} { return c.done }

// ID returns the member that was changed. REQUIRES: Done is closed, Err is nil.
func (c *Changing) ID() cluster.MemberID { return c.id }

// Err returns nil iff the change was made. A cluster.RefusedChange says why it was not, and what of it was
// made if that is not nothing; ErrNoLeader and ErrClosed mean that nothing was; ErrUncertain leaves a doubt.
// REQUIRES: Done is closed.
func (c *Changing) Err() error { return c.err }

const (
	promotionRound = time.Second
	// farBehind is how many entries a learner may be behind and still be waited for.
	farBehind   = 2000
	changeRetry = 20 * time.Millisecond
)

// errElsewhere: this member does not lead (any more), and has changed nothing.
var errElsewhere = errors.New("not the leader")

const oneAtATime = cluster.RefusedChange("another change of the membership is under way: repeat this one " +
	"when it is done")

// Change asks for a change, here or at the leader.
func (e *Engine) Change(c Change) *Changing {
	ch := &Changing{done: make(chan struct{})}
	if !e.spawn(func() {
		ctx, cancel := e.changeTime()
		defer cancel()
		ch.id, ch.err = e.change(ctx, c)
		close(ch.done)
	}) {
		ch.err = ErrClosed
		close(ch.done)
	}
	return ch
}

// spawn runs fn on a goroutine that Close waits for; false when the engine is closing.
func (e *Engine) spawn(fn func()) bool {
	e.member.mu.Lock()
	defer e.member.mu.Unlock()
	if e.member.mu.closed {
		return false
	}
	e.member.work.Go(fn)
	return true
}

// changeTime ends with the request timeout, and when the engine closes.
func (e *Engine) changeTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.member.life, e.cfg.RequestTimeout)
}

// change repeats until a leader has decided.
func (e *Engine) change(ctx context.Context, c Change) (cluster.MemberID, error) {
	for {
		id, err := e.tryChange(ctx, c)
		if !errors.Is(err, errElsewhere) {
			return id, err
		}
		select {
		case <-time.After(changeRetry):
		case <-ctx.Done():
			return 0, ErrNoLeader
		}
	}
}

func (e *Engine) tryChange(ctx context.Context, c Change) (cluster.MemberID, error) {
	if e.leading() {
		return e.lead(ctx, c)
	}
	leader, _, ok := e.node.Leader()
	if !ok || leader == e.node.Self() {
		return 0, errElsewhere
	}
	type answer struct {
		reply []byte
		err   error
	}
	answers := make(chan answer, 1)
	e.node.Send(leader, kindChange, c.encode(), func(reply []byte, err error) { answers <- answer{reply, err} })
	select {
	case a := <-answers:
		return outcomeOf(a.reply, a.err)
	case <-ctx.Done():
		return 0, ErrUncertain
	}
}

// receiveChange is the cluster.Handler of kindChange. Only the leader takes it; a member that joins does not
// know the leader, so its requests are passed on.
func (e *Engine) receiveChange(_ cluster.MemberID, payload []byte, reply func([]byte)) {
	c, err := decodeChange(payload)
	if err != nil {
		reply(encodeOutcome(0, cluster.RefusedChange("malformed change of the membership")))
		return
	}
	if !e.spawn(func() {
		ctx, cancel := e.changeTime()
		defer cancel()
		if c.Kind == ChangeJoin || c.Kind == ChangeAnnounce {
			reply(encodeOutcome(e.tryChange(ctx, c)))
		} else if e.leading() {
			reply(encodeOutcome(e.lead(ctx, c)))
		} else {
			reply(encodeOutcome(0, errElsewhere))
		}
	}) {
		reply(encodeOutcome(0, errElsewhere))
	}
}

// lead makes a change on the leader.
func (e *Engine) lead(ctx context.Context, c Change) (cluster.MemberID, error) {
	if !e.member.changing.CompareAndSwap(false, true) {
		return 0, oneAtATime
	}
	defer e.member.changing.Store(false)
	id, err := c.ID, error(nil)
	switch c.Kind {
	case ChangeAdd:
		id, err = e.add(ctx, c)
	case ChangeJoin:
		if e.isMember(c.ID) {
			return id, nil // it asks until it has heard of itself: see joining.go
		}
		err = e.join(ctx, c)
	case ChangePromote:
		err = e.promote(ctx, c.ID)
	case ChangeEnter:
		err = e.enter(ctx, c)
	case ChangeRemove:
		err = e.remove(ctx, c.ID)
	case ChangeUpdate:
		err = e.node.Readdress(ctx, c.ID, c.Addr)
	case ChangeMove:
		err = e.node.MoveLeader(ctx, c.ID)
	case ChangeAnnounce:
		err = e.announced(ctx, c)
	}
	if err == nil {
		e.log.Info("membership changed", "change", c.Kind.String(), "member", id.String(), "name", e.nameOf(id))
	}
	return id, fateOf(err)
}

// fateOf tells what an error of raft's says about a change.
func fateOf(err error) error {
	var refused cluster.RefusedChange
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, errElsewhere):
		return err
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return errElsewhere
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, ErrNoLeader):
		return cluster.RefusedChange("an earlier change of the membership is not committed yet: see " +
			"CLUSTER.HEALTH whether a majority answers, and repeat this one")
	case strings.Contains(err.Error(), "configuration changed since"):
		return oneAtATime
	default:
		return ErrUncertain
	}
}

// add serves MEMBER.ADD.
func (e *Engine) add(ctx context.Context, c Change) (cluster.MemberID, error) {
	if err := e.mayTake(c.Name, c.Addr, 0, 0); err != nil {
		return 0, err
	}
	id, err := e.node.Probe(c.Addr)
	switch {
	case err == nil:
		err = e.mayComeAs(id, c.Addr)
	case !unanswered(err):
		err = cluster.Refusef("what answers at %s cannot join (%v): stop it, and start a node with an empty data "+
			"directory and --join %s there", c.Addr, err, e.node.PeerAddr())
	case c.Learner:
		id, err = e.freshID(c.Name), nil
	default:
		err = cluster.Refusef("nobody answers at %s. Start the node first, it adds itself and is promoted when "+
			"it has caught up: redkeep server --name %s --peer-addr %s --join %s. Or add it as LEARNER",
			c.Addr, c.Name, c.Addr, e.node.PeerAddr())
	}
	if err != nil {
		return 0, err
	}
	return id, e.enlist(ctx, id, c.Name, c.Addr)
}

// join serves a new member that asks for itself. REQUIRES: it is none yet.
func (e *Engine) join(ctx context.Context, c Change) error {
	if err := e.mayTake(c.Name, c.Addr, c.ID, c.Replace); err != nil {
		return err
	}
	id, err := e.node.Probe(c.Addr)
	switch {
	case err != nil:
		return cluster.Refusef("%s cannot be dialled from %s, which leads (%v): give the new node an "+
			"--advertise-peer-addr that the other members reach", c.Addr, e.node.Name(), err)
	case id != c.ID:
		return cluster.Refusef("at %s somebody else answers, member %s: give the new node an "+
			"--advertise-peer-addr of its own", c.Addr, id)
	}
	if err := e.mayComeAs(id, c.Addr); err != nil {
		return err
	}
	gone, err := e.clearAddress(ctx, c)
	if err != nil {
		return err
	}
	return after(gone, e.enlist(ctx, id, c.Name, c.Addr))
}

func (e *Engine) isMember(id cluster.MemberID) bool {
	return slices.ContainsFunc(e.node.Members(), func(m cluster.Member) bool { return m.ID == id })
}

// after says of a change that stopped behind its first step, the removal of a member, that this was made.
// gone names the member; "": none was removed.
func after(gone string, err error) error {
	var refused cluster.RefusedChange
	if err = fateOf(err); gone == "" || !errors.As(err, &refused) {
		return err
	}
	return cluster.Refusef("%s was removed to make place, but its successor has not taken that yet: %s. Repeat "+
		"this, it goes on from there (a member that was started with --join repeats it by itself)",
		gone, string(refused))
}

// announced believes a member that says where it is only if it answers there: it may call itself by an
// address that means something else elsewhere, such as the loopback one.
func (e *Engine) announced(ctx context.Context, c Change) error {
	if id, err := e.node.Probe(c.Addr); err != nil || id != c.ID {
		return cluster.Refusef("member %s says that it is at %s, but does not answer there: give it an "+
			"--advertise-peer-addr that the other members reach", c.ID, c.Addr)
	}
	return e.node.Readdress(ctx, c.ID, c.Addr)
}

// clearAddress removes the member that is to be replaced before its successor has caught up, if that came to
// the same address: a configuration has each address once. Otherwise it stays until then; see enter. It
// returns who was removed.
func (e *Engine) clearAddress(ctx context.Context, c Change) (gone string, err error) {
	for _, m := range e.node.Members() {
		if m.ID == c.Replace && m.Addr == c.Addr {
			return m.String(), e.node.Remove(ctx, m.ID)
		}
	}
	return "", nil
}

// enlist takes the name and adds the learner.
func (e *Engine) enlist(ctx context.Context, id cluster.MemberID, name, addr string) error {
	if err := e.record(memberRecord{ID: id, Name: name}); err != nil {
		return cluster.Refusef("the cluster takes no writes (%v): see CLUSTER.HEALTH whether a majority answers, "+
			"and repeat this", err)
	}
	return e.node.AddLearner(ctx, id, addr)
}

// unanswered reports whether nobody at all was met at an address.
func unanswered(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// mayComeAs refuses who answers at the address of a new member.
func (e *Engine) mayComeAs(id cluster.MemberID, addr string) error {
	for _, m := range e.node.Members() {
		if m.ID == id {
			return cluster.Refusef("at %s %s answers, which is a member already", addr, &m)
		}
	}
	if rec, ok := e.recordOf(id); ok && rec.gone() {
		return cluster.Refusef("the node at %s was removed from this cluster: give it an empty data directory",
			addr)
	}
	return nil
}

// mayTake refuses a name or an address that a member has, other than self and the one to be replaced.
func (e *Engine) mayTake(name, addr string, self, replaced cluster.MemberID) error {
	if err := checkMember(name, addr); err != nil {
		return err
	}
	for _, m := range e.node.Members() {
		switch {
		case m.ID == self || m.ID == replaced:
		case m.Name == name:
			return cluster.Refusef("the name %s is taken by member %s at %s: choose another, or if that member is "+
				"lost for good, start the new one with --replace %s", name, m.ID, m.Addr, name)
		case m.Addr == addr:
			return cluster.Refusef("%s is the peer address of %s already", addr, &m)
		}
	}
	return nil
}

// checkMember refuses what can be no name or no address.
func checkMember(name, addr string) error {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "=, \t\r\n\"") {
		return cluster.RefusedChange("a member's name is 1 to 64 bytes without space, comma, quote or equals sign")
	}
	return checkPeerAddr(addr)
}

func checkPeerAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if n, bad := net.LookupPort("tcp", port); err != nil || bad != nil || n == 0 || host == "" {
		return cluster.RefusedChange("a peer address is host:port, as the other members dial it")
	}
	return nil
}

// freshID is the id that was reserved for a name whose member was never added, or a new one.
func (e *Engine) freshID(name string) cluster.MemberID {
	for _, rec := range *e.machine.members.Load() {
		if rec.Name == name && rec.ClientAddr == "" {
			return rec.ID
		}
	}
	return cluster.MemberID(max(rand.Uint64(), 1))
}

// remove removes a member; the leader itself hands over, and the next one is asked again.
func (e *Engine) remove(ctx context.Context, id cluster.MemberID) error {
	err := e.node.Remove(ctx, id)
	if errors.Is(err, cluster.ErrHandOverFirst) {
		if err := e.node.HandOver(ctx); err != nil {
			return cluster.Refusef("this member leads and found nobody to hand over to: %v", err)
		}
		return errElsewhere
	}
	if err == nil {
		_ = e.record(memberRecord{ID: id}) // reconcile repeats it where it matters
	}
	return err
}

// String names the change as its command.
func (k ChangeKind) String() string {
	names := [...]string{"", "add", "join", "promote", "enter", "remove", "update", "move-leader",
		"announce"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}
