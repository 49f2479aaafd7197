package commands

import (
	"errors"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/rdb"
	"github.com/redkeep/redkeep/resp"
)

var dumpRows = []Command{
	{Name: "dump", Arity: 2, Kind: KindRead, Keys: oneKey("RO access"), Group: "generic", Since: "2.6.0",
		Complexity: "O(N) where N is the length of the value.",
		Summary:    "Returns a value in the form that RESTORE takes, here and in Redis.",
		Tips:       []string{"nondeterministic_output"}, Args: args(argKey("key")),
		read: keyRead(dump).read, planRead: keyRead(dump).plan},
	{Name: "restore", Arity: -4, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("OW update"),
		Group: "generic", Since: "2.6.0", Complexity: "O(N) where N is the length of the value.",
		Summary: "Creates a key from what DUMP returned, here or in Redis.",
		Args: args(argKey("key"), argInteger("ttl"), argString("serialized-value"),
			argToken("REPLACE").opt().from("3.0.0"), argToken("ABSTTL").opt().from("5.0.0"),
			argInteger("seconds").after("IDLETIME").opt().from("5.0.0"),
			argInteger("frequency").after("FREQ").opt().from("5.0.0")), plan: restore},
}

func dump(_ *call, found seen) (resp.Value, error) {
	if !found.one().Exists() {
		return resp.Null(), nil
	}
	return resp.Bulk(rdb.Dump(found.value(0))), nil
}

// restoreOptions is a parsed RESTORE. Idle time and frequency are checked and dropped: nothing is evicted.
type restoreOptions struct{ replace, absolute, idle, freq bool }

func parseRestore(c *call) (o restoreOptions, err error) {
	for w := c.options(4); w.more(); {
		option := w.next()
		switch {
		case is(option, "REPLACE"):
			o.replace = true
		case is(option, "ABSTTL"):
			o.absolute = true
		case is(option, "IDLETIME") && w.more() && !o.freq:
			o.idle, err = true, inRange(w.next(), 1<<63-1, errRestoreIdle)
		case is(option, "FREQ") && w.more() && !o.idle:
			o.freq, err = true, inRange(w.next(), 255, errRestoreFreq)
		default:
			return o, errSyntax
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// inRange refuses what is not between 0 and most.
func inRange(word []byte, most int64, otherwise error) error {
	n, err := integer(word)
	if err == nil && (n < 0 || n > most) {
		return otherwise
	}
	return err
}

func restore(c *call) (render, error) {
	o, err := parseRestore(c)
	if err != nil {
		return nil, err
	}
	ttl, err := integer(c.args[2])
	switch {
	case err != nil:
		return nil, err
	case ttl < 0:
		return nil, errRestoreTTL
	}
	put := mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(c.str(1))}
	if ttl > 0 {
		if put.Expiry, err = c.deadline(ttl, false, o.absolute); err != nil {
			return nil, err
		}
	}
	if put.Value, err = undump(c.args[3]); err != nil {
		return nil, err
	}
	c.do(put)
	if o.replace {
		return allOK, nil
	}
	c.require(missing(c.str(1)))
	return restoreReply, nil
}

// undump reads a payload; its errors are Redis's.
func undump(payload []byte) (string, error) {
	value, err := rdb.Undump(payload)
	switch {
	case errors.Is(err, rdb.ErrChecksum):
		err = errDumpVersion
	case errors.Is(err, rdb.ErrType):
		err = errDumpType
	case err != nil:
		err = errDumpFormat
	}
	return value, err
}

func restoreReply(r *mvcc.Result) resp.Value {
	if !r.Succeeded {
		return refused(errBusyKey)
	}
	return allOK(r)
}
