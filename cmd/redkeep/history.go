package main

import (
	"context"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newHistory(c *client) *cobra.Command {
	var limit int64
	cmd := &cobra.Command{
		Use:   "history <key>",
		Short: "Print the changes of a key, newest first",
		Long: `Print the changes of a key, newest first, as far back as they have not been compacted:
the revision and the kind of change on one line, the value on the next.`,
		Args: argsBetween(1, 1, "history command needs one argument as key"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.history(cmd.Context(), args[0], limit) },
	}
	cmd.Flags().Int64Var(&limit, "limit", 0, "at most so many changes; 0 for all")
	return cmd
}

func (c *client) history(ctx context.Context, key string, limit int64) error {
	args := []any{"KV.HISTORY", key}
	if limit != 0 {
		args = append(args, "LIMIT", limit)
	}
	raw, h, err := c.ask(ctx, true, args...)
	if err != nil {
		return err
	}
	list, ok := raw.([]any)
	if !ok {
		return unexpected("changes")
	}
	r := historyReply{Header: h}
	for _, e := range list {
		kv, err := recordOf(e)
		if err != nil {
			return err
		}
		f, err := fieldsOf(e)
		if err != nil {
			return err
		}
		r.Changes = append(r.Changes, change{Type: strings.ToUpper(f.text("type")), Kv: kv})
	}
	return c.print(r)
}

// change is one event of a key, in the form of etcd's watch events.
type change struct {
	Type string   `json:"type"`
	Kv   keyValue `json:"kv"`
}

type historyReply struct {
	Header  header   `json:"header"`
	Changes []change `json:"changes,omitempty"`
}

func (r historyReply) simple(p *page) {
	for _, c := range r.Changes {
		p.line("%d %s", c.Kv.ModRevision, c.Type)
		if c.Type == "PUT" {
			p.bytesLine(c.Kv.Value)
		}
	}
}

func (r historyReply) fields(p *page) {
	p.header(r.Header)
	for _, c := range r.Changes {
		p.field("Type", c.Type)
		p.record("", c.Kv)
	}
}

func (r historyReply) table() (head table.Row, rows []table.Row) {
	for _, c := range r.Changes {
		rows = append(rows, table.Row{c.Kv.ModRevision, c.Type, c.Kv.CreateRevision, c.Kv.Version,
			string(c.Kv.Value)})
	}
	return table.Row{"revision", "type", "created", "version", "value"}, rows
}
