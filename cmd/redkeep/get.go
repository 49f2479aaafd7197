package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// span is what names the keys of get and del: a key, a key and an end, a prefix, or a key and all above it.
type span struct {
	prefix, fromKey bool
}

func (s *span) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.prefix, "prefix", false, "every key that begins with key")
	cmd.Flags().BoolVar(&s.fromKey, "from-key", false, "every key that is not below key")
}

// args returns the range in KV.RANGE's grammar.
func (s *span) args(verb string, keys []string) ([]any, error) {
	switch {
	case s.prefix && s.fromKey:
		return nil, badArgsf("`--prefix` and `--from-key` cannot be set at the same time, choose one")
	case len(keys) < 1 || len(keys) > 2:
		return nil, badArgsf("%s command needs one argument as key and an optional argument as range_end", verb)
	case len(keys) == 2 && (s.prefix || s.fromKey):
		return nil, badArgsf("too many arguments, only accept one argument when `--prefix` or `--from-key` is set")
	case s.prefix:
		return []any{keys[0], "PREFIX"}, nil
	case s.fromKey:
		return []any{keys[0], "FROMKEY"}, nil
	case len(keys) == 2:
		return []any{keys[0], "TO", keys[1]}, nil
	default:
		return []any{keys[0]}, nil
	}
}

type getOptions struct {
	span
	consistency, order, sortBy           string
	limit, rev                           int64
	minCreate, maxCreate, minMod, maxMod int64
	keysOnly, countOnly, valuesOnly      bool
}

func newGet(c *client) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:         "get <key> [range_end]",
		Annotations: noTable,
		Short:       "Print a key or a range of keys",
		Long: `Print a key or a range of keys: the key on one line, the value on the next.
With range_end: every key from key up to, but without, range_end.`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.get(cmd.Context(), o, args) },
	}
	o.flags(cmd)
	return cmd
}

func (o *getOptions) flags(cmd *cobra.Command) {
	o.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.consistency, "consistency", "l", "l: linearizable; s: serializable, what this node has now")
	f.StringVar(&o.order, "order", "", "ASCEND or DESCEND (default ASCEND)")
	f.StringVar(&o.sortBy, "sort-by", "", "CREATE, KEY, MODIFY, VALUE or VERSION (default KEY)")
	f.Int64Var(&o.limit, "limit", 0, "at most so many keys; 0 for all")
	f.Int64Var(&o.rev, "rev", 0, "as the store was at this revision; 0 for now")
	f.Int64Var(&o.minCreate, "min-create-rev", 0, "only keys created at this revision or later")
	f.Int64Var(&o.maxCreate, "max-create-rev", 0, "only keys created at this revision or earlier")
	f.Int64Var(&o.minMod, "min-mod-rev", 0, "only keys changed at this revision or later")
	f.Int64Var(&o.maxMod, "max-mod-rev", 0, "only keys changed at this revision or earlier")
	f.BoolVar(&o.keysOnly, "keys-only", false, "leave out the values")
	f.BoolVar(&o.countOnly, "count-only", false, "only the number of keys")
	f.BoolVar(&o.valuesOnly, "print-value-only", false, "only the values, in the simple output format")
}

// args returns the whole KV.RANGE command.
func (o *getOptions) args(keys []string) ([]any, error) {
	where, err := o.span.args("get", keys)
	if err != nil {
		return nil, err
	}
	args := append([]any{"KV.RANGE"}, where...)
	for _, n := range []struct {
		word  string
		value int64
	}{
		{"AT", o.rev}, {"LIMIT", o.limit}, {"MINCREATE", o.minCreate}, {"MAXCREATE", o.maxCreate},
		{"MINMOD", o.minMod}, {"MAXMOD", o.maxMod},
	} {
		if n.value != 0 {
			args = append(args, n.word, n.value)
		}
	}
	if o.keysOnly && o.countOnly {
		return nil, badArgsf("`--keys-only` and `--count-only` cannot be set at the same time, choose one")
	}
	if o.keysOnly && o.valuesOnly {
		return nil, badArgsf("`--keys-only` and `--print-value-only` cannot be set at the same time, choose one")
	}
	if o.keysOnly {
		args = append(args, "KEYSONLY")
	}
	if o.countOnly {
		args = append(args, "COUNTONLY")
	}
	return o.appendOrder(args)
}

func (o *getOptions) appendOrder(args []any) ([]any, error) {
	switch strings.ToUpper(o.order) {
	case "", "ASCEND":
	case "DESCEND":
		args = append(args, "DESC")
	default:
		return nil, badFeaturef("bad sort order %v", o.order)
	}
	if o.sortBy != "" {
		targets := map[string]string{
			"CREATE": "create", "KEY": "key", "MODIFY": "mod", "VALUE": "value", "VERSION": "version",
		}
		target, ok := targets[strings.ToUpper(o.sortBy)]
		if !ok {
			return nil, badFeaturef("bad sort target %v", o.sortBy)
		}
		args = append(args, "SORT", target)
	}
	switch o.consistency {
	case "l":
		return args, nil
	case "s":
		return append(args, "SERIALIZABLE"), nil
	default:
		return nil, badFeaturef("unknown consistency flag %q", o.consistency)
	}
}

func (c *client) get(ctx context.Context, o getOptions, keys []string) error {
	args, err := o.args(keys)
	if err != nil {
		return err
	}
	raw, h, err := c.ask(ctx, true, args...)
	if err != nil {
		return err
	}
	r, err := rangeReplyOf(raw, h, o)
	if err != nil {
		return err
	}
	return c.print(r)
}

// rangeReplyOf reads KV.RANGE's reply; the revision in it is the header's.
func rangeReplyOf(raw any, h header, o getOptions) (r rangeReply, err error) {
	f, err := fieldsOf(raw)
	if err != nil {
		return r, err
	}
	r = rangeReply{More: f.yes("more"), Count: f.num("count"), options: o, Header: h}
	r.Header.Revision = f.num("revision")
	r.Kvs, err = recordsOf(f.list("kvs"))
	return r, err
}

type rangeReply struct {
	Header  header     `json:"header"`
	Kvs     []keyValue `json:"kvs,omitempty"`
	More    bool       `json:"more,omitempty"`
	Count   int64      `json:"count,omitempty"`
	options getOptions
}

func (r rangeReply) simple(p *page) {
	if r.options.countOnly {
		p.line("%d", r.Count)
	}
	for _, kv := range r.Kvs {
		if !r.options.valuesOnly {
			p.bytesLine(kv.Key)
		}
		p.bytesLine(kv.Value)
	}
}

func (r rangeReply) fields(p *page) {
	p.header(r.Header)
	for _, kv := range r.Kvs {
		p.record("", kv)
	}
	p.field("More", r.More)
	p.field("Count", r.Count)
}
