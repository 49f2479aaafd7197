package cluster

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger gives hashicorp's libraries a slog.Logger. Their info level says what an operator wants at
// debug ("entering follower state", each connection), so info is lowered by one step and trace is dropped.
type raftLogger struct {
	hclog.Logger // the methods nobody calls
	out          *slog.Logger
	name         string
	with         []any

	toldElection *atomic.Int64 // when it was last told that no election succeeds, in Unix nanoseconds
}

func newRaftLogger(out *slog.Logger, name string) hclog.Logger {
	return &raftLogger{Logger: hclog.NewNullLogger(), out: out.With("part", name), name: name,
		toldElection: new(atomic.Int64)}
}

func toSlog(l hclog.Level) slog.Level {
	switch l {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// routine messages come with every try to reach a peer that is down, with every connection that ends, or with
// every look at the snapshots while one is being written. That the peer is down is logged by raft itself
// ("failed to contact") once per timeout.
var routine = map[string]bool{
	"failed to appendEntries to":        true,
	"failed to heartbeat to":            true,
	"failed to decode incoming command": true,
	"failed to flush response":          true,
	"failed to make requestVote RPC":    true,
	"failed to pre-vote":                true,
	"found temporary snapshot":          true,
	electionAgain:                       true,
}

// electionAgain is what raft says at the end of each election without a winner: about once a second, for as
// long as no majority runs. Told is what that means, once in electionTold.
const (
	electionAgain = "Election timeout reached, restarting election"
	electionTold  = 10 * time.Second
)

func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	if msg == electionAgain {
		l.maybeTellElection()
	}
	if routine[msg] {
		level = hclog.Debug
	}
	if level != hclog.Trace {
		l.out.Log(context.Background(), toSlog(level), msg, plain(args)...)
	}
}

func (l *raftLogger) maybeTellElection() {
	last, now := l.toldElection.Load(), time.Now().UnixNano()
	if now-last >= int64(electionTold) && l.toldElection.CompareAndSwap(last, now) {
		l.out.Warn("no leader yet: a majority of the voters must run and reach one another")
	}
}

// plain resolves hclog.Fmt values, which slog would print as slices.
func plain(args []any) []any {
	for _, a := range args {
		if _, ok := a.(hclog.Format); ok {
			return resolve(args)
		}
	}
	return args
}

func (l *raftLogger) Trace(string, ...any)             {}
func (l *raftLogger) Debug(msg string, args ...any)    { l.Log(hclog.Debug, msg, args...) }
func (l *raftLogger) Info(msg string, args ...any)     { l.Log(hclog.Info, msg, args...) }
func (l *raftLogger) Warn(msg string, args ...any)     { l.Log(hclog.Warn, msg, args...) }
func (l *raftLogger) Error(msg string, args ...any)    { l.Log(hclog.Error, msg, args...) }
func (l *raftLogger) IsTrace() bool                    { return false }
func (l *raftLogger) IsInfo() bool                     { return l.IsDebug() }
func (l *raftLogger) IsWarn() bool                     { return true }
func (l *raftLogger) IsError() bool                    { return true }
func (l *raftLogger) Name() string                     { return l.name }
func (l *raftLogger) ImpliedArgs() []any               { return l.with }
func (l *raftLogger) Named(n string) hclog.Logger      { return newRaftLogger(l.out, n) }
func (l *raftLogger) ResetNamed(n string) hclog.Logger { return newRaftLogger(l.out, n) }

func (l *raftLogger) With(args ...any) hclog.Logger {
	return &raftLogger{Logger: l.Logger, out: l.out.With(plain(args)...), name: l.name, with: args,
		toldElection: l.toldElection}
}

func (l *raftLogger) IsDebug() bool {
	return l.out.Enabled(context.Background(), slog.LevelDebug)
}

func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.out.Handler(), slog.LevelDebug)
}

func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return io.Discard }

func resolve(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			format, _ := f[0].(string)
			a = fmt.Sprintf(format, f[1:]...)
		}
		out[i] = a
	}
	return out
}
