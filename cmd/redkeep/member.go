package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newMember(c *client) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "Members of the cluster",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMemberAdd(c), newMemberPromote(c), newMemberRemove(c), newMemberUpdate(c))
	cmd.AddCommand(newMoveLeader(c))
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "Print id, status, name, peer address, client address and whether it is a learner",
		Args:  argsBetween(0, 0, "member list command takes no argument"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.memberList(cmd.Context()) },
	})
	return cmd
}

func (c *client) memberList(ctx context.Context) error {
	raw, h, err := c.ask(ctx, true, "MEMBER.LIST")
	if err != nil {
		return err
	}
	members, err := membersOf(raw)
	if err != nil {
		return err
	}
	return c.print(membersReply{Header: h, Members: members})
}

type member struct {
	ID         uint64   `json:"ID"`
	Name       string   `json:"name,omitempty"`
	PeerAddrs  []string `json:"peerURLs"` // etcd's name for the field; the values are plain addresses
	ClientAddr []string `json:"clientURLs,omitempty"`
	IsLearner  bool     `json:"isLearner,omitempty"`
	status     string
	leader     bool
}

func membersOf(reply any) ([]member, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, unexpected("members")
	}
	members := make([]member, 0, len(list))
	for _, e := range list {
		f, err := fieldsOf(e)
		if err != nil {
			return nil, err
		}
		m := member{
			ID: f.id("id"), Name: f.text("name"), PeerAddrs: []string{f.text("peer_addr")},
			IsLearner: f.yes("learner"), status: f.text("status"), leader: f.yes("leader"),
		}
		if addr := f.text("client_addr"); addr != "" {
			m.ClientAddr = []string{addr}
		}
		members = append(members, m)
	}
	return members, nil
}

type membersReply struct {
	Header  header   `json:"header"`
	Members []member `json:"members"`
}

func (m member) row() table.Row {
	return table.Row{fmt.Sprintf("%016x", m.ID), m.status, m.Name,
		strings.Join(m.PeerAddrs, ","), strings.Join(m.ClientAddr, ","), m.IsLearner}
}

func (r membersReply) simple(p *page) {
	for _, m := range r.Members {
		p.row(m.row())
	}
}

func (r membersReply) fields(p *page) {
	p.header(r.Header)
	for _, m := range r.Members {
		p.field("ID", m.ID)
		p.field("Name", m.Name)
		for _, a := range m.PeerAddrs {
			p.field("PeerURL", a)
		}
		for _, a := range m.ClientAddr {
			p.field("ClientURL", a)
		}
		p.field("IsLearner", m.IsLearner)
		p.line("")
	}
}

func (r membersReply) table() (table.Row, []table.Row) {
	var rows []table.Row
	for _, m := range r.Members {
		rows = append(rows, m.row())
	}
	return table.Row{"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"}, rows
}
