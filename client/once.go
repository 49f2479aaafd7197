package client

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Calls that are made once.
//
// By default go-redis sends a command up to three times more when its connection broke before the reply came.
// What had been done by then is done again: a transaction runs twice, and a release that has succeeded is
// answered LOCKLOST, as if the lock had been lost before. So what must not be repeated says so to the
// library; an error that is not the server's then leaves open whether it was done.

// processor is what go-redis's clients have for commands of one's own making.
type processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// onceCmd is a command that go-redis does not repeat.
type onceCmd struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (onceCmd) NoRetry() bool { return true }

// Clone implements redis.Cmder.
func (o onceCmd) Clone() redis.Cmder { return onceCmd{o.Cmd.Clone().(*redis.Cmd)} }

// once makes a call that reaches the server at most once.
func once(ctx context.Context, c doer, words ...any) *redis.Cmd {
	p, ok := c.(processor)
	if !ok {
		return c.Do(ctx, words...)
	}
	cmd := redis.NewCmd(ctx, words...)
	_ = p.Process(ctx, onceCmd{cmd}) // the error stands in cmd
	return cmd
}
