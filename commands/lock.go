package commands

import (
	"time"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

var (
	joinLeaseArg = argOneOf("life", argInteger("ms").after("TTL"), argString("id").after("LEASE")).opt()
	joinWaitArg  = argInteger("ms").after("WAIT").opt()
)

var lockRows = []Command{
	{Name: "lock.acquire", Arity: -2, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("RW insert"),
		Group: "lock", Since: "0.2.0", Complexity: "O(log N) where N is the number of those in the queue",
		Summary: "Acquires a lock, waiting for its turn, and returns key, fencing token and lease.",
		Args: args(argKey("name"), joinLeaseArg, joinWaitArg, argString("value").after("VALUE").opt(),
			argToken("SHARED").opt()), plan: planJoin, join: parseAcquire,
		also: reachJoin},
	{Name: "lock.release", Arity: 3, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW delete"), Group: "lock",
		Since: "0.2.0", Complexity: "O(log N)", Summary: "Releases what a token holds.",
		Args: args(argKey("name"), argInteger("token")), plan: lockRelease},
	{Name: "lock.keepalive", Arity: 3, Kind: KindWrite, Flags: leaseFlags, Keys: oneKey("RW update"),
		Group: "lock",
		Since: "0.2.0", Complexity: "O(log N)",
		Summary: "Gives the lease of a holder its full time again and returns it in milliseconds.",
		Args:    args(argKey("name"), argInteger("token")), renew: lockKeepAlive},
	{Name: "lock.info", Arity: 2, Kind: KindRead, Flags: FlagNoMulti | FlagNoScript,
		Keys: oneKey("RO access"), Group: "lock", Since: "0.2.0",
		Complexity: "O(N) where N is the number of those in the queue",
		Summary:    "Returns who holds a lock and who waits for it.", Tips: []string{"nondeterministic_output"},
		Args: args(argKey("name")), read: lockInfo},
}

// joining is a parsed LOCK.ACQUIRE or ELECTION.CAMPAIGN.
type joining struct {
	queue  mvcc.Queue
	value  string
	shared bool
	lease  mvcc.LeaseID // given, or drawn for ttl
	ttl    lease.Millis // of the lease that is made for it; 0 with LEASE
	wait   time.Duration
}

// given reports whether the client named the lease, and so knows it and may use it elsewhere.
func (j *joining) given() bool { return j.ttl == 0 }

// maxWait bounds WAIT: nobody waits for ten years, and the sum with now does not overflow.
const maxWait = 10 * 365 * 24 * time.Hour

func parseAcquire(c *call) (joining, error) {
	return parseJoin(c, 2, joining{queue: mvcc.Queue{Name: c.str(1)}}, true)
}

// parseJoin reads the options from word i on. What contradicts or comes twice is a syntax error.
func parseJoin(c *call, i int, j joining, lock bool) (joining, error) {
	var lived, waits, valued bool
	for w := c.options(i); w.more(); {
		option, err := w.next(), error(nil)
		switch {
		case is(option, "TTL") && !lived:
			lived, err = true, j.ttlOption(&w)
		case is(option, "LEASE") && !lived:
			lived, err = true, j.leaseOption(&w)
		case is(option, "WAIT") && !waits:
			waits, err = true, j.waitOption(&w)
		case is(option, "VALUE") && lock && !valued:
			valued, err = true, j.valueOption(&w)
		case is(option, "SHARED") && lock && !j.shared:
			j.shared = true
		default:
			err = errSyntax
		}
		if err != nil {
			return j, err
		}
	}
	if !lived {
		j.ttl = lease.Millis(c.d.lockTTL() / time.Millisecond)
	}
	if j.lease == 0 {
		j.lease = newLeaseID()
	}
	return j, nil
}

// lockTTL is the time of a lock that names none.
func (d *Dispatcher) lockTTL() time.Duration {
	if d.cfg.LockTTL == 0 {
		return time.Minute
	}
	return d.cfg.LockTTL
}

func (j *joining) ttlOption(w *words) error {
	word, err := w.operand()
	if err == nil {
		j.ttl, err = parseLeaseTime(word)
	}
	return err
}

func (j *joining) leaseOption(w *words) error {
	word, err := w.operand()
	if err == nil {
		j.lease, err = parseLeaseID(word)
	}
	return err
}

func (j *joining) waitOption(w *words) error {
	ms, err := w.count()
	j.wait = time.Duration(min(ms, int64(maxWait/time.Millisecond))) * time.Millisecond
	return err
}

func (j *joining) valueOption(w *words) error {
	word, err := w.operand()
	j.value = alias(word)
	return err
}

// flags are those of all operations on the queue.
func (j *joining) flags() mvcc.OpFlags {
	if j.queue.Election {
		return mvcc.FlagElection
	}
	return 0
}

// op enters the queue; flags may be FlagTry.
func (j *joining) op(flags mvcc.OpFlags) mvcc.Op {
	if j.shared {
		flags |= mvcc.FlagShared
	}
	return mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueJoin, Flags: flags | j.flags(),
		Span: mvcc.KeySpan(j.queue.Name), Value: j.value, Lease: j.lease, Delta: int64(j.ttl)}
}

