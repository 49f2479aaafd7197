package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// The grammar of etcdctl txn: three parts, each ended by a blank line or by the end of the input.

// badInput marks a transaction that cannot be understood; nothing was sent.
type badInput struct{ error }

func (e badInput) Unwrap() error { return e.error }

func readTxn(in *bufio.Reader, prompt io.Writer) (*transaction, error) {
	t := &transaction{}
	fmt.Fprintln(prompt, "compares:")
	err := eachLine(in, func(line string) error {
		guard, err := parseCompare(line)
		t.guards = append(t.guards, guard...)
		t.compares++
		return err
	})
	for i, what := range [2]string{"success", "failure"} {
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(prompt, "%s requests (get, put, del):\n", what)
		err = eachLine(in, func(line string) error {
			r, err := parseRequest(line)
			t.branches[i] = append(t.branches[i], r)
			return err
		})
	}
	return t, err
}

// eachLine calls fn with the lines of one part, without the space around them.
func eachLine(in *bufio.Reader, fn func(line string) error) error {
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			if bad := fn(line); bad != nil {
				return bad
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line == "":
			return nil
		}
	}
}

var compareTargets = map[string]string{
	"ver": "version", "version": "version", "c": "create", "create": "create", "m": "mod", "mod": "mod",
	"val": "value", "value": "value", "lease": "lease",
}

// parseCompare reads target("key") operator "operand" and returns KV.TXN's guard.
func parseCompare(line string) ([]any, error) {
	name, rest, ok := strings.Cut(line, "(")
	var key, op, operand string
	if !ok {
		return nil, fmt.Errorf("malformed comparison: %s", line)
	}
	if n, _ := fmt.Sscanf(rest, "%q) %s %q", &key, &op, &operand); n != 3 {
		return nil, fmt.Errorf("malformed comparison: %s; got %s(%q) %s %q", line, name, key, op, operand)
	}
	target, ok := compareTargets[strings.TrimSpace(name)]
	if !ok {
		return nil, fmt.Errorf("malformed comparison: %s (unknown target %s)", line, name)
	}
	switch op {
	case "=", "!=", "<", ">":
	default:
		return nil, fmt.Errorf("malformed comparison: %s (unknown operator %s)", line, op)
	}
	var err error
	switch target {
	case "value":
	case "lease":
		_, err = strconv.ParseUint(operand, 16, 64)
	default:
		_, err = strconv.ParseInt(operand, 10, 64)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid txn compare request: %s", line)
	}
	return []any{target, key, op, operand}, nil
}

// parseRequest reads a command line of get, put or del.
func parseRequest(line string) (r txnRequest, err error) {
	words, err := requestWords(line)
	if err != nil || len(words) < 2 {
		return r, fmt.Errorf("invalid txn compare request: %s", line)
	}
	root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	root.AddCommand(requestGet(&r), requestPut(&r), requestDel(&r))
	root.SetArgs(words)
	if err := root.Execute(); err != nil {
		return r, fmt.Errorf("invalid txn request: %s (%w)", line, err)
	}
	if r.args == nil { // help was asked for
		return r, fmt.Errorf("invalid txn request: %s", line)
	}
	return r, nil
}

var requestWord = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*`)

// requestWords splits a line: "double quotes" with Go's escapes, 'single quotes' without.
func requestWords(line string) ([]string, error) {
	words := requestWord.FindAllString(line, -1)
	for i, w := range words {
		switch w[0] {
		case '\'':
			words[i] = w[1 : len(w)-1]
		case '"':
			text, err := strconv.Unquote(w)
			if err != nil {
				return nil, err
			}
			words[i] = text
		}
	}
	return words, nil
}

func requestGet(r *txnRequest) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{Use: "get", RunE: func(_ *cobra.Command, keys []string) (err error) {
		r.args, err = o.args(keys)
		o.valuesOnly = false // as in etcdctl
		r.kind, r.reply = "ResponseRange", func(raw any, h header) (printable, error) {
			return rangeReplyOf(raw, h, o)
		}
		return err
	}}
	o.flags(cmd)
	return cmd
}

func requestPut(r *txnRequest) *cobra.Command {
	var o putOptions
	cmd := &cobra.Command{Use: "put", RunE: func(_ *cobra.Command, given []string) (err error) {
		r.args, err = o.args(given, strings.NewReader("")) // the lines are standard input already
		if len(given) == 1 && !o.ignoreValue {
			return badArgsf("put command needs 2 arguments")
		}
		r.kind, r.reply = "ResponsePut", func(raw any, h header) (printable, error) {
			return putReplyOf(raw, h, o)
		}
		return err
	}}
	o.flags(cmd)
	return cmd
}

func requestDel(r *txnRequest) *cobra.Command {
	var o delOptions
	cmd := &cobra.Command{Use: "del", RunE: func(_ *cobra.Command, keys []string) (err error) {
		r.args, err = o.args(keys)
		r.kind, r.reply = "ResponseDeleteRange", func(raw any, h header) (printable, error) {
			return delReplyOf(raw, h, o)
		}
		return err
	}}
	o.flags(cmd)
	return cmd
}
