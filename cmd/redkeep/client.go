package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// client is what every client verb works with: the global flags and the way to a node.
//
// Failover: endpoints are tried in the order given. The next one is tried only when the request was
// certainly not executed (nothing was sent, or the node said so) or when it changes nothing. A write whose
// connection broke after it was sent is reported, never repeated: it may have been done.
//
// An endpoint that accepts connections and says nothing must not use up --command-timeout: while others are
// left, each gets an equal share of what is left of it. A write is sent only to an endpoint that has answered
// a PING in its share, and then has all the time there is.
type client struct {
	streams
	endpoints []string
	timeout   time.Duration
	format    string
	hex       bool
	tls       clientTLS

	user, password, passwordFile string // user "": default
}

const (
	formatSimple = "simple"
	formatJSON   = "json"
	formatTable  = "table"
	formatFields = "fields"

	dialTimeout = 2 * time.Second // etcdctl's

	// More than a node's --request-timeout (5s): a node that has no leader says CLUSTERDOWN then, which means
	// that nothing was done and another may be asked. Who has hung up by then knows nothing.
	commandTimeout = 7 * time.Second
)

func (c *client) addFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringSliceVar(&c.endpoints, "endpoints", []string{"127.0.0.1:6379"}, "nodes to ask, tried in this order")
	f.StringVarP(&c.format, "write-out", "w", formatSimple, "output: simple, json, table or fields")
	f.DurationVar(&c.timeout, "command-timeout", commandTimeout, "time limit of one command")
	f.StringVar(&c.user, "user", "", "name of the user; the password is in REDKEEP_PASSWORD or --password-file")
	f.StringVar(&c.passwordFile, "password-file", "", "file whose first line is the password of --user")
	f.BoolVar(&c.hex, "hex", false, "print keys and values as \\x… bytes")
	c.tls.addFlags(f)
	root.SetGlobalNormalizationFunc(alsoKnownAs)
}

// prepare takes the flags that were not given from the environment and checks them.
func (c *client) prepare(cmd *cobra.Command, environ []string) error {
	var failed error
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		prefix := variableName(f.Name) + "="
		i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, prefix) && e != prefix })
		if f.Changed || i < 0 {
			return
		}
		if err := f.Value.Set(strings.TrimPrefix(environ[i], prefix)); err != nil {
			failed = badArgsf("%s: %w", variableName(f.Name), err)
		}
	})
	if failed == nil {
		failed = c.credentials(environ)
	}
	if failed != nil {
		return failed
	}
	switch {
	case !slices.Contains([]string{formatSimple, formatJSON, formatTable, formatFields}, c.format):
		return badArgsf("unsupported output format %q; use simple, json, table or fields", c.format)
	case c.format == formatTable && cmd.Annotations["table"] == "no":
		return badFeaturef("table not supported as output format")
	case len(c.endpoints) == 0:
		return badArgsf("--endpoints names no node")
	case c.timeout <= 0:
		return badArgsf("--command-timeout %v: must be above 0", c.timeout)
	}
	for _, e := range c.endpoints {
		if checkAddress(e) != nil {
			return badArgsf("--endpoints %q: must be host:port", e)
		}
	}
	return c.tls.prepare()
}

// ask sends one command, with CLUSTER.STATUS in the same pipeline when the output has a header, to the first
// endpoint that takes it.
func (c *client) ask(ctx context.Context, readOnly bool, args ...any) (reply any, h header, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var tried error
	for i, endpoint := range c.endpoints {
		if reply, h, err = c.askInTurn(ctx, endpoint, len(c.endpoints)-i, readOnly, args...); err == nil {
			return reply, h, nil
		}
		if tried = andThen(tried, err); ctx.Err() != nil || !mayTryNext(err, readOnly) {
			break
		}
	}
	return nil, h, withDoubt(tried, err, readOnly)
}

// withDoubt adds to what was tried that the last attempt may have been a write that was done.
func withDoubt(tried, last error, readOnly bool) error {
	var said redis.Error
	if readOnly || errors.As(last, &said) || mayTryNext(last, false) {
		return tried
	}
	return fmt.Errorf("%w; it may have been done: look before you repeat it", tried)
}

// askInTurn asks an endpoint of which so many are left, within its share of the time. See client.
func (c *client) askInTurn(ctx context.Context, endpoint string, left int, readOnly bool, args ...any) (
	reply any, h header, err error) {
	conn := c.connect(endpoint)
	defer conn.Close()
	share, done := shareOf(ctx, left)
	defer done()
	if readOnly || left == 1 {
		return c.askOn(share, conn, endpoint, args...)
	}
	if err := greet(share, conn, endpoint); err != nil {
		return nil, h, err
	}
	return c.askOn(ctx, conn, endpoint, args...)
}

// shareOf is the part of the time that is left for one of so many endpoints.
func shareOf(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok || left <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
}

