package commands

import (
	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var (
	kvSpanArg = argOneOf("range", argString("end").after("TO"), argToken("PREFIX"), argToken("FROMKEY")).opt()
	kvAtArg   = argInteger("revision").after("AT").opt()
	kvLocal   = argToken("SERIALIZABLE").opt()
)

var kvRows = []Command{
	{Name: "kv.get", Arity: -2, Kind: KindRead, Flags: FlagFast, Keys: oneKey("RO access"), Group: "kv",
		Since: "0.1.0", Complexity: "O(log N)", Summary: "Returns the record of a key, now or at a revision.",
		Args: args(argKey("key"), kvAtArg, kvLocal), read: kvGet, planMulti: planKvGet,
		local: kvReadsLocally},
	{Name: "kv.range", Arity: -2, Kind: KindRead, Keys: oneKey("RO access"), Group: "kv", Since: "0.1.0",
		Complexity: "O(log N + M) where M is the number of keys of the range.",
		Summary:    "Returns the records of a range of keys, now or at a revision.",
		Args: args(argKey("from"), kvSpanArg, kvAtArg, argInteger("limit").after("LIMIT").opt(),
			argToken("DESC").opt(), argOneOf("reduce", argToken("KEYSONLY"), argToken("COUNTONLY")).opt(),
			argOneOf("order", argToken("KEY"), argToken("VERSION"), argToken("CREATE"), argToken("MOD"),
				argToken("VALUE")).after("SORT").opt(),
			argInteger("min-mod").after("MINMOD").opt(), argInteger("max-mod").after("MAXMOD").opt(),
			argInteger("min-create").after("MINCREATE").opt(),
			argInteger("max-create").after("MAXCREATE").opt(), kvLocal),
		read: kvRange, planMulti: planKvRange, local: kvReadsLocally, also: reachRange},
	{Name: "kv.put", Arity: -3, Kind: KindWrite, Flags: FlagDenyOOM | FlagFast, Keys: oneKey("RW access update"),
		Group: "kv", Since: "0.1.0", Complexity: "O(log N)", Summary: "Writes a key and returns the revision.",
		Args: args(argKey("key"), argString("value"), argString("id").after("LEASE").opt(),
			argToken("PREV").opt(), argToken("IGNOREVALUE").opt(), argToken("IGNORELEASE").opt()), plan: kvPut,
		accessOf: putAccess, also: reachPut},
	{Name: "kv.del", Arity: -2, Kind: KindWrite, Keys: oneKey("RM delete"), Group: "kv", Since: "0.1.0",
		Complexity: "O(log N + M) where M is the number of keys deleted.",
		Summary:    "Deletes a range of keys in one revision.",
		Args:       args(argKey("from"), kvSpanArg, argToken("PREV").opt()), plan: kvDel,
		accessOf: delAccess, also: reachDel},
	{Name: "kv.compact", Arity: -2, Kind: KindWrite, Flags: FlagNoMulti, Group: "kv", Categories: CatDangerous,
		Since: "0.1.0", Complexity: "O(1); the removal behind it takes small steps.",
		Summary: "Ends the history below a revision, which itself stays readable.",
		Args:    args(argInteger("revision"), argToken("PHYSICAL").opt()), plan: kvCompact},
	{Name: "kv.history", Arity: -2, Kind: KindRead, Keys: oneKey("RO access"), Group: "kv", Since: "0.1.0",
		Complexity: "O(M) where M is the number of changes returned.",
		Summary:    "Returns the changes of a key, newest first, back to the compacted revision.",
		Args:       args(argKey("key"), argInteger("limit").after("LIMIT").opt()), read: kvHistory,
		planMulti: planKvHistory},
	{Name: "kv.hash", Arity: -1, Kind: KindRead, Flags: FlagStale | FlagNoScript, Group: "kv", Since: "0.1.0",
		Complexity: "O(1), or O(N) at an earlier revision.",
		Summary:    "Returns a hash of the state, which is equal on all members at one revision.",
		Args:       args(kvAtArg), read: kvHash, planMulti: planKvHash, also: useAll(acl.Read)},
}

// kvOption is one option word of the KV family; a set of them says which a command takes.
type kvOption uint32

const (
	kvTo kvOption = 1 << iota
	kvPrefix
	kvFromKey
	kvAt
	kvLimit
	kvDesc
	kvKeysOnly
	kvCountOnly
	kvSort
	kvMinMod
	kvMaxMod
	kvMinCreate
	kvMaxCreate
	kvSerializable
	kvLease
	kvPrev
	kvIgnoreValue
	kvIgnoreLease
	kvPhysical
)

// kvWords spells the options, in the order of their bits.
var kvWords = [...]string{"TO", "PREFIX", "FROMKEY", "AT", "LIMIT", "DESC", "KEYSONLY", "COUNTONLY", "SORT",
	"MINMOD", "MAXMOD", "MINCREATE", "MAXCREATE", "SERIALIZABLE", "LEASE", "PREV", "IGNOREVALUE",
	"IGNORELEASE", "PHYSICAL"}

const (
	kvSpanOptions  = kvTo | kvPrefix | kvFromKey
	kvGetOptions   = kvAt | kvSerializable
	kvRangeOptions = kvSpanOptions | kvAt | kvLimit | kvDesc | kvKeysOnly | kvCountOnly | kvSort | kvMinMod |
		kvMaxMod | kvMinCreate | kvMaxCreate | kvSerializable
	kvPutOptions = kvLease | kvPrev | kvIgnoreValue | kvIgnoreLease
	kvDelOptions = kvSpanOptions | kvPrev
)

// kvOptions are the options of any KV command. given tells which words stood there.
type kvOptions struct {
	given kvOption
	end   []byte
	rng   mvcc.RangeOptions
	lease mvcc.LeaseID
}

func (o *kvOptions) has(w kvOption) bool { return o.given&w != 0 }

// parseKV reads the options from word i on, each at most once and none that contradicts another.
func parseKV(c *call, i int, allowed kvOption) (o kvOptions, err error) {
	for w := c.options(i); w.more(); {
		option := kvOptionOf(w.next())
		if option&allowed == 0 || o.has(option) {
			return o, errSyntax
		}
		o.given |= option
		if err := o.operand(&w, option); err != nil {
			return o, err
		}
	}
	for _, exclusive := range [...]kvOption{kvSpanOptions, kvKeysOnly | kvCountOnly} {
		if both := o.given & exclusive; both&(both-1) != 0 {
			return o, errSyntax
		}
	}
	return o, nil
}

func kvOptionOf(word []byte) kvOption {
	for i, known := range kvWords {
		if is(word, known) {
			return 1 << i
		}
	}
	return 0
}

// operand reads what stands behind an option.
func (o *kvOptions) operand(w *words, option kvOption) (err error) {
	switch option {
	case kvTo:
		o.end, err = w.operand()
	case kvSort:
		err = o.sort(w)
	case kvLease:
		err = o.leaseID(w)
	case kvDesc:
		o.rng.Desc = true
	case kvCountOnly:
		o.rng.CountOnly = true
	case kvLimit:
		o.rng.Limit, err = w.count()
	default:
		if at := o.revision(option); at != nil {
			var n int64
			n, err = w.count()
			*at = mvcc.Revision(n)
		}
	}
	return err
}

// revision is where the revision behind an option goes; nil iff the option has none.
func (o *kvOptions) revision(option kvOption) *mvcc.Revision {
	switch option {
	case kvAt:
		return &o.rng.At
	case kvMinMod:
		return &o.rng.MinMod
	case kvMaxMod:
		return &o.rng.MaxMod
	case kvMinCreate:
		return &o.rng.MinCreate
	case kvMaxCreate:
		return &o.rng.MaxCreate
	default:
		return nil
	}
}

func (o *kvOptions) sort(w *words) error {
	target, err := w.operand()
	if err != nil {
		return err
	}
	for i, known := range [...]string{"KEY", "VERSION", "CREATE", "MOD", "VALUE"} {
		if is(target, known) {
			o.rng.Sort = mvcc.SortTarget(i)
			return nil
		}
	}
	return errSyntax
}

func (o *kvOptions) leaseID(w *words) error {
	word, err := w.operand()
	if err != nil {
		return err
	}
	o.lease, err = parseLeaseID(word)
	return err
}

// span is the range that begins at word i.
func (o *kvOptions) span(c *call, i int) mvcc.Span {
	from := c.str(i)
	switch {
	case o.has(kvTo):
		return mvcc.Span{From: from, End: alias(o.end), Kind: mvcc.SpanRange}
	case o.has(kvPrefix):
		return mvcc.PrefixSpan(from)
	case o.has(kvFromKey):
		return mvcc.Span{From: from, Kind: mvcc.SpanFrom}
	default:
		return mvcc.KeySpan(from)
	}
}

// kvReadsLocally reports whether SERIALIZABLE stands there as an option; malformed calls go the usual way.
func kvReadsLocally(c *call) bool {
	if len(c.args) == 2 {
		return false
	}
	o, err := parseKV(c, 2, kvRangeOptions)
	return err == nil && o.has(kvSerializable)
}

func kvGet(c *call, v *view) (resp.Value, error) {
	o, err := parseKV(c, 2, kvGetOptions)
	if err != nil {
		return resp.Value{}, err
	}
	if o.rng.At == 0 {
		return record(v.get(c.str(1)), true), nil
	}
	r, err := v.store.GetAt(c.str(1), o.rng.At)
	if err != nil {
		return resp.Value{}, opError(err)
	}
	return record(r, true), nil
}

// record is a record as the KV family shows it, or null for none.
func record(r mvcc.Record, withValue bool) resp.Value {
	if !r.Exists() {
		return resp.Null()
	}
	return resp.Map(recordFields(r, withValue)...)
}

func recordFields(r mvcc.Record, withValue bool) []resp.Value {
	value, lease := "", ""
	if withValue {
		value = r.Value()
	}
	if id := r.Lease(); id != 0 {
		lease = leaseText(id)
	}
	return []resp.Value{
		resp.Bulk("key"), resp.Bulk(r.Key()),
		resp.Bulk("value"), resp.Bulk(value),
		resp.Bulk("create_revision"), resp.Int(int64(r.CreateRevision())),
		resp.Bulk("mod_revision"), resp.Int(int64(r.ModRevision())),
		resp.Bulk("version"), resp.Int(r.Version()),
		resp.Bulk("lease"), resp.Bulk(lease),
		resp.Bulk("expires"), resp.Int(int64(r.Deadline())),
	}
}

// records are made while the reply is written: of a large range only handles exist at once.
func records(rs []mvcc.Record, withValues bool) resp.Value {
	return resp.ArrayBy(len(rs), func(i int) resp.Value { return record(rs[i], withValues) })
}

func kvRange(c *call, v *view) (resp.Value, error) {
	o, err := parseKV(c, 2, kvRangeOptions)
	if err != nil {
		return resp.Value{}, err
	}
	found, err := v.rangeNow(o.span(c, 1), o.rng)
	if err != nil {
		return resp.Value{}, opError(err)
	}
	return rangeReply(&found, !o.has(kvKeysOnly)), nil
}

func rangeReply(found *mvcc.RangeResult, withValues bool) resp.Value {
	return resp.Map(
		resp.Bulk("revision"), resp.Int(int64(found.Revision)),
		resp.Bulk("more"), yes(found.More),
		resp.Bulk("count"), resp.Int(found.Count),
		resp.Bulk("kvs"), records(found.Records, withValues),
	)
}

// yes is a truth value: 1 or 0 in both protocols.
func yes(b bool) resp.Value {
	if b {
		return resp.Int(1)
	}
	return resp.Int(0)
}

func kvPut(c *call) (render, error) {
	o, err := parseKV(c, 3, kvPutOptions)
	switch {
	case err != nil:
		return nil, err
	case o.has(kvIgnoreValue) && len(c.args[2]) > 0:
		return nil, errValueGiven
	case o.has(kvIgnoreLease) && o.has(kvLease):
		return nil, errLeaseGiven
	}
	put := mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(c.str(1)), Value: c.str(2), Lease: o.lease}
	if o.has(kvIgnoreValue) {
		put.Flags |= mvcc.FlagKeepValue
	}
	if o.has(kvIgnoreLease) {
		put.Flags |= mvcc.FlagKeepLease
		put.Expiry.Mode = mvcc.ExpiryKeep
	}
	if !o.has(kvPrev) {
		c.do(put)
		return kvPutReply, nil
	}
	put.Flags |= mvcc.FlagPrev
	c.do(put)
	return kvPutPrevReply, nil
}

