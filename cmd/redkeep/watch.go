package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	api "github.com/redkeep/redkeep/client"
)

// watchOptions are the flags of one watch.
type watchOptions struct {
	prefix, fromKey, prev, progress, interactive bool
	rev                                          int64
}

func newWatch(c *client) *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch [flags] [key [range-end]] [-- command [arguments]]",
		Short: "Print changes of keys as they happen, or from a past revision on",
		Long: `Print the changes of a key, or with --prefix of every key that begins with it, until interrupted.
When the connection or its node is lost the watch goes on through another endpoint, without a gap. It ends
with an error if none answers when it begins; later it waits for one, and says so.

A command after "--" is run for each change, with REDKEEP_WATCH_REVISION, REDKEEP_WATCH_EVENT_TYPE,
REDKEEP_WATCH_KEY and REDKEEP_WATCH_VALUE in its environment.

With --interactive, watches are read from standard input, one to a line:
  watch [--prefix] [--rev n] [--prev-kv] key [range-end] [-- command [arguments]]`,
		Annotations: noTable,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if o.interactive {
				return c.watchLines(ctx)
			}
			keys, command := splitCommand(args, cmd.ArgsLenAtDash())
			return c.watchOne(ctx, o, keys, command)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().BoolVarP(&o.interactive, "interactive", "i", false, "read watches from standard input")
	return cmd
}

func (o *watchOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.prefix, "prefix", false, "watch every key that begins with the key")
	f.BoolVar(&o.fromKey, "from-key", false, "watch every key that is not below the key")
	f.BoolVar(&o.prev, "prev-kv", false, "print the key and value it had before")
	f.BoolVar(&o.progress, "progress-notify", false, "print how far the watch has come when nothing happens")
	f.Int64Var(&o.rev, "rev", 0, "print changes from this revision on, history first")
}

func splitCommand(args []string, dash int) (keys, command []string) {
	if dash < 0 {
		return args, nil
	}
	return args[:dash], args[dash:]
}

// options checks one watch and translates it.
func (o *watchOptions) options(keys []string) (options []api.Option, err error) {
	switch {
	case len(keys) == 0 || len(keys) > 2:
		return nil, badArgsf("bad number of arguments: watch needs a key and, if any, a range end")
	case o.prefix && o.fromKey:
		return nil, badArgsf("`--prefix` and `--from-key` cannot be set at the same time")
	case len(keys) == 2 && (o.prefix || o.fromKey):
		return nil, badArgsf("a range end cannot be set with `--prefix` or `--from-key`")
	case len(keys) == 2 && keys[1] <= keys[0]:
		return nil, badArgsf("the range is empty: its end must be above its start")
	case o.rev < 0:
		return nil, badArgsf("--rev %d: must not be negative", o.rev)
	}
	add := func(yes bool, option api.Option) {
		if yes {
			options = append(options, option)
		}
	}
	add(o.prefix, api.WithPrefix())
	add(o.fromKey, api.WithFromKey())
	add(o.prev, api.WithPrev())
	add(o.progress, api.WithProgress())
	add(o.rev > 0, api.WithRev(api.Revision(o.rev)))
	if len(keys) == 2 {
		options = append(options, api.WithRange(keys[1]))
	}
	return options, nil
}

// watchOne prints one watch until ctx ends.
func (c *client) watchOne(ctx context.Context, o watchOptions, keys, command []string) error {
	options, err := o.options(keys)
	if err != nil {
		return err
	}
	one := *c
	one.err = &lockedOutput{w: c.err} // the notices come from another goroutine
	w, err := api.New(api.Config{
		Endpoints: c.endpoints, Username: c.user, Password: c.password, TLS: c.tls.config,
		DialTimeout: min(dialTimeout, c.timeout),
		Notice: func(err error) {
			fmt.Fprintf(one.err, "watch: no endpoint serves it now; it goes on when one does: %v\n", err)
		},
	})
	if err != nil {
		return err
	}
	defer w.Close()
	for r := range w.Watch(ctx, keys[0], append(options, api.WithFirstAnswer())...) {
		if r.Err != nil {
			return watchEnded(r)
		}
		if err := one.watched(ctx, r, command); err != nil {
			return err
		}
	}
	return nil
}

func watchEnded(r api.Response) error {
	if errors.Is(r.Err, api.ErrCompacted) {
		return fmt.Errorf("watch was canceled: required revision has been compacted; the oldest is %d",
			r.CompactRevision)
	}
	if errors.Is(r.Err, api.ErrUnreachable) {
		return errors.New(strings.TrimPrefix(r.Err.Error(), "client: "))
	}
	return r.Err
}

