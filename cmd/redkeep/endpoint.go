package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newEndpoint(c *client) *cobra.Command {
	wholeCluster := false
	cmd := &cobra.Command{
		Use:   "endpoint",
		Short: "Ask every endpoint for itself",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().BoolVar(&wholeCluster, "cluster", false, "ask every member, not only --endpoints")
	add := func(name, short, long string, ask func(context.Context, []string) error) *cobra.Command {
		sub := &cobra.Command{
			Use: name, Short: short, Long: long,
			Args: argsBetween(0, 0, "endpoint "+name+" command takes no argument"),
			RunE: func(cmd *cobra.Command, _ []string) error {
				endpoints, err := c.chosenEndpoints(cmd.Context(), wholeCluster)
				if err != nil {
					return err
				}
				return ask(cmd.Context(), endpoints)
			},
		}
		cmd.AddCommand(sub)
		return sub
	}
	add("status", "Print id, version, size, role and raft position of each endpoint", "", c.endpointStatus)
	add("health", "Check that each endpoint can serve",
		"Reads the key \"health\" linearizably through each endpoint: a majority has confirmed the leader and\n"+
			"the endpoint shows every acknowledged write. The wording of the answer is etcdctl's.", c.endpointHealth)
	var rev int64
	hash := add("hashkv", "Print the hash of each endpoint's state", "",
		func(ctx context.Context, endpoints []string) error { return c.endpointHash(ctx, endpoints, rev) })
	hash.Flags().Int64Var(&rev, "rev", 0, "hash of the state at this revision; 0 for now")
	cmd.AddCommand(newMoveLeader(c))
	return cmd
}

// chosenEndpoints are --endpoints, or with --cluster the client address of every member that has told one.
func (c *client) chosenEndpoints(ctx context.Context, wholeCluster bool) ([]string, error) {
	if !wholeCluster {
		return c.endpoints, nil
	}
	raw, _, err := c.ask(ctx, true, "MEMBER.LIST")
	if err != nil {
		return nil, fmt.Errorf("cannot list the members: %w", err)
	}
	members, err := membersOf(raw)
	if err != nil {
		return nil, err
	}
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.ClientAddr...)
	}
	if len(endpoints) == 0 {
		return nil, errors.New("the node knows no member's client address, as it has met no leader since it " +
			"started: ask another node, or leave out --cluster")
	}
	return endpoints, nil
}

// askEach sends one command to every endpoint at the same time and returns the replies in the endpoints'
// order.
func (c *client) askEach(ctx context.Context, endpoints []string, args ...any) []answer {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answers := make([]answer, len(endpoints))
	var wait sync.WaitGroup
	for i, e := range endpoints {
		wait.Go(func() {
			a, began := &answers[i], time.Now()
			a.endpoint = e
			a.reply, a.header, a.err = c.askOne(ctx, e, args...)
			a.took = time.Since(began)
		})
	}
	wait.Wait()
	return answers
}

type answer struct {
	endpoint string
	reply    any
	header   header
	err      error
	took     time.Duration
}

// mapsOf keeps the answers that are maps and reports the others on stderr.
func (c *client) mapsOf(what string, answers []answer) (good []answer, maps []fields, err error) {
	for _, a := range answers {
		var f fields
		if a.err == nil {
			f, a.err = fieldsOf(a.reply)
		}
		if a.err != nil {
			fmt.Fprintf(c.err, "Failed to get the %s of endpoint %s (%v)\n", what, a.endpoint, a.err)
			err = errReported
			continue
		}
		good, maps = append(good, a), append(maps, f)
	}
	return good, maps, err
}

func (c *client) endpointStatus(ctx context.Context, endpoints []string) error {
	answers, maps, failed := c.mapsOf("status", c.askEach(ctx, endpoints, "CLUSTER.STATUS"))
	r := statusReply{}
	for i, f := range maps {
		r = append(r, endpointStatus{Endpoint: answers[i].endpoint, Status: statusOf(f)})
	}
	return errors.Join(c.print(r), failed)
}

type status struct {
	Header       header   `json:"header"`
	Version      string   `json:"version,omitempty"`
	DBSize       int64    `json:"dbSize,omitempty"`
	Leader       uint64   `json:"leader,omitempty"`
	RaftIndex    int64    `json:"raftIndex,omitempty"`
	RaftTerm     uint64   `json:"raftTerm,omitempty"`
	AppliedIndex int64    `json:"raftAppliedIndex,omitempty"`
	Errors       []string `json:"errors,omitempty"`
	DBSizeInUse  int64    `json:"dbSizeInUse,omitempty"`
	IsLearner    bool     `json:"isLearner,omitempty"`
	isLeader     bool
}

type endpointStatus struct {
	Endpoint string
	Status   status
}

type statusReply []endpointStatus

// statusOf counts history as part of the size, as etcd's file does, and the live state as the part in use.
func statusOf(f fields) status {
	return status{
		Header: f.header(), Version: f.text("version"),
		DBSize: f.num("state_bytes") + f.num("history_bytes"), DBSizeInUse: f.num("state_bytes"),
		Leader: f.id("leader"), RaftTerm: uint64(f.num("term")),
		RaftIndex: f.num("raft_index"), AppliedIndex: f.num("applied_index"),
		Errors: f.texts("errors"), IsLearner: f.yes("is_learner"), isLeader: f.yes("is_leader"),
	}
}

func (e endpointStatus) row() table.Row {
	s := e.Status
	return table.Row{e.Endpoint, fmt.Sprintf("%016x", s.Header.MemberID), s.Version, roundSize(s.DBSize),
		s.isLeader, s.IsLearner, s.RaftTerm, s.RaftIndex, s.AppliedIndex, strings.Join(s.Errors, ", ")}
}

func (r statusReply) simple(p *page) {
	for _, e := range r {
		p.row(e.row())
	}
}

func (r statusReply) fields(p *page) {
	for _, e := range r {
		p.header(e.Status.Header)
		p.field("Version", e.Status.Version)
		p.field("DBSize", e.Status.DBSize)
		p.field("Leader", e.Status.Leader)
		p.field("IsLearner", e.Status.IsLearner)
		p.field("RaftIndex", e.Status.RaftIndex)
		p.field("RaftTerm", e.Status.RaftTerm)
		p.field("RaftAppliedIndex", e.Status.AppliedIndex)
		p.field("Errors", e.Status.Errors)
		p.field("Endpoint", e.Endpoint)
		p.line("")
	}
}

func (r statusReply) table() (table.Row, []table.Row) {
	var rows []table.Row
	for _, e := range r {
		rows = append(rows, e.row())
	}
	return table.Row{"Endpoint", "ID", "Version", "State Size", "Is Leader", "Is Learner", "Raft Term",
		"Raft Index",
		"Raft Applied Index", "Errors"}, rows
}
