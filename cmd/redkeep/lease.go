package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// The lease verbs print what etcdctl prints. On the command line a TTL is in seconds, as there; between the
// program and the node it is in milliseconds, so parts of a second are allowed here.

func newLease(c *client) *cobra.Command {
	cmd := &cobra.Command{Use: "lease <verb>", Short: "Grant, watch over and end leases"}
	var keys, once bool
	grant := leaseVerb("grant <ttl>", "Grant a lease of so many seconds",
		"lease grant command needs TTL argument",
		func(ctx context.Context, arg string) error { return c.leaseGrant(ctx, arg) })
	revoke := leaseVerb("revoke <leaseID>", "End a lease and delete its keys",
		"lease revoke command needs 1 argument",
		func(ctx context.Context, arg string) error { return c.leaseRevoke(ctx, arg) })
	left := leaseVerb("timetolive <leaseID>", "Tell how long a lease has left",
		"lease timetolive command needs lease ID as argument",
		func(ctx context.Context, arg string) error { return c.leaseTimeToLive(ctx, arg, keys) })
	left.Flags().BoolVar(&keys, "keys", false, "also the keys that hang on it")
	keep := leaseVerb("keep-alive <leaseID>", "Renew a lease until interrupted",
		"lease keep-alive command needs lease ID as argument",
		func(ctx context.Context, arg string) error { return c.leaseKeepAlive(ctx, arg, once) })
	keep.Flags().BoolVar(&once, "once", false, "renew it once")
	list := &cobra.Command{Use: "list", Annotations: noTable, Short: "List the leases", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.leaseList(cmd.Context()) }}
	cmd.AddCommand(grant, revoke, left, list, keep)
	return cmd
}

// leaseVerb is a verb with one argument.
func leaseVerb(use, short, wrong string, run func(context.Context, string) error) *cobra.Command {
	return &cobra.Command{Use: use, Annotations: noTable, Short: short, Args: argsBetween(1, 1, wrong),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args[0]) }}
}

// leaseID reads an id in hexadecimal, with or without leading zeros.
func leaseID(arg string) (string, error) {
	id, err := strconv.ParseUint(arg, 16, 64)
	if err != nil {
		return "", badArgsf("bad lease ID arg (%w), expecting ID in Hex", err)
	}
	return hexID(id), nil
}

func hexID(id uint64) string { return fmt.Sprintf("%016x", id) }

// isNoLease tells the node's word for a lease that is not there.
func isNoLease(err error) bool { return saidKind(err, "NOLEASE") }

// saidKind reports whether a node answered with an error that begins so. Several endpoints may have been
// asked; any of them knows.
func saidKind(err error, prefix string) bool {
	switch e := err.(type) {
	case redis.Error:
		return strings.HasPrefix(e.Error(), prefix)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(one error) bool { return saidKind(one, prefix) })
	default:
		inner := errors.Unwrap(err)
		return inner != nil && saidKind(inner, prefix)
	}
}

func (c *client) leaseGrant(ctx context.Context, arg string) error {
	seconds, err := strconv.ParseFloat(arg, 64)
	if err != nil {
		return badArgsf("bad TTL (%w)", err)
	}
	raw, h, err := c.ask(ctx, false, "LEASE.GRANT", int64(seconds*1000))
	if err != nil {
		return fmt.Errorf("failed to grant lease (%w)", err)
	}
	id, _ := raw.(string)
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return unexpected("lease id")
	}
	return c.print(leaseGranted{header: h, ID: int64(n), TTL: wholeSeconds(int64(seconds * 1000))})
}

// wholeSeconds is what etcd counts in; a part of a second that is left counts.
func wholeSeconds(ms int64) int64 { return (ms + 999) / 1000 }

type leaseGranted struct {
	header
	ID    int64
	TTL   int64
	Error string
}

func (r leaseGranted) simple(p *page) {
	p.line("lease %016x granted with TTL(%ds)", uint64(r.ID), r.TTL)
}

func (r leaseGranted) fields(p *page) {
	p.header(r.header)
	p.field("ID", r.ID)
	p.field("TTL", r.TTL)
}

func (c *client) leaseRevoke(ctx context.Context, arg string) error {
	id, err := leaseID(arg)
	if err != nil {
		return err
	}
	_, h, err := c.ask(ctx, false, "LEASE.REVOKE", id)
	if err != nil {
		return fmt.Errorf("failed to revoke lease (%w)", err)
	}
	return c.print(leaseRevoked{Header: h, id: id})
}

type leaseRevoked struct {
	Header header `json:"header"`
	id     string
}

func (r leaseRevoked) simple(p *page) { p.line("lease %s revoked", r.id) }
func (r leaseRevoked) fields(p *page) { p.header(r.Header) }

