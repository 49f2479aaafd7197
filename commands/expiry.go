package commands

import (
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var expiryRows = []Command{
	{Name: "expire", Arity: -3, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW update"), Group: "generic",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Sets the expiration time of a key in seconds.",
		Args: args(argKey("key"), argInteger("seconds"), expireConditionArg), plan: expire},
	{Name: "pexpire", Arity: -3, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW update"), Group: "generic",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Sets the expiration time of a key in milliseconds.",
		Args: args(argKey("key"), argInteger("milliseconds"), expireConditionArg), plan: pexpire},
	{Name: "expireat", Arity: -3, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW update"), Group: "generic",
		Since: "1.2.0", Complexity: "O(1)", Summary: "Sets the expiration time of a key to a Unix timestamp.",
		Args: args(argKey("key"), argTime("unix-time-seconds"), expireConditionArg), plan: expireAt},
	{Name: "pexpireat", Arity: -3, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW update"), Group: "generic",
		Since: "2.6.0", Complexity: "O(1)",
		Summary: "Sets the expiration time of a key to a Unix milliseconds timestamp.",
		Args:    args(argKey("key"), argTime("unix-time-milliseconds"), expireConditionArg), plan: pexpireAt},
	{Name: "persist", Arity: 2, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW update"), Group: "generic",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Removes the expiration time, and the lease, of a key.",
		Args: args(argKey("key")), plan: persist},
	{Name: "ttl", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "generic",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the expiration time in seconds of a key.",
		Tips: []string{"nondeterministic_output"}, Args: args(argKey("key")), read: keyRead(ttl).read,
		planRead: keyRead(ttl).plan, wide: true},
	{Name: "pttl", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "generic",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the expiration time in milliseconds of a key.",
		Tips: []string{"nondeterministic_output"}, Args: args(argKey("key")), read: keyRead(pttl).read,
		planRead: keyRead(pttl).plan, wide: true},
	{Name: "expiretime", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "generic",
		Since: "7.0.0", Complexity: "O(1)", Summary: "Returns the expiration time of a key as a Unix timestamp.",
		Args: args(argKey("key")), read: keyRead(expireTime).read,
		planRead: keyRead(expireTime).plan, wide: true},
	{Name: "pexpiretime", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "generic",
		Since: "7.0.0", Complexity: "O(1)",
		Summary: "Returns the expiration time of a key as a Unix milliseconds timestamp.",
		Args:    args(argKey("key")), read: keyRead(pexpireTime).read,
		planRead: keyRead(pexpireTime).plan, wide: true},
}

var expireConditionArg = argOneOf("condition", argToken("NX"), argToken("XX"), argToken("GT"),
	argToken("LT")).opt().from("7.0.0")

func parseExpireFlags(c *call) (flags mvcc.OpFlags, err error) {
	for w := c.options(3); w.more(); {
		option := w.next()
		switch {
		case is(option, "NX"):
			flags |= mvcc.FlagIfNoDeadline
		case is(option, "XX"):
			flags |= mvcc.FlagIfDeadline
		case is(option, "GT"):
			flags |= mvcc.FlagIfLater
		case is(option, "LT"):
			flags |= mvcc.FlagIfEarlier
		default:
			return 0, errExpireOption(option)
		}
	}
	const others = mvcc.FlagIfDeadline | mvcc.FlagIfLater | mvcc.FlagIfEarlier
	const bothWays = mvcc.FlagIfLater | mvcc.FlagIfEarlier
	switch {
	case flags&mvcc.FlagIfNoDeadline != 0 && flags&others != 0:
		return 0, errExpireNX
	case flags&bothWays == bothWays:
		return 0, errExpireGTLT
	}
	return flags, nil
}

func setDeadline(c *call, seconds, absolute bool) (render, error) {
	flags, err := parseExpireFlags(c)
	if err != nil {
		return nil, err
	}
	n, err := integer(c.args[2])
	if err != nil {
		return nil, err
	}
	expiry, err := c.deadline(n, seconds, absolute)
	if err != nil {
		return nil, err
	}
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifySetDeadline, Flags: flags,
		Span: mvcc.KeySpan(c.str(1)), Expiry: expiry})
	return firstNumber, nil
}

func expire(c *call) (render, error)    { return setDeadline(c, true, false) }
func pexpire(c *call) (render, error)   { return setDeadline(c, false, false) }
func expireAt(c *call) (render, error)  { return setDeadline(c, true, true) }
func pexpireAt(c *call) (render, error) { return setDeadline(c, false, true) }

func persist(c *call) (render, error) {
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyPersist, Span: mvcc.KeySpan(c.str(1))})
	return firstNumber, nil
}

// Redis's answers for a key that has no time to tell.
const (
	noSuchKey  = -2
	noDeadline = -1
)

// deadlineReply replies what say makes of the key's deadline in Unix milliseconds.
func deadlineReply(found seen, say func(deadline, now int64) int64) (resp.Value, error) {
	r := found.one()
	if !r.Exists() {
		return resp.Int(noSuchKey), nil
	}
	deadline := found.deadline(r)
	if deadline == 0 {
		return resp.Int(noDeadline), nil
	}
	return resp.Int(say(int64(deadline), int64(found.now))), nil
}

// rounded is Redis's rounding of milliseconds to seconds, which cannot overflow here.
func rounded(ms int64) int64 { return ms/1000 + (ms%1000+500)/1000 }

// left is the time to a deadline; two clocks may differ, but a key that is there has some time left.
func left(deadline, now int64) int64 { return max(deadline-now, 0) }

func ttl(_ *call, found seen) (resp.Value, error) {
	return deadlineReply(found, func(deadline, now int64) int64 { return rounded(left(deadline, now)) })
}

func pttl(_ *call, found seen) (resp.Value, error) { return deadlineReply(found, left) }

func expireTime(_ *call, found seen) (resp.Value, error) {
	return deadlineReply(found, func(deadline, _ int64) int64 { return rounded(deadline) })
}

func pexpireTime(_ *call, found seen) (resp.Value, error) {
	return deadlineReply(found, func(deadline, _ int64) int64 { return deadline })
}