func kvPutReply(r *mvcc.Result) resp.Value {
	if err := r.Ops[0].Err; err != nil {
		return failed(err)
	}
	return resp.Int(int64(r.Revision))
}

func kvPutPrevReply(r *mvcc.Result) resp.Value {
	if err := r.Ops[0].Err; err != nil {
		return failed(err)
	}
	return resp.Map(
		resp.Bulk("revision"), resp.Int(int64(r.Revision)),
		resp.Bulk("prev"), record(r.Ops[0].Prev, true),
	)
}

func kvDel(c *call) (render, error) {
	o, err := parseKV(c, 2, kvDelOptions)
	if err != nil {
		return nil, err
	}
	op := mvcc.Op{Kind: mvcc.OpDelete, Span: o.span(c, 1)}
	if !o.has(kvPrev) {
		c.do(op)
		return firstNumber, nil
	}
	op.Flags |= mvcc.FlagPrev
	c.do(op)
	return kvDelPrevReply, nil
}

func kvDelPrevReply(r *mvcc.Result) resp.Value {
	return resp.Map(
		resp.Bulk("revision"), resp.Int(int64(r.Revision)),
		resp.Bulk("deleted"), resp.Int(r.Ops[0].N),
		resp.Bulk("prevs"), records(r.Ops[0].Prevs, true),
	)
}

