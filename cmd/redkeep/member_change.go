package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// The verbs that change the membership, with etcdctl's words for what they did. Where etcdctl wants a
// member's id, its name is taken too.

// memberVerb is a verb with a fixed number of arguments. What these verbs print is a sentence, no table.
func memberVerb(use, short, long string, want int, text string, run func(context.Context, []string) error,
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Annotations: noTable,
		Args: argsBetween(want, want, text),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) },
	}
}

func newMemberAdd(c *client) *cobra.Command {
	var addr string
	learner := false
	cmd := memberVerb("add <name>", "Add a member to the cluster",
		"Adds a member and prints the flags to start it with. Usually the node is started instead, with the\n"+
			"flag --join: it then adds itself, and is promoted when it has caught up. A node that does not run\n"+
			"yet can only be added as a learner, which does not count for the majority.",
		1, "member add command needs a name: member add <name> --peer-addr=<host:port>",
		func(ctx context.Context, args []string) error {
			if addr = strings.TrimPrefix(strings.TrimPrefix(addr, "http://"), "https://"); checkAddress(addr) != nil {
				return badArgsf("--peer-addr %q: must be host:port", addr)
			}
			return c.memberAdd(ctx, args[0], addr, learner)
		})
	cmd.Flags().StringVar(&addr, "peer-addr", "", "address that the other members dial the new one at")
	cmd.Flags().StringVar(&addr, "peer-urls", "", "the same, under etcdctl's name")
	cmd.Flags().BoolVar(&learner, "learner", false, "add it without a vote")
	return cmd
}

func newMemberPromote(c *client) *cobra.Command {
	return memberVerb("promote <id>", "Make a learner a voter", "", 1, "member ID is not provided",
		c.memberChange("MEMBER.PROMOTE", "promoted in"))
}

func newMemberRemove(c *client) *cobra.Command {
	return memberVerb("remove <id>", "Remove a member from the cluster", "", 1, "member ID is not provided",
		c.memberChange("MEMBER.REMOVE", "removed from"))
}

func newMemberUpdate(c *client) *cobra.Command {
	var addr string
	cmd := memberVerb("update <id>", "Change the address that the others dial a member at",
		"A member that is restarted with another --advertise-peer-addr tells the others by itself.",
		1, "member ID is not provided", func(ctx context.Context, args []string) error {
			if addr = strings.TrimPrefix(strings.TrimPrefix(addr, "http://"), "https://"); checkAddress(addr) != nil {
				return badArgsf("--peer-addr %q: must be host:port", addr)
			}
			return c.memberChange("MEMBER.UPDATE", "updated in", addr)(ctx, args)
		})
	cmd.Flags().StringVar(&addr, "peer-addr", "", "its new peer address")
	cmd.Flags().StringVar(&addr, "peer-urls", "", "the same, under etcdctl's name")
	return cmd
}

func newMoveLeader(c *client) *cobra.Command {
	return memberVerb("move-leader <id>", "Hand leadership to another member", "", 1,
		"move-leader command needs 1 argument",
		func(ctx context.Context, args []string) error { return c.moveLeader(ctx, args[0]) })
}

// membersNow asks for the members, and for the id of the one that is meant.
func (c *client) membersNow(ctx context.Context, meant string) (list []member, id string, err error) {
	raw, _, err := c.ask(ctx, true, "MEMBER.LIST")
	if err != nil {
		return nil, "", err
	}
	if list, err = membersOf(raw); err != nil {
		return nil, "", err
	}
	for _, m := range list {
		if m.Name == meant {
			return list, fmt.Sprintf("%016x", m.ID), nil
		}
	}
	number, err := strconv.ParseUint(meant, 16, 64)
	if err != nil {
		return nil, "", badArgsf("bad member ID arg (%w), expecting ID in Hex, or a member's name", err)
	}
	return list, fmt.Sprintf("%016x", number), nil
}

// memberChange asks for one change and says that it was made.
func (c *client) memberChange(command, made string, more ...any) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		_, id, err := c.membersNow(ctx, args[0])
		if err != nil {
			return err
		}
		_, h, err := c.askWithHeader(ctx, append([]any{command, id}, more...)...)
		if err != nil {
			return err
		}
		list, _, err := c.membersNow(ctx, "0")
		if err != nil {
			return err
		}
		return c.print(changeReply{Header: h, ID: id, Members: list,
			text: fmt.Sprintf("Member %s %s cluster %016x", id, made, h.ClusterID)})
	}
}

func (c *client) memberAdd(ctx context.Context, name, addr string, learner bool) error {
	list, _, err := c.membersNow(ctx, "0")
	if err != nil {
		return err
	}
	words := []any{"MEMBER.ADD", name, addr}
	if learner {
		words = append(words, "LEARNER")
	}
	raw, h, err := c.askWithHeader(ctx, words...)
	if err != nil {
		return err
	}
	id := fmt.Sprint(raw)
	var seeds []string
	for _, m := range list {
		seeds = append(seeds, m.PeerAddrs...)
	}
	number, _ := strconv.ParseUint(id, 16, 64) // as the node wrote it
	added := &member{ID: number, Name: name, PeerAddrs: []string{addr}, IsLearner: true}
	flags := fmt.Sprintf("redkeep server --name %s --peer-addr %s --join %s", name, addr,
		strings.Join(seeds, ","))
	if learner {
		flags += " --join-as-learner"
	}
	return c.print(changeReply{Header: h, ID: id, Member: added, Members: append(list, *added),
		text: fmt.Sprintf("Member %s added to cluster %016x\n\n%s", id, h.ClusterID, flags)})
}

func (c *client) moveLeader(ctx context.Context, meant string) error {
	list, id, err := c.membersNow(ctx, meant)
	if err != nil {
		return err
	}
	from := ""
	for _, m := range list {
		if m.leader {
			from = fmt.Sprintf("%016x", m.ID)
		}
	}
	_, h, err := c.askWithHeader(ctx, "MEMBER.MOVELEADER", id)
	if err != nil {
		return err
	}
	return c.print(changeReply{Header: h, ID: id,
		text: fmt.Sprintf("Leadership transferred from %s to %s", from, id)})
}

// askWithHeader is ask for a change; the sentence about it names the cluster.
func (c *client) askWithHeader(ctx context.Context, words ...any) (any, header, error) {
	raw, h, err := c.ask(ctx, false, words...)
	if err != nil || h.ClusterID != 0 {
		return raw, h, err
	}
	status, _, err := c.ask(ctx, true, "CLUSTER.STATUS")
	if err == nil {
		h, err = headerOf(status)
	}
	return raw, h, err
}

// changeReply is a change that was made, and the members as they are then; its JSON is etcd's.
type changeReply struct {
	Header  header   `json:"header"`
	Member  *member  `json:"member,omitempty"`
	Members []member `json:"members,omitempty"`
	ID      string   `json:"-"`
	text    string
}

func (r changeReply) simple(p *page) { p.line("%s", r.text) }

func (r changeReply) fields(p *page) {
	p.header(r.Header)
	p.field("ID", r.ID)
}
