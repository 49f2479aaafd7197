package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

type putOptions struct {
	prevKV, ignoreValue, ignoreLease bool
	lease                            string
}

func newPut(c *client) *cobra.Command {
	var o putOptions
	cmd := &cobra.Command{
		Use:         "put <key> [value]",
		Annotations: noTable,
		Short:       "Write a key",
		Long: `Write a key. Without a value it is read from standard input, every byte of it.
A value that begins with a dash goes after "--": redkeep put key -- -1`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.put(cmd.Context(), o, args) },
	}
	o.flags(cmd)
	return cmd
}

func (o *putOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.prevKV, "prev-kv", false, "print the key and value it had before")
	cmd.Flags().StringVar(&o.lease, "lease", "0", "lease ID (in hexadecimal) to attach to the key")
	cmd.Flags().BoolVar(&o.ignoreValue, "ignore-value", false, "keep the value it has")
	cmd.Flags().BoolVar(&o.ignoreLease, "ignore-lease", false, "keep the lease it has")
}

// args returns the whole KV.PUT command.
func (o *putOptions) args(given []string, stdin io.Reader) ([]any, error) {
	value := ""
	switch {
	case o.ignoreValue && len(given) != 1:
		return nil, badArgsf("put command needs only 1 argument when 'ignore-value' is set")
	case o.ignoreValue:
	case len(given) == 2:
		value = given[1]
	case len(given) == 1:
		all, err := io.ReadAll(stdin)
		if err != nil {
			return nil, err
		}
		value = string(all)
	default:
		return nil, badArgsf("put command needs 1 argument and input from stdin or 2 arguments")
	}
	args := []any{"KV.PUT", given[0], value}
	id, err := leaseID(o.lease)
	if err != nil {
		return nil, err
	}
	if id != hexID(0) {
		args = append(args, "LEASE", id)
	}
	if o.prevKV {
		args = append(args, "PREV")
	}
	if o.ignoreValue {
		args = append(args, "IGNOREVALUE")
	}
	if o.ignoreLease {
		args = append(args, "IGNORELEASE")
	}
	return args, nil
}

func (c *client) put(ctx context.Context, o putOptions, given []string) error {
	args, err := o.args(given, c.in)
	if err != nil {
		return err
	}
	raw, h, err := c.ask(ctx, false, args...)
	if err != nil {
		return err
	}
	r, err := putReplyOf(raw, h, o)
	if err != nil {
		return err
	}
	return c.print(r)
}

// putReplyOf reads KV.PUT's reply; the revision in it is the header's.
func putReplyOf(raw any, h header, o putOptions) (putReply, error) {
	r := putReply{Header: h}
	if !o.prevKV {
		r.Header.Revision, _ = raw.(int64)
		return r, nil
	}
	f, err := fieldsOf(raw)
	if err != nil {
		return r, err
	}
	r.Header.Revision = f.num("revision")
	if f["prev"] == nil {
		return r, nil
	}
	kv, err := recordOf(f["prev"])
	r.PrevKV = &kv
	return r, err
}

type putReply struct {
	Header header    `json:"header"`
	PrevKV *keyValue `json:"prev_kv,omitempty"`
}

func (r putReply) simple(p *page) {
	p.line("OK")
	if r.PrevKV != nil {
		p.keyAndValue(*r.PrevKV)
	}
}

func (r putReply) fields(p *page) {
	p.header(r.Header)
	if r.PrevKV != nil {
		p.record("Prev", *r.PrevKV)
	}
}
