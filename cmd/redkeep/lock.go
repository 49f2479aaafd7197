package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
)

func newLock(c *client) *cobra.Command {
	ttl := 10
	cmd := &cobra.Command{
		Use:         "lock <name> [-- command arguments...]",
		Annotations: noTable,
		Short:       "Acquire a lock, and hold it or run a command under it",
		Long: `Acquire a lock. Without a command its key is printed and the lock is held until the program is
interrupted. A command runs with REDKEEP_LOCK_KEY and REDKEEP_LOCK_TOKEN in its environment; the lock is
released when it ends, and its exit code is passed on. If the lock is lost the command is ended.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return badArgsf("lock takes a lock name argument and an optional command to execute")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			command := args[1:]
			if len(command) > 0 && command[0] == "--" {
				command = command[1:]
			}
			return c.lock(cmd.Context(), time.Duration(ttl)*time.Second, args[0], command)
		},
	}
	cmd.Flags().IntVar(&ttl, "ttl", ttl, "seconds after which the lock is free when this program has gone")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// exitWith ends the program with the exit code of a command that ran under a lock.
type exitWith struct{ code int }

func (exitWith) Error() string { return errReported.Error() }
func (exitWith) Unwrap() error { return errReported }

func (c *client) lock(ctx context.Context, ttl time.Duration, name string, command []string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	p, err := c.openPlace(ctx, ttl)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.wait(ctx, "LOCK.ACQUIRE", name); err != nil {
		return unlessInterrupted(ctx, err)
	}
	if len(command) > 0 {
		return c.runUnder(ctx, p, command)
	}
	if err := p.held(ctx); err != nil {
		return err
	}
	return p.hold(ctx)
}

// hold waits for an interrupt, which is success, or the loss of the lease.
func (p *place) hold(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.lost.Done():
		return errSessionLost
	}
}

func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// runUnder runs the command while the lock is held.
func (c *client) runUnder(ctx context.Context, p *place, command []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.lost, cancel)()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	cmd.Env = append(os.Environ(), "REDKEEP_LOCK_KEY="+p.key, "REDKEEP_LOCK_TOKEN="+p.tokenText())
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case p.lost.Err() != nil:
		return errSessionLost
	case errors.As(err, &ended) && ended.ExitCode() > 0:
		return exitWith{ended.ExitCode()}
	default:
		return err
	}
}