// fallsShort reports whether the place is less than what is asked for: one who asks again, to hold alone this
// time, gets the shared place that his lease has, and from that one nobody else who shares is kept out.
func fallsShort(place mvcc.Record, shared bool) bool {
	return !shared && place.Queued() && place.Mark()&mvcc.MarkShared != 0
}

// leave gives up the place of the joining's lease; see mvcc.ModifyQueueLeave.
func (j *joining) leave(token mvcc.Revision, flags mvcc.OpFlags) mvcc.Op {
	return mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueLeave, Flags: flags | j.flags(),
		Span: mvcc.KeySpan(j.queue.Name), Lease: j.lease, Delta: int64(token)}
}

// planJoin enters the queue only if that means to hold at once: nobody waits inside a transaction.
func planJoin(c *call) (render, error) {
	j, err := c.row.join(c)
	switch {
	case err != nil:
		return nil, err
	case j.wait > 0:
		return nil, errWaitInTxn
	}
	c.do(j.op(mvcc.FlagTry))
	s, d, shared := c.session(), c.d, j.shared
	return func(r *mvcc.Result) resp.Value {
		op := &r.Ops[0]
		switch {
		case op.Err != nil:
			return failed(op.Err)
		case fallsShort(op.Record, shared):
			return refused(errPlaceShared)
		case op.N == 0:
			return resp.Null()
		default:
			s.held(d, op.Record)
			return placeReply(op.Record)
		}
	}, nil
}

// placeReply is [key, token, lease].
func placeReply(r mvcc.Record) resp.Value {
	return resp.Array(resp.Bulk(r.Key()), resp.Int(int64(r.CreateRevision())), resp.Bulk(leaseText(r.Lease())))
}

func lockRelease(c *call) (render, error) {
	token, err := parseToken(c.args[2])
	if err != nil {
		return nil, err
	}
	c.session().giving(mvcc.Queue{Name: c.str(1)}, mvcc.Revision(token))
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueRelease,
		Span: mvcc.KeySpan(c.str(1)), Delta: token})
	return allOK, nil
}

func lockKeepAlive(c *call) (renewal, error) {
	token, err := parseToken(c.args[2])
	if err != nil {
		return renewal{}, err
	}
	ask := raftfsm.LeaseAsk{Queue: mvcc.Queue{Name: c.str(1)}, Token: mvcc.Revision(token), Renew: true}
	return renewal{asks: []raftfsm.LeaseAsk{ask}, render: keptLock}, nil
}

func keptLock(answers []raftfsm.LeaseAnswer) resp.Value {
	if !answers[0].Found {
		return refused(errLockLost)
	}
	return resp.Int(int64(answers[0].Left))
}

func lockInfo(c *call, v *view) (resp.Value, error) {
	holders, waiters := c.d.engine.Book().Places(mvcc.Queue{Name: c.str(1)})
	return resp.Map(
		resp.Bulk("name"), resp.Bulk(c.str(1)),
		resp.Bulk("holders"), places(v, holders),
		resp.Bulk("waiters"), places(v, waiters),
	), nil
}

func places(v *view, rs []mvcc.Record) resp.Value {
	out := make([]resp.Value, len(rs))
	for i, r := range rs {
		_, left, _ := v.left(r.Lease())
		out[i] = resp.Map(
			resp.Bulk("key"), resp.Bulk(r.Key()),
			resp.Bulk("token"), resp.Int(int64(r.CreateRevision())),
			resp.Bulk("lease"), resp.Bulk(leaseText(r.Lease())),
			resp.Bulk("value"), resp.Bulk(r.Value()),
			resp.Bulk("shared"), yes(r.Mark()&mvcc.MarkShared != 0),
			resp.Bulk("remaining"), resp.Int(int64(left)),
		)
	}
	return resp.ArrayOf(out)
}
