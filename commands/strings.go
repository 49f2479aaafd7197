package commands

import (
	"math"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

func oneKey(access string) Keys  { return Keys{First: 1, Last: 1, Step: 1, Access: access} }
func allKeys(access string) Keys { return Keys{First: 1, Last: -1, Step: 1, Access: access} }
func keyPairs(access string) Keys {
	return Keys{First: 1, Last: -1, Step: 2, Access: access}
}

var stringRows = []Command{
	{Name: "get", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "string",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the string value of a key.",
		Args: args(argKey("key")), read: get, planRead: planGet},
	{Name: "set", Arity: -3, Kind: KindWrite, Flags: FlagDenyOOM, Group: "string",
		Keys: Keys{First: 1, Last: 1, Step: 1, Access: "RW access update variable_flags",
			Notes: "RW and ACCESS due to the optional `GET` argument"},
		Since: "1.0.0", Complexity: "O(1)",
		Summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
		Args: args(argKey("key"), argString("value"),
			argOneOf("condition", argToken("NX"), argToken("XX"), argString("value").after("IFEQ").from("8.4.0"),
				argString("value").after("IFNE").from("8.4.0"), argString("digest").after("IFDEQ").from("8.4.0"),
				argString("digest").after("IFDNE").from("8.4.0")).opt().from("2.6.12"),
			argToken("GET").opt().from("6.2.0"), setExpiryArg, setLeaseArg, setFenceArg),
		accessOf: setAccess, plan: set, also: reachSet},
	{Name: "mget", Arity: -2, Kind: KindRead, Flags: FlagFast, Keys: allKeys("RO access"), Group: "string",
		Since: "1.0.0", Complexity: "O(N) where N is the number of keys to retrieve.",
		Summary: "Atomically returns the string values of one or more keys.",
		Args:    args(argKey("key").many()), read: mget, planRead: planMget},
	{Name: "mset", Arity: -3, Kind: KindWrite, Flags: FlagDenyOOM, Keys: keyPairs("OW update"), Group: "string",
		Since: "1.0.1", Complexity: "O(N) where N is the number of keys to set.",
		Summary: "Atomically creates or modifies the string values of one or more keys.",
		Args:    args(argBlock("data", argKey("key"), argString("value")).many()), plan: mset},
	{Name: "msetnx", Arity: -3, Kind: KindWrite, Flags: FlagDenyOOM, Keys: keyPairs("OW insert"),
		Group: "string", Since: "1.0.1", Complexity: "O(N) where N is the number of keys to set.",
		Summary: "Atomically modifies the string values of one or more keys only when all keys don't exist.",
		Args:    args(argBlock("data", argKey("key"), argString("value")).many()), plan: msetnx},
	{Name: "incr", Arity: 2, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW access update"),
		Group: "string", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
		Args:    args(argKey("key")), plan: incr},
	{Name: "decr", Arity: 2, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW access update"),
		Group: "string", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
		Args:    args(argKey("key")), plan: decr},
	{Name: "incrby", Arity: 3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW access update"),
		Group: "string", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Increments the integer value of a key by a number.",
		Args:    args(argKey("key"), argInteger("increment")), plan: incrBy},
	{Name: "decrby", Arity: 3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW access update"),
		Group: "string", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Decrements a number from the integer value of a key.",
		Args:    args(argKey("key"), argInteger("decrement")), plan: decrBy},
	{Name: "append", Arity: 3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW insert"),
		Group: "string", Since: "2.0.0", Complexity: "O(1)",
		Summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
		Args:    args(argKey("key"), argString("value")), plan: appendTo},
	{Name: "strlen", Arity: 2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO"), Group: "string",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Returns the length of a string value.",
		Args: args(argKey("key")), read: strlen, planRead: planStrlen},
}

var setExpiryArg = argOneOf("expiration",
	argInteger("seconds").after("EX").from("2.6.12"),
	argInteger("milliseconds").after("PX").from("2.6.12"),
	argTime("unix-time-seconds").after("EXAT").from("6.2.0"),
	argTime("unix-time-milliseconds").after("PXAT").from("6.2.0"),
	argToken("KEEPTTL").from("6.0.0")).opt()

func get(c *call, v *view) (resp.Value, error) { return valueOf(v.get(c.str(1))), nil }

// planKeys plans the reads of the words from position 1 on, one operation each.
func planKeys(c *call) {
	for i := 1; i < len(c.args); i++ {
		c.do(mvcc.Op{Kind: mvcc.OpRange, Span: mvcc.KeySpan(c.str(i))})
	}
}

// found is the record that a planned read of one key gave, or the zero Record.
func found(op *mvcc.OpResult) mvcc.Record {
	if len(op.Range.Records) == 0 {
		return mvcc.Record{}
	}
	return op.Range.Records[0]
}

func planGet(c *call) render {
	planKeys(c)
	return func(r *mvcc.Result) resp.Value { return valueOf(found(&r.Ops[0])) }
}

func planMget(c *call) render {
	planKeys(c)
	return func(r *mvcc.Result) resp.Value {
		out := make([]resp.Value, len(r.Ops))
		for i := range r.Ops {
			out[i] = valueOf(found(&r.Ops[i]))
		}
		return resp.ArrayOf(out)
	}
}

func planStrlen(c *call) render {
	planKeys(c)
	return func(r *mvcc.Result) resp.Value { return lengthOf(found(&r.Ops[0])) }
}

func lengthOf(r mvcc.Record) resp.Value {
	if !r.Exists() {
		return resp.Int(0)
	}
	return resp.Int(int64(len(r.Value())))
}

func strlen(c *call, v *view) (resp.Value, error) {
	return lengthOf(v.get(c.str(1))), nil
}

func mget(c *call, v *view) (resp.Value, error) {
	out := make([]resp.Value, 0, len(c.args)-1)
	v.each(c.args[1:], func(r mvcc.Record) { out = append(out, valueOf(r)) })
	return resp.ArrayOf(out), nil
}

// setOptions is a parsed SET. As in Redis an option may be given again, but not against an earlier one.
type setOptions struct {
	nx, xx, get, keep bool
	cond              condition
	unit              []byte // EX, PX, EXAT or PXAT as sent; nil for none
	ttl               []byte

	lease  mvcc.LeaseID
	fence  mvcc.Compare
	fenced bool
}

func parseSet(c *call, from int) (o setOptions, err error) {
	for w := c.options(from); w.more(); {
		option := w.next()
		switch {
		case is(option, "NX") && !o.xx && o.cond.word == nil:
			o.nx = true
		case is(option, "XX") && !o.nx && o.cond.word == nil:
			o.xx = true
		case isCondition(option) && w.more() && !o.nx && !o.xx && o.cond.word == nil:
			if o.cond, err = newCondition(option, w.next()); err != nil {
				return o, err
			}
		case is(option, "GET"):
			o.get = true
		case is(option, "KEEPTTL") && o.unit == nil && o.lease == 0:
			o.keep = true
		case isExpiryUnit(option) && w.more() && !o.keep && (o.unit == nil || sameWord(o.unit, option)):
			o.unit, o.ttl = option, w.next()
		case is(option, "LEASE") && o.lease == 0 && !o.keep:
			if err = o.leaseOption(&w); err != nil {
				return o, err
			}
		case is(option, "FENCE") && !o.fenced:
			if err = o.fenceOption(&w); err != nil {
				return o, err
			}
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

func isExpiryUnit(word []byte) bool {
	return is(word, "EX") || is(word, "PX") || is(word, "EXAT") || is(word, "PXAT")
}

func sameWord(a, b []byte) bool { return len(a) == len(b) && lower(string(a)) == lower(string(b)) }

// expiry is the deadline that SET's options ask for.
func (o *setOptions) expiry(c *call) (mvcc.Expiry, error) {
	if o.keep {
		return mvcc.Expiry{Mode: mvcc.ExpiryKeep}, nil
	}
	if o.unit == nil {
		return mvcc.Expiry{}, nil
	}
	n, err := integer(o.ttl)
	if err != nil {
		return mvcc.Expiry{}, err
	}
	if n <= 0 {
		return mvcc.Expiry{}, errExpireTime(c.row.Name)
	}
	seconds := is(o.unit, "EX") || is(o.unit, "EXAT")
	return c.deadline(n, seconds, is(o.unit, "EXAT") || is(o.unit, "PXAT"))
}

// deadline makes an expiry of n seconds or milliseconds, from the stamped time or since the epoch, and
// refuses what does not fit: the stamped time is never far from this node's clock.
func (c *call) deadline(n int64, seconds, absolute bool) (mvcc.Expiry, error) {
	if seconds {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			return mvcc.Expiry{}, errExpireTime(c.row.Name)
		}
		n *= 1000
	}
	if absolute {
		return mvcc.Expiry{Mode: mvcc.ExpiryAt, MS: n}, nil
	}
	if n > math.MaxInt64-int64(c.d.engine.Now())-clockSlack {
		return mvcc.Expiry{}, errExpireTime(c.row.Name)
	}
	return mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: n}, nil
}

// clockSlack is more than two members' clocks may differ, in milliseconds.
const clockSlack = 1000

func set(c *call) (render, error) {
	o, err := parseSet(c, 3)
	if err != nil {
		return nil, err
	}
	expiry, err := o.expiry(c)
	if err != nil {
		return nil, err
	}
	key := c.str(1)
	put := mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(key), Value: c.str(2), Expiry: expiry, Lease: o.lease}
	if o.keep {
		put.Flags |= mvcc.FlagLeaseIfAny
	}
	if o.get {
		put.Flags |= mvcc.FlagPrev
	}
	if o.cond.unless() {
		return o.setUnless(c, put)
	}
	c.do(put)
	switch {
	case o.nx:
		c.require(missing(key))
	case o.xx:
		c.require(present(key))
	case o.cond.word != nil:
		c.require(o.cond.guard(key))
	}
	if !o.get {
		return o.behindFence(c, setReply), nil
	}
	c.otherwise(mvcc.Op{Kind: mvcc.OpRange, Span: mvcc.KeySpan(key)})
	return o.behindFence(c, setGetReply), nil
}

// setUnless plans a SET that writes where its guard does not hold.
func (o *setOptions) setUnless(c *call, put mvcc.Op) (render, error) {
	c.require(o.cond.guard(put.Span.From))
	c.otherwise(put)
	if !o.get {
		return o.behindFence(c, setUnlessReply), nil
	}
	c.do(mvcc.Op{Kind: mvcc.OpRange, Span: put.Span})
	return o.behindFence(c, setGetReply), nil
}

func setUnlessReply(r *mvcc.Result) resp.Value {
	if r.Succeeded {
		return resp.Null()
	}
	return allOK(r)
}

func setReply(r *mvcc.Result) resp.Value {
	if !r.Succeeded {
		return resp.Null()
	}
	return allOK(r)
}

// setGetReply is the value before, whether SET wrote or not.
func setGetReply(r *mvcc.Result) resp.Value {
	op := &r.Ops[0]
	switch {
	case op.Err != nil:
		return failed(op.Err)
	case op.Record.Exists():
		return valueOf(op.Prev)
	default:
		return valueOf(found(op))
	}
}

// setAccess is how SET uses its key, for COMMAND GETKEYSANDFLAGS.
func setAccess(args [][]byte) string {
	for _, word := range args[3:] {
		if is(word, "GET") || isCondition(word) {
			return "RW access update"
		}
	}
	return "OW update"
}

func putPairs(c *call) error {
	if len(c.args)%2 == 0 {
		return errArity(c.row.Name)
	}
	for i := 1; i < len(c.args); i += 2 {
		c.do(mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(c.str(i)), Value: c.str(i + 1)})
	}
	c.link()
	return nil
}