func (c *client) leaseTimeToLive(ctx context.Context, arg string, keys bool) error {
	id, err := leaseID(arg)
	if err != nil {
		return err
	}
	words := []any{"LEASE.TTL", id}
	if keys {
		words = append(words, "KEYS")
	}
	n, _ := strconv.ParseUint(id, 16, 64)
	r := leaseTime{ID: int64(n), TTL: -1, withKeys: keys}
	raw, h, err := c.ask(ctx, true, words...)
	r.header = h
	if isNoLease(err) {
		return c.print(r)
	}
	if err != nil {
		return err
	}
	f, err := fieldsOf(raw)
	if err != nil {
		return err
	}
	r.TTL, r.Granted = f.num("remaining")/1000, wholeSeconds(f.num("granted"))
	for _, key := range f.texts("keys") {
		r.Keys = append(r.Keys, []byte(key))
	}
	return c.print(r)
}

type leaseTime struct {
	header
	ID       int64    `json:"id"`
	TTL      int64    `json:"ttl"`
	Granted  int64    `json:"granted-ttl"`
	Keys     [][]byte `json:"keys"`
	withKeys bool
}

func (r leaseTime) simple(p *page) {
	if r.TTL < 0 {
		p.line("lease %016x already expired", uint64(r.ID))
		return
	}
	fmt.Fprintf(p, "lease %016x granted with TTL(%ds), remaining(%ds)", uint64(r.ID), r.Granted, r.TTL)
	if r.withKeys {
		texts := make([]string, len(r.Keys))
		for i, key := range r.Keys {
			texts[i] = string(key)
		}
		fmt.Fprintf(p, ", attached keys(%v)", texts)
	}
	p.line("")
}

func (r leaseTime) fields(p *page) {
	p.header(r.header)
	p.field("ID", r.ID)
	p.field("TTL", r.TTL)
	p.field("GrantedTTL", r.Granted)
	for _, key := range r.Keys {
		p.field("Key", key)
	}
}

func (c *client) leaseList(ctx context.Context) error {
	raw, h, err := c.ask(ctx, true, "LEASE.LIST")
	if err != nil {
		return err
	}
	r := leaseIDs{header: h}
	list, _ := raw.([]any)
	for _, one := range list {
		f, err := fieldsOf(one)
		if err != nil {
			return err
		}
		r.Leases = append(r.Leases, leaseOnly{int64(f.id("id"))})
	}
	return c.print(r)
}

type leaseOnly struct {
	ID int64 `json:"id"`
}

type leaseIDs struct {
	header
	Leases []leaseOnly `json:"leases"`
}

func (r leaseIDs) simple(p *page) {
	p.line("found %d leases", len(r.Leases))
	for _, one := range r.Leases {
		p.line("%016x", uint64(one.ID))
	}
}

func (r leaseIDs) fields(p *page) {
	p.header(r.header)
	for _, one := range r.Leases {
		p.field("ID", one.ID)
	}
}

// leaseKeepAlive renews a lease three times in its TTL until it is gone or the program is interrupted. What
// cannot be reached now may be reached next time: only the node's word ends it.
func (c *client) leaseKeepAlive(ctx context.Context, arg string, once bool) error {
	id, err := leaseID(arg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for {
		ttl, h, err := c.keepAlive(ctx, id)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && once:
			return err
		case isNoLease(err):
			return c.printGone(id)
		case err == nil:
			if err := c.print(leaseKept{h, id, wholeSeconds(ttl.Milliseconds())}); err != nil || once {
				return err
			}
		}
		select {
		case <-time.After(max(ttl/3, 100*time.Millisecond)):
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *client) keepAlive(ctx context.Context, id string) (ttl time.Duration, h header, err error) {
	raw, h, err := c.ask(ctx, true, "LEASE.KEEPALIVE", id)
	if err != nil {
		return 0, h, err
	}
	ms, ok := raw.(int64)
	if !ok {
		return 0, h, unexpected("time")
	}
	return time.Duration(ms) * time.Millisecond, h, nil
}

type leaseKept struct {
	h   header
	id  string
	ttl int64
}

func (r leaseKept) MarshalJSON() ([]byte, error) {
	n, _ := strconv.ParseUint(r.id, 16, 64)
	return marshalJSON(struct {
		header
		ID, TTL int64
	}{r.h, int64(n), r.ttl})
}

func (r leaseKept) simple(p *page) { p.line("lease %s keepalived with TTL(%d)", r.id, r.ttl) }

func (r leaseKept) fields(p *page) {
	n, _ := strconv.ParseUint(r.id, 16, 64)
	p.header(r.h)
	p.field("ID", int64(n))
	p.field("TTL", r.ttl)
}

// printGone ends keep-alive; only the simple form says anything.
func (c *client) printGone(id string) error {
	if c.format != formatSimple {
		return nil
	}
	_, err := fmt.Fprintf(c.out, "lease %s expired or revoked.\n", id)
	return err
}
