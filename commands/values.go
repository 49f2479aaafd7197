package commands

import (
	"fmt"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// The string commands that are a SET, a GET or a DEL in other words, alone or together.

var valueRows = []Command{
	{Name: "setnx", Arity: 3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("OW insert"),
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Sets a key that does not exist yet.",
		Args: args(argKey("key"), argString("value")), plan: setNX},
	{Name: "setex", Arity: 4, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("OW update"), Group: "string",
		Since: "2.0.0", Complexity: "O(1)", Summary: "Sets a key that expires after some seconds.",
		Args: args(argKey("key"), argInteger("seconds"), argString("value")), plan: setEX},
	{Name: "psetex", Arity: 4, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("OW update"), Group: "string",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Sets a key that expires after some milliseconds.",
		Args: args(argKey("key"), argInteger("milliseconds"), argString("value")), plan: psetEX},
	{Name: "getset", Arity: 3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW access update"),
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Sets a key and returns what it was.",
		Args: args(argKey("key"), argString("value")), plan: getSet},
	{Name: "getdel", Arity: 2, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RW access delete"),
		Group: "string", Since: "6.2.0", Complexity: "O(1)", Summary: "Deletes a key and returns what it was.",
		Args: args(argKey("key")), plan: getDel},
	{Name: "getex", Arity: -2, Kind: KindWrite, Flags: FlagFast, Group: "string",
		Keys: Keys{First: 1, Last: 1, Step: 1, Access: "RW access update",
			Notes: "RW and UPDATE because it changes the TTL"},
		Since: "6.2.0", Complexity: "O(1)", Summary: "Returns a value and changes when its key expires.",
		Args: args(argKey("key"), argOneOf("expiration", argInteger("seconds").after("EX"),
			argInteger("milliseconds").after("PX"), argTime("unix-time-seconds").after("EXAT"),
			argTime("unix-time-milliseconds").after("PXAT"), argToken("PERSIST")).opt()), plan: getEX},
	{Name: "msetex", Arity: -4, Kind: KindWrite, Flags: FlagDenyOOM, Group: "string",
		Keys:  Keys{First: 2, Last: -1, Step: 2, Access: "OW update"},
		Since: "8.4.0", Complexity: "O(N) where N is the number of keys to set.",
		Summary: "Sets several keys at once, on a common condition and with a common expiration.",
		Args: args(argInteger("numkeys"), argBlock("data", argKey("key"), argString("value")).many(),
			argOneOf("condition", argToken("NX"), argToken("XX")).opt(), setExpiryArg),
		keysAt: msetexKeys, plan: msetEX},
	{Name: "delex", Arity: -2, Kind: KindWrite, Flags: FlagFast, Keys: oneKey("RM delete"), Group: "string",
		Since: "8.4.0", Complexity: "O(1), with a digest O(N) where N is the length of the value.",
		Summary: "Deletes a key if its value, or the digest of its value, is or is not as given.",
		Args: args(argKey("key"), argOneOf("condition", argString("value").after("IFEQ"),
			argString("value").after("IFNE"), argString("digest").after("IFDEQ"),
			argString("digest").after("IFDNE")).opt()), accessOf: delexAccess, plan: delEX},
	{Name: "digest", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "string",
		Since: "8.4.0", Complexity: "O(N) where N is the length of the value.",
		Summary: "Returns the XXH3 digest of a value as 16 hexadecimal digits.",
		Args:    args(argKey("key")), read: keyRead(digest).read, planRead: keyRead(digest).plan},
	{Name: "incrbyfloat", Arity: 3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast,
		Keys: oneKey("RW access update"), Group: "string", Since: "2.6.0", Complexity: "O(1)",
		Summary: "Adds a floating point number to the number in a key.",
		Args:    args(argKey("key"), Arg{Name: "increment", Type: "double"}), plan: incrByFloat},
}

func setNX(c *call) (render, error) {
	key := c.str(1)
	c.do(mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(key), Value: c.str(2)})
	c.require(missing(key))
	return msetnxReply, nil
}

func setEX(c *call) (render, error)  { return setExpiring(c, true) }
func psetEX(c *call) (render, error) { return setExpiring(c, false) }

func setExpiring(c *call, seconds bool) (render, error) {
	n, err := integer(c.args[2])
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, errExpireTime(c.row.Name)
	}
	expiry, err := c.deadline(n, seconds, false)
	if err != nil {
		return nil, err
	}
	c.do(mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(c.str(1)), Value: c.str(3), Expiry: expiry})
	return allOK, nil
}

func getSet(c *call) (render, error) {
	c.do(mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(c.str(1)), Value: c.str(2), Flags: mvcc.FlagPrev})
	return setGetReply, nil
}

