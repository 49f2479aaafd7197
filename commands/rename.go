package commands

import (
	"math/rand/v2"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var (
	movedKeys  = Keys{First: 1, Last: 2, Step: 1, Access: "RW access delete", Later: "OW update"}
	copiedKeys = Keys{First: 1, Last: 2, Step: 1, Access: "RO access", Later: "OW update"}
)

var renameRows = []Command{
	{Name: "rename", Arity: 3, Kind: KindWrite, Keys: movedKeys, Group: "generic", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Gives a key another name, in one revision; time to live and lease stay.",
		Args: args(argKey("key"), argKey("newkey")), plan: rename},
	{Name: "renamenx", Arity: 3, Kind: KindWrite, Flags: FlagFast, Keys: movedKeys, Group: "generic",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key another name if no key has that name.",
		Args: args(argKey("key"), argKey("newkey")), plan: renameNX},
	{Name: "copy", Arity: -3, Kind: KindWrite, Flags: FlagDenyOOM, Keys: copiedKeys, Group: "generic",
		Since: "6.2.0", Complexity: "O(N) where N is the length of the value.",
		Summary: "Copies a value, its time to live and its lease to another key.",
		Args: args(argKey("source"), argKey("destination"), argInteger("destination-db").after("DB").opt(),
			argToken("REPLACE").opt()), plan: copyKey},
	{Name: "randomkey", Arity: 1, Kind: KindRead, Group: "generic", Since: "1.0.0",
		Complexity: "O(log N); in a transaction O(N).", Summary: "Returns the name of a random key.",
		Tips: []string{"nondeterministic_output"}, read: randomKey, planRead: planRandomKey, wide: true,
		also: useAll(acl.Read)},
	{Name: "swapdb", Arity: 3, Kind: KindWrite, Flags: FlagFast, Group: "server",
		Categories: CatKeyspace | CatDangerous, Since: "4.0.0", Complexity: "O(1)",
		Summary: "Refused: there is one database.",
		Args:    args(argInteger("index1"), argInteger("index2")), plan: swapDB},
}

func moveOp(c *call, kind mvcc.ModifyKind) mvcc.Op {
	return mvcc.Op{Kind: mvcc.OpModify, Modify: kind, Span: mvcc.KeySpan(c.str(1)), Value: c.str(2)}
}

func rename(c *call) (render, error) {
	c.do(moveOp(c, mvcc.ModifyMove))
	return allOK, nil
}

// renameNX says that the key is missing, if it is, rather than that the new name is taken.
func renameNX(c *call) (render, error) {
	c.do(moveOp(c, mvcc.ModifyMove))
	c.require(missing(c.str(2)))
	c.otherwise(mvcc.Op{Kind: mvcc.OpRange, Span: mvcc.KeySpan(c.str(1))})
	return func(r *mvcc.Result) resp.Value {
		switch {
		case r.Succeeded:
			return firstNumber(r)
		case !found(&r.Ops[0]).Exists():
			return refused(errNoSuchKey)
		default:
			return resp.Int(0)
		}
	}, nil
}

func copyKey(c *call) (render, error) {
	replace := false
	for w := c.options(3); w.more(); {
		switch option := w.next(); {
		case is(option, "REPLACE"):
			replace = true
		case is(option, "DB") && w.more():
			n, err := integer(w.next())
			if err != nil {
				return nil, err
			}
			if n != 0 {
				return nil, errDBIndex
			}
		default:
			return nil, errSyntax
		}
	}
	if c.str(1) == c.str(2) {
		return nil, errSameObject
	}
	c.do(moveOp(c, mvcc.ModifyCopy))
	if !replace {
		c.require(missing(c.str(2)))
	}
	return copyReply, nil
}

func copyReply(r *mvcc.Result) resp.Value {
	if !r.Succeeded {
		return resp.Int(0)
	}
	return firstNumber(r)
}

func swapDB(*call) (render, error) { return nil, errSwapDB }

// randomTries bounds how many keys past their deadline RANDOMKEY may meet before it looks at all keys.
const randomTries = 20

func randomKey(_ *call, v *view) (resp.Value, error) {
	for range randomTries {
		r := v.store.Sample(rand.Uint64())
		if !r.Exists() {
			return resp.Null(), nil
		}
		if v.alive(r).Exists() {
			return resp.Bulk(r.Key()), nil
		}
	}
	all, err := v.rangeNow(mvcc.PrefixSpan(""), mvcc.RangeOptions{})
	if err != nil {
		return resp.Value{}, opError(err)
	}
	return pickKey(nil, all), nil
}

func planRandomKey(c *call) render {
	return wideRead(c, mvcc.PrefixSpan(""), mvcc.RangeOptions{}, pickKey)
}

// pickKey draws when the result is rendered: what is applied must be the same on every member.
func pickKey(_ *call, all mvcc.RangeResult) resp.Value {
	if len(all.Records) == 0 {
		return resp.Null()
	}
	return resp.Bulk(all.Records[rand.IntN(len(all.Records))].Key())
}