func kvCompact(c *call) (render, error) {
	rev, ok := parseInt(c.args[1])
	if !ok || rev < 0 {
		return nil, errRevision
	}
	o, err := parseKV(c, 2, kvPhysical)
	if err != nil {
		return nil, err
	}
	c.compacts, c.compact, c.physical = true, mvcc.Revision(rev), o.has(kvPhysical)
	return allOK, nil
}

var kindWords = map[mvcc.RecordKind]string{
	mvcc.KindPut: "put", mvcc.KindDelete: "delete", mvcc.KindExpire: "expire",
}

func kvHistory(c *call, v *view) (resp.Value, error) {
	o, err := parseKV(c, 2, kvLimit)
	if err != nil {
		return resp.Value{}, err
	}
	found, err := v.store.History(c.str(1), int(o.rng.Limit))
	if err != nil {
		return resp.Value{}, opError(err)
	}
	return historyReply(found), nil
}

func historyReply(found []mvcc.Record) resp.Value {
	return resp.ArrayBy(len(found), func(i int) resp.Value {
		kind := kindWords[found[i].Kind()]
		return resp.Map(append(recordFields(found[i], true), resp.Bulk("type"), resp.Bulk(kind))...)
	})
}

func kvHash(c *call, v *view) (resp.Value, error) {
	o, err := parseKV(c, 1, kvAt)
	if err != nil {
		return resp.Value{}, err
	}
	rev, hash := v.store.Hash()
	if o.rng.At != 0 {
		rev = o.rng.At
		if hash, err = v.store.HashAt(rev); err != nil {
			return resp.Value{}, opError(err)
		}
	}
	return hashReply(rev, v.store.CompactRevision(), hash), nil
}
