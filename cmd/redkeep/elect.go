package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func newElect(c *client) *cobra.Command {
	listen, ttl := false, 10
	cmd := &cobra.Command{
		Use:         "elect <election-name> [proposal]",
		Annotations: noTable,
		Short:       "Take part in an election, or observe it",
		Long: `Take part in an election: key and proposal are printed when it is won, and leadership is held until
the program is interrupted. With --listen each leader is printed as it comes.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1 && len(args) != 2:
				return badArgsf("elect takes one election name argument and an optional proposal argument")
			case listen && len(args) == 2:
				return badArgsf("proposal given but -l is set")
			case listen:
				return c.observe(cmd.Context(), args[0])
			case len(args) == 1:
				return badArgsf("no proposal argument but -l not set")
			default:
				return c.elect(cmd.Context(), time.Duration(ttl)*time.Second, args[0], args[1])
			}
		},
	}
	cmd.Flags().BoolVarP(&listen, "listen", "l", false, "observe the election")
	cmd.Flags().IntVar(&ttl, "ttl", ttl, "seconds after which leadership is free when this program has gone")
	return cmd
}

func (c *client) elect(ctx context.Context, ttl time.Duration, name, proposal string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	p, err := c.openPlace(ctx, ttl)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.wait(ctx, "ELECTION.CAMPAIGN", name, proposal); err != nil {
		return unlessInterrupted(ctx, err)
	}
	if err := p.held(ctx); err != nil {
		return err
	}
	return p.hold(ctx)
}
