package main

import (
	"context"

	"github.com/spf13/cobra"
)

type delOptions struct {
	span
	prevKV bool
}

func newDel(c *client) *cobra.Command {
	var o delOptions
	cmd := &cobra.Command{
		Use:         "del <key> [range_end]",
		Annotations: noTable,
		Short:       "Delete a key or a range of keys and print how many there were",
		RunE:        func(cmd *cobra.Command, args []string) error { return c.del(cmd.Context(), o, args) },
	}
	o.flags(cmd)
	return cmd
}

func (o *delOptions) flags(cmd *cobra.Command) {
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.prevKV, "prev-kv", false, "print the deleted keys and values")
}

// args returns the whole KV.DEL command.
func (o *delOptions) args(keys []string) ([]any, error) {
	where, err := o.span.args("del", keys)
	if err != nil {
		return nil, err
	}
	args := append([]any{"KV.DEL"}, where...)
	if o.prevKV {
		args = append(args, "PREV")
	}
	return args, nil
}

func (c *client) del(ctx context.Context, o delOptions, keys []string) error {
	args, err := o.args(keys)
	if err != nil {
		return err
	}
	raw, h, err := c.ask(ctx, false, args...)
	if err != nil {
		return err
	}
	r, err := delReplyOf(raw, h, o)
	if err != nil {
		return err
	}
	return c.print(r)
}

// delReplyOf reads KV.DEL's reply. Only with the previous records it has a revision, which is the header's.
func delReplyOf(raw any, h header, o delOptions) (delReply, error) {
	r := delReply{Header: h}
	if !o.prevKV {
		r.Deleted, _ = raw.(int64)
		return r, nil
	}
	f, err := fieldsOf(raw)
	if err != nil {
		return r, err
	}
	r.Header.Revision, r.Deleted = f.num("revision"), f.num("deleted")
	r.PrevKVs, err = recordsOf(f.list("prevs"))
	return r, err
}

type delReply struct {
	Header  header     `json:"header"`
	Deleted int64      `json:"deleted,omitempty"`
	PrevKVs []keyValue `json:"prev_kvs,omitempty"`
}

func (r delReply) simple(p *page) {
	p.line("%d", r.Deleted)
	for _, kv := range r.PrevKVs {
		p.keyAndValue(kv)
	}
}

func (r delReply) fields(p *page) {
	p.header(r.Header)
	p.field("Deleted", r.Deleted)
	for _, kv := range r.PrevKVs {
		p.record("Prev", kv)
	}
}