func getDel(c *call) (render, error) {
	c.do(mvcc.Op{Kind: mvcc.OpDelete, Span: mvcc.KeySpan(c.str(1)), Flags: mvcc.FlagPrev})
	return func(r *mvcc.Result) resp.Value {
		if prevs := r.Ops[0].Prevs; len(prevs) > 0 {
			return valueOf(prevs[0])
		}
		return resp.Null()
	}, nil
}

// getEX reads first, then changes the deadline. As in Redis a time that makes no sense is an error only if
// there is a key to have it.
func getEX(c *call) (render, error) {
	o, persist, err := parseGetEX(c)
	if err != nil {
		return nil, err
	}
	key := mvcc.KeySpan(c.str(1))
	c.do(mvcc.Op{Kind: mvcc.OpRange, Span: key})
	expiry, err := o.expiry(c)
	switch {
	case err != nil:
		return getEXRefused(err), nil
	case persist:
		c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyPersist, Span: key})
	case o.unit != nil:
		c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifySetDeadline, Span: key, Expiry: expiry})
	}
	return getEXReply, nil
}

func getEXReply(r *mvcc.Result) resp.Value {
	if err := r.Ops[len(r.Ops)-1].Err; err != nil {
		return failed(err)
	}
	return valueOf(found(&r.Ops[0]))
}

func getEXRefused(err error) render {
	return func(r *mvcc.Result) resp.Value {
		if found(&r.Ops[0]).Exists() {
			return refused(err)
		}
		return resp.Null()
	}
}

func parseGetEX(c *call) (o setOptions, persist bool, err error) {
	for w := c.options(2); w.more(); {
		option := w.next()
		switch {
		case is(option, "PERSIST") && o.unit == nil:
			persist = true
		case isExpiryUnit(option) && w.more() && !persist && (o.unit == nil || sameWord(o.unit, option)):
			o.unit, o.ttl = option, w.next()
		default:
			return o, persist, errSyntax
		}
	}
	return o, persist, nil
}

// msetexPairs is where the options begin; ok is false if numkeys and the words do not fit.
func msetexPairs(args [][]byte) (end int, err error) {
	n, ok := parseInt(args[1])
	switch {
	case !ok || n < 1:
		return 0, errNumKeys
	case n > int64(len(args)-2)/2:
		return 0, errKeyPairs
	}
	return 2 + 2*int(n), nil
}

func msetexKeys(args [][]byte) (at []int) {
	end, err := msetexPairs(args)
	for i := 2; err == nil && i < end; i += 2 {
		at = append(at, i)
	}
	return at
}

func msetEX(c *call) (render, error) {
	end, err := msetexPairs(c.args)
	if err != nil {
		return nil, err
	}
	o, err := parseSet(c, end)
	switch {
	case err != nil:
		return nil, err
	case o.get || o.cond.word != nil || o.fenced || o.lease != 0: // options of SET alone
		return nil, errSyntax
	}
	expiry, err := o.expiry(c)
	if err != nil {
		return nil, err
	}
	put := mvcc.Op{Kind: mvcc.OpPut, Expiry: expiry}
	if o.keep {
		put.Flags |= mvcc.FlagLeaseIfAny
	}
	for i := 2; i < end; i += 2 {
		put.Span, put.Value = mvcc.KeySpan(c.str(i)), c.str(i+1)
		c.do(put)
		switch {
		case o.nx:
			c.require(missing(c.str(i)))
		case o.xx:
			c.require(present(c.str(i)))
		}
	}
	c.link()
	return msetnxReply, nil
}

func delEX(c *call) (render, error) {
	key := mvcc.Op{Kind: mvcc.OpDelete, Span: mvcc.KeySpan(c.str(1))}
	switch {
	case len(c.args) == 2:
		c.do(key)
		return sumNumbers, nil
	case len(c.args) != 4:
		return nil, errArity(c.row.Name)
	case !isCondition(c.args[2]):
		return nil, errCondition
	}
	cond, err := newCondition(c.args[2], c.args[3])
	if err != nil {
		return nil, err
	}
	c.require(cond.guard(key.Span.From))
	if cond.unless() {
		c.otherwise(key)
	} else {
		c.do(key)
	}
	return sumNumbers, nil
}

func digest(_ *call, found seen) (resp.Value, error) {
	if !found.one().Exists() {
		return resp.Null(), nil
	}
	return resp.Bulk(fmt.Sprintf("%016x", mvcc.Digest(found.one().Value()))), nil
}

func incrByFloat(c *call) (render, error) {
	if !mvcc.ValidFloat(c.str(2)) {
		return nil, errNotFloat
	}
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyIncrByFloat, Span: mvcc.KeySpan(c.str(1)),
		Value: c.str(2)})
	return func(r *mvcc.Result) resp.Value {
		if err := r.Ops[0].Err; err != nil {
			return failed(err)
		}
		return valueOf(r.Ops[0].Record)
	}, nil
}