// watched prints a response and runs the command for its events.
func (c *client) watched(ctx context.Context, r api.Response, command []string) error {
	if err := c.print(watchReply{r}); err != nil || len(command) == 0 {
		return err
	}
	for i := range r.Events {
		e := &r.Events[i]
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("REDKEEP_WATCH_REVISION=%d", r.Revision),
			fmt.Sprintf("REDKEEP_WATCH_EVENT_TYPE=%q", watchType(e.Type)),
			fmt.Sprintf("REDKEEP_WATCH_KEY=%q", e.Record.Key), fmt.Sprintf("REDKEEP_WATCH_VALUE=%q", e.Record.Value))
		cmd.Stdout, cmd.Stderr = c.out, c.err
		if err := cmd.Run(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("command %q failed: %w", command, err)
		}
	}
	return nil
}

// watchType is etcd's name of a type: it does not tell an expiry from a delete.
func watchType(t api.EventType) string {
	if t == api.Put {
		return "PUT"
	}
	return "DELETE"
}

// watchLines reads watches from standard input and prints them all until it ends.
func (c *client) watchLines(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	lines := &lockedOutput{w: c.out}
	each := *c
	each.out, each.err = lines, &lockedOutput{w: c.err}
	in := bufio.NewScanner(c.in)
	for in.Scan() && ctx.Err() == nil {
		o, keys, command, err := parseWatchLine(in.Text())
		if err != nil {
			fmt.Fprintln(each.err, err)
			continue
		}
		running.Go(func() {
			if err := each.watchOne(ctx, o, keys, command); err != nil {
				fmt.Fprintln(lines, "Error:", err)
			}
		})
	}
	return in.Err()
}

// lockedOutput lets several watches print, a response at a time.
type lockedOutput struct {
	w interface{ Write([]byte) (int, error) }

	mu struct{ sync.Mutex }
}

// Write implements io.Writer.
func (l *lockedOutput) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// lineWords splits a line at spaces; a word may stand in quotes.
var lineWords = regexp.MustCompile(`"([^"]*)"|'([^']*)'|\S+`)

func parseWatchLine(line string) (o watchOptions, keys, command []string, err error) {
	var words []string
	for _, m := range lineWords.FindAllStringSubmatch(line, -1) {
		word := m[0]
		if len(word) > 1 && (word[0] == '"' || word[0] == '\'') {
			word = m[1] + m[2]
		}
		words = append(words, word)
	}
	if len(words) == 0 || words[0] != "watch" {
		return o, nil, nil, fmt.Errorf("invalid command %q: only \"watch\" is understood", line)
	}
	f := pflag.NewFlagSet("watch", pflag.ContinueOnError)
	o.flags(f)
	if err := f.Parse(words[1:]); err != nil {
		return o, nil, nil, err
	}
	keys, command = splitCommand(f.Args(), f.ArgsLenAtDash())
	_, err = o.options(keys)
	return o, keys, command, err
}

// watchReply is one response in etcdctl's forms.
type watchReply struct{ api.Response }

func (r watchReply) simple(p *page) {
	if len(r.Events) == 0 {
		p.line("progress notify: %d", r.Revision)
	}
	for i := range r.Events {
		e := &r.Events[i]
		p.line("%s", watchType(e.Type))
		if e.Prev != nil {
			p.keyAndValue(keyValueOf(e.Prev))
		}
		p.keyAndValue(keyValueOf(&e.Record))
	}
}

func (r watchReply) fields(p *page) {
	p.header(header{Revision: int64(r.Revision)})
	for i := range r.Events {
		e := &r.Events[i]
		p.field("Type", watchType(e.Type))
		if e.Prev != nil {
			p.record("Prev", keyValueOf(e.Prev))
		}
		p.record("", keyValueOf(&e.Record))
	}
}

func keyValueOf(r *api.Record) keyValue {
	kv := keyValue{
		Key: r.Key, Value: r.Value, CreateRevision: int64(r.CreateRevision), ModRevision: int64(r.ModRevision),
		Version: r.Version, Expires: r.Expires,
	}
	_, _ = fmt.Sscanf(r.Lease, "%x", &kv.Lease)
	return kv
}

// watchEvent is an event in etcd's JSON: type 1 is a delete.
type watchEvent struct {
	Type   int       `json:"type,omitempty"`
	KV     keyValue  `json:"kv"`
	PrevKV *keyValue `json:"prev_kv,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (r watchReply) MarshalJSON() ([]byte, error) {
	events := []watchEvent{}
	for i := range r.Events {
		e := watchEvent{KV: keyValueOf(&r.Events[i].Record)}
		if r.Events[i].Type != api.Put {
			e.Type = 1
		}
		if prev := r.Events[i].Prev; prev != nil {
			kv := keyValueOf(prev)
			e.PrevKV = &kv
		}
		events = append(events, e)
	}
	return json.Marshal(struct {
		Header            header
		Events            []watchEvent
		CompactRevision   int64
		Canceled, Created bool
	}{Header: header{Revision: int64(r.Revision)}, Events: events})
}
