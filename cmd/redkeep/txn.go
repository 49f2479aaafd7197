package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

type txnOptions struct {
	interactive bool
	file        string
}

func newTxn(c *client) *cobra.Command {
	var o txnOptions
	cmd := &cobra.Command{
		Use:         "txn",
		Annotations: noTable,
		Short:       "Run one list of requests if all compares hold, else another",
		Long: `Read a transaction from standard input and run it: compares, the requests to run if
all of them hold, the requests to run if not. A blank line ends each part.

  mod("key1") > "0"               mod, create, version: numbers
  value("user1") = "bad"          value: text; lease: hexadecimal digits
                                  operators: = != < >
  get user1                       requests: get, put and del with their flags
  put user1 "good value"

  put user1 other`,
		Args: argsBetween(0, 0, "txn command does not accept argument"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.txn(cmd.Context(), o) },
	}
	cmd.Flags().BoolVarP(&o.interactive, "interactive", "i", false, "on a terminal, say what comes next")
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "read the transaction from this file")
	return cmd
}

func (c *client) txn(ctx context.Context, o txnOptions) error {
	in, prompt := c.in, io.Discard
	if o.file != "" {
		f, err := os.Open(o.file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	} else if o.interactive && isTerminal(c.in) {
		prompt = c.out
	}
	t, err := readTxn(bufio.NewReader(in), prompt)
	if err != nil {
		return badInput{err}
	}
	raw, h, err := c.ask(ctx, false, t.args()...)
	if err != nil {
		return err
	}
	r, err := t.reply(raw, h)
	if err != nil {
		return err
	}
	return c.print(r)
}

func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// txnRequest is one get, put or del of a transaction: its command, and what prints the reply to it.
type txnRequest struct {
	args  []any
	reply func(raw any, h header) (printable, error)
	kind  string // of the reply, as etcd's JSON names it
}

// transaction is one that was read.
type transaction struct {
	guards   []any
	compares int
	branches [2][]txnRequest
}

// args is the whole KV.TXN command.
func (t *transaction) args() []any {
	args := append([]any{"KV.TXN", t.compares}, t.guards...)
	for _, branch := range t.branches {
		args = append(args, len(branch))
		for _, r := range branch {
			args = append(append(args, len(r.args)), r.args...)
		}
	}
	return args
}

func (t *transaction) reply(raw any, h header) (r txnReply, err error) {
	f, err := fieldsOf(raw)
	if err != nil {
		return r, err
	}
	r.Succeeded, r.Header = f.yes("succeeded"), h
	r.Header.Revision = f.num("revision")
	branch := t.branches[0]
	if !r.Succeeded {
		branch = t.branches[1]
	}
	responses := f.list("responses")
	if len(responses) != len(branch) {
		return r, unexpected("responses")
	}
	for i, one := range responses {
		if failed, ok := one.(error); ok {
			return r, fmt.Errorf("request %d failed, the others were done: %w", i+1, failed)
		}
		p, err := branch[i].reply(one, header{Revision: r.Header.Revision})
		if err != nil {
			return r, err
		}
		r.Responses = append(r.Responses, txnResponse{Response: map[string]printable{branch[i].kind: p}})
	}
	return r, nil
}

type txnReply struct {
	Header    header        `json:"header"`
	Succeeded bool          `json:"succeeded,omitempty"`
	Responses []txnResponse `json:"responses,omitempty"`
}

// txnResponse has one reply under its kind's name: etcd's JSON form.
type txnResponse struct {
	Response map[string]printable
}

func (r txnResponse) each(fn func(printable)) {
	for _, p := range r.Response {
		fn(p)
	}
}

func (r txnReply) simple(p *page) {
	if r.Succeeded {
		p.line("SUCCESS")
	} else {
		p.line("FAILURE")
	}
	for _, one := range r.Responses {
		p.line("")
		one.each(func(reply printable) { reply.simple(p) })
	}
}

func (r txnReply) fields(p *page) {
	p.header(r.Header)
	p.field("Succeeded", r.Succeeded)
	for _, one := range r.Responses {
		one.each(func(reply printable) { reply.fields(p) })
	}
}
