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
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.prevKV, "prev-kv", false, "print the deleted keys and values")
	return cmd
}

func (c *client) del(ctx context.Context, o delOptions, keys []string) error {
	where, err := o.span.args("del", keys)
	if err != nil {
		return err
	}
	args := append([]any{"KV.DEL"}, where...)
	if o.prevKV {
		args = append(args, "PREV")
	}
	raw, h, err := c.ask(ctx, false, args...)
	if err != nil {
		return err
	}
	r := delReply{Header: h}
	if !o.prevKV {
		r.Deleted, _ = raw.(int64)
		return c.print(r)
	}
	f, err := fieldsOf(raw)
	if err != nil {
		return err
	}
	r.Header.Revision, r.Deleted = f.num("revision"), f.num("deleted")
	if r.PrevKVs, err = recordsOf(f.list("prevs")); err != nil {
		return err
	}
	return c.print(r)
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