func mset(c *call) (render, error) { return allOK, putPairs(c) }

func msetnx(c *call) (render, error) {
	if err := putPairs(c); err != nil {
		return nil, err
	}
	for i := 1; i < len(c.args); i += 2 {
		c.require(missing(c.str(i)))
	}
	return msetnxReply, nil
}

func msetnxReply(r *mvcc.Result) resp.Value {
	if !r.Succeeded {
		return resp.Int(0)
	}
	if v := allOK(r); v.IsErr() {
		return v
	}
	return resp.Int(1)
}

func increment(c *call, by int64) (render, error) {
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyIncrBy, Span: mvcc.KeySpan(c.str(1)), Delta: by})
	return firstNumber, nil
}

func incr(c *call) (render, error) { return increment(c, 1) }
func decr(c *call) (render, error) { return increment(c, -1) }

func incrBy(c *call) (render, error) {
	by, err := integer(c.args[2])
	if err != nil {
		return nil, err
	}
	return increment(c, by)
}

func decrBy(c *call) (render, error) {
	by, err := integer(c.args[2])
	switch {
	case err != nil:
		return nil, err
	case by == math.MinInt64:
		return nil, errDecrOverflow
	}
	return increment(c, -by)
}

func appendTo(c *call) (render, error) {
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyAppend, Span: mvcc.KeySpan(c.str(1)), Value: c.str(2)})
	return firstNumber, nil
}
