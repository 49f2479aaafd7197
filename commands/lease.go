package commands

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

const leaseFlags = FlagFast | FlagNoMulti

var leaseRows = []Command{
	{Name: "lease.grant", Arity: -2, Kind: KindWrite, Flags: FlagDenyOOM | leaseFlags, Group: "lease",
		Since: "0.2.0", Complexity: "O(log N) where N is the number of leases",
		Summary: "Grants a lease of so many milliseconds and returns its id.",
		Args:    args(argInteger("ttl_ms"), argString("id").after("ID").opt()), plan: leaseGrant},
	{Name: "lease.revoke", Arity: 2, Kind: KindWrite, Flags: leaseFlags, Group: "lease", Since: "0.2.0",
		Complexity: "O(K) where K is the number of keys on the lease",
		Summary:    "Ends a lease, deletes its keys in one revision and returns how many there were.",
		Args:       args(argString("id")), plan: leaseRevoke, also: reachLease},
	{Name: "lease.keepalive", Arity: -2, Kind: KindWrite, Flags: leaseFlags, Group: "lease", Since: "0.2.0",
		Complexity: "O(N) where N is the number of ids",
		Summary:    "Gives leases their full time again and returns it in milliseconds.",
		Args:       args(argString("id").many()), renew: leaseKeepAlive, also: reachLease},
	{Name: "lease.ttl", Arity: -2, Kind: KindRead, Flags: leaseFlags | FlagNoScript, Group: "lease",
		Since:      "0.2.0",
		Complexity: "O(1), or O(K) for K keys",
		Summary:    "Returns the time that a lease was granted and has left, and its keys.",
		Tips:       []string{"nondeterministic_output"},
		Args:       args(argString("id"), argToken("KEYS").opt()), read: leaseTTL, also: reachLeaseTTL},
	{Name: "lease.list", Arity: 1, Kind: KindRead, Flags: FlagNoMulti | FlagNoScript, Group: "lease",
		Since:      "0.2.0",
		Complexity: "O(N+K) where N is the number of leases and K that of their keys",
		Summary:    "Lists the leases by id.", Tips: []string{"nondeterministic_output"}, read: leaseList},
}

// The shortest and the longest lease, in milliseconds.
const (
	minLease = 100
	maxLease = 10 * 365 * 24 * 3600 * 1000
)

func parseLeaseID(word []byte) (mvcc.LeaseID, error) {
	id, err := strconv.ParseUint(string(word), 16, 64)
	if err != nil || id == 0 || len(word) > 16 {
		return 0, errLeaseID
	}
	return mvcc.LeaseID(id), nil
}

// leaseText is a lease id as clients see it; empty for none.
func leaseText(id mvcc.LeaseID) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", uint64(id))
}

// newLeaseID draws an id. Should it be taken after all, the grant is refused when it is applied.
func newLeaseID() mvcc.LeaseID { return mvcc.LeaseID(rand.Int64N(1<<63-1) + 1) }

func parseLeaseTime(word []byte) (lease.Millis, error) {
	ms, ok := parseInt(word)
	if !ok || ms < minLease || ms > maxLease {
		return 0, errLeaseTime
	}
	return lease.Millis(ms), nil
}

func leaseGrant(c *call) (render, error) {
	ttl, err := parseLeaseTime(c.args[1])
	if err != nil {
		return nil, err
	}
	id := newLeaseID()
	switch {
	case len(c.args) == 4 && is(c.args[2], "ID"):
		if id, err = parseLeaseID(c.args[3]); err != nil {
			return nil, err
		}
	case len(c.args) > 2:
		return nil, errSyntax
	}
	c.request = func(s *raftfsm.Submission) { s.AddLeaseGrant(id, ttl) }
	return func(r *mvcc.Result) resp.Value {
		if err := r.Ops[0].Err; err != nil {
			return failed(err)
		}
		return resp.Bulk(leaseText(id))
	}, nil
}

func leaseRevoke(c *call) (render, error) {
	id, err := parseLeaseID(c.args[1])
	if err != nil {
		return nil, err
	}
	c.request = func(s *raftfsm.Submission) { s.AddLeaseRevoke(id) }
	return firstNumber, nil
}

func leaseKeepAlive(c *call) (renewal, error) {
	var r renewal
	for _, word := range c.args[1:] {
		id, err := parseLeaseID(word)
		if err != nil {
			return r, err
		}
		r.asks = append(r.asks, raftfsm.LeaseAsk{ID: id, Renew: true})
	}
	r.render = keptAll
	if len(r.asks) == 1 {
		r.render = keptOne
	}
	return r, nil
}

func keptOne(answers []raftfsm.LeaseAnswer) resp.Value {
	if !answers[0].Found {
		return refused(errNoLease)
	}
	return resp.Int(int64(answers[0].Left))
}

func keptAll(answers []raftfsm.LeaseAnswer) resp.Value {
	out := make([]resp.Value, len(answers))
	for i, a := range answers {
		if out[i] = resp.Null(); a.Found {
			out[i] = resp.Int(int64(a.Left))
		}
	}
	return resp.ArrayOf(out)
}

func leaseTTL(c *call, v *view) (resp.Value, error) {
	id, err := parseLeaseID(c.args[1])
	if err != nil {
		return resp.Value{}, err
	}
	withKeys := len(c.args) == 3 && is(c.args[2], "KEYS")
	if len(c.args) > 2 && !withKeys {
		return resp.Value{}, errSyntax
	}
	granted, left, ok := v.left(id)
	if !ok {
		return resp.Value{}, errNoLease
	}
	fields := leaseFields(id, granted, left)
	if withKeys {
		keys := v.store.LeaseKeys(id)
		list := make([]resp.Value, len(keys))
		for i, key := range keys {
			list[i] = resp.Bulk(key)
		}
		fields = append(fields, resp.Bulk("keys"), resp.ArrayOf(list))
	}
	return resp.Map(fields...), nil
}

func leaseFields(id mvcc.LeaseID, granted, left lease.Millis) []resp.Value {
	return []resp.Value{
		resp.Bulk("id"), resp.Bulk(leaseText(id)),
		resp.Bulk("granted"), resp.Int(int64(granted)),
		resp.Bulk("remaining"), resp.Int(int64(left)),
	}
}

func leaseList(_ *call, v *view) (resp.Value, error) {
	out := []resp.Value{}
	all := v.leases.table.Capture()
	all.Each(func(l lease.Lease) {
		granted, left, ok := v.left(l.ID)
		if !ok {
			return
		}
		fields := leaseFields(l.ID, granted, left)
		out = append(out, resp.Map(append(fields, resp.Bulk("keys"), resp.Int(v.store.LeaseLen(l.ID)))...))
	})
	return resp.ArrayOf(out), nil
}
