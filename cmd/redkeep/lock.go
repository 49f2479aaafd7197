package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newLock(c *client) *cobra.Command {
	ttl, command := 10, []string(nil)
	cmd := &cobra.Command{
		Use:         "lock <name> [-- command arguments...]",
		Annotations: noTable,
		Short:       "Acquire a lock, and hold it or run a command under it",
		Long: `Acquire a lock. Without a command its key is printed and the lock is held until the program is
interrupted. A command runs with REDKEEP_LOCK_KEY and REDKEEP_LOCK_TOKEN in its environment; the lock is
released when it ends, and its exit code is passed on. If the lock is lost the command is ended.`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 0 {
				return badArgsf("lock takes a lock name argument and an optional command to execute")
			}
			command, err = flagsBehind(cmd, args[1:])
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.lock(cmd.Context(), time.Duration(ttl)*time.Second, args[0], command)
		},
	}
	cmd.Flags().IntVar(&ttl, "ttl", ttl, "seconds after which the lock is free when this program has gone")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// flagsBehind reads the flags that stand behind the name and returns the command. The flags end at "--" or
// at the command's first word, so that its own flags are left to it; hence the parser stops at the first
// word, which at first is the name, and goes on here.
func flagsBehind(cmd *cobra.Command, words []string) (command []string, err error) {
	if cmd.ArgsLenAtDash() >= 0 { // "--" stood before the name
		return words, nil
	}
	if err := cmd.ParseFlags(words); err != nil {
		return nil, cmd.FlagErrorFunc()(cmd, err)
	}
	if help, _ := cmd.Flags().GetBool("help"); help {
		return nil, pflag.ErrHelp
	}
	return cmd.Flags().Args(), nil
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

// hold waits for an interrupt, which is success, or the loss of what is held.
func (p *place) hold(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.lost.Done():
		return context.Cause(p.lost)
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
		return context.Cause(p.lost)
	case errors.As(err, &ended) && ended.ExitCode() > 0:
		return exitWith{ended.ExitCode()}
	default:
		return err
	}
}