// unsent is why a request was not sent to an endpoint.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// greet finds out whether a node answers at all. What it says does not matter: the request will hear it, too.
func greet(ctx context.Context, conn *redis.Client, endpoint string) error {
	err := conn.Ping(ctx).Err()
	var said redis.Error
	if err == nil || errors.As(err, &said) {
		return nil
	}
	return unsent{askError{endpoint, err}}
}

// andThen puts two errors on one line.
func andThen(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}

// askOne asks this endpoint only.
func (c *client) askOne(ctx context.Context, endpoint string, args ...any) (reply any, h header, err error) {
	conn := c.connect(endpoint)
	defer conn.Close()
	return c.askOn(ctx, conn, endpoint, args...)
}

func (c *client) askOn(ctx context.Context, conn *redis.Client, endpoint string, args ...any) (
	reply any, h header, err error) {
	pipe := conn.Pipeline()
	answer := pipe.Do(ctx, args...)
	var status *redis.Cmd
	if c.format == formatJSON || c.format == formatFields {
		status = pipe.Do(ctx, "CLUSTER.STATUS")
	}
	_, failed := pipe.Exec(ctx)
	if reply, err = answer.Result(); errors.Is(err, redis.Nil) {
		err = nil
	}
	if err == nil && reply == nil && failed != nil && !errors.Is(failed, redis.Nil) {
		err = failed // nothing was sent: go-redis notes a refused login nowhere else
	}
	if err != nil {
		return nil, h, describe(endpoint, err, failed)
	}
	if status == nil {
		return reply, h, nil
	}
	raw, err := status.Result()
	if err != nil {
		return nil, h, describe(endpoint, err, failed)
	}
	h, err = headerOf(raw)
	return reply, h, err
}

// connect never fails: the connection is made with the first command.
func (c *client) connect(endpoint string) *redis.Client { return c.connectFor(endpoint, c.timeout) }

// connectFor is connect with another time limit for a reply; -1 for none.
func (c *client) connectFor(endpoint string, limit time.Duration) *redis.Client {
	return redis.NewClient(c.optionsFor(endpoint, limit))
}

// optionsFor is how a node is reached.
func (c *client) optionsFor(endpoint string, limit time.Duration) *redis.Options {
	return &redis.Options{
		Addr:                     endpoint,
		TLSConfig:                c.tls.config,
		Protocol:                 2,
		Username:                 c.user,
		Password:                 c.password,
		PoolSize:                 1,
		MaxRetries:               -1, // a repeated write is a second write
		DialTimeout:              min(dialTimeout, c.timeout),
		DialerRetries:            1,
		ReadTimeout:              limit,
		WriteTimeout:             c.timeout,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// askError is an error with the endpoint it came from. Replies of the node are printed as they are.
type askError struct {
	endpoint string
	err      error
}

func (e askError) Unwrap() error { return e.err }

func (e askError) Error() string {
	var said redis.Error
	var op *net.OpError
	var late net.Error
	switch {
	case errors.As(e.err, &said):
		return e.err.Error()
	case errors.As(e.err, &op) && op.Op == "dial":
		return "cannot connect to " + e.endpoint + ": " + plainReason(op.Err).Error()
	case errors.As(e.err, &late) && late.Timeout():
		return "no answer from " + e.endpoint + " in time"
	default:
		return "connection to " + e.endpoint + " failed: " + e.err.Error()
	}
}

// describe prefers the error of the pipeline when the connection broke: the command's own may only echo it.
func describe(endpoint string, err, pipeline error) error {
	var said redis.Error
	if !errors.As(err, &said) && pipeline != nil {
		err = pipeline
	}
	return askError{endpoint: endpoint, err: err}
}

// mayTryNext reports whether another endpoint may be asked after err. See client. readOnly stands for
// whatever may be repeated, renewals of a lease too: they alone of these may be answered UNCERTAIN.
func mayTryNext(err error, readOnly bool) bool {
	var said redis.Error
	if errors.As(err, &said) {
		begins := func(s string) bool { return strings.HasPrefix(said.Error(), s) }
		return slices.ContainsFunc(statesOfNode, begins) || readOnly && begins("UNCERTAIN ")
	}
	var op *net.OpError
	var not unsent
	return readOnly || isDistrust(err) || errors.As(err, &not) || errors.As(err, &op) && op.Op == "dial"
}

// statesOfNode begin the replies that mean "not executed" and that another node may not give. CORRUPT is what
// a member says that has been fenced off.
var statesOfNode = []string{"CLUSTERDOWN ", "BUSY ", "CORRUPT ", "ERR max number of clients"}

// quietLogger drops go-redis's own lines: every failure reaches the user as the verb's error.
type quietLogger struct{}

func (quietLogger) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quietLogger{}) }

// argsBetween is cobra.RangeArgs with etcdctl's text and exit code.
func argsBetween(low, high int, text string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return badArgsf("%s", text)
		}
		return nil
	}
}

// unexpected is the error for a reply of another shape than WIRE promises: the node is of another version.
func unexpected(what string) error {
	return fmt.Errorf("the node's reply has no %s; is it a redkeep node of this version?", what)
}
