package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// endpointHealth prints one line per endpoint: the healthy ones on stdout, the others on stderr. As with
// etcd, an endpoint that serves and has an alarm is not healthy; here it must be an alarm of its own
// member.
func (c *client) endpointHealth(ctx context.Context, endpoints []string) error {
	r := healthReply{stderr: c.err}
	var failed error
	answers := c.askEach(ctx, endpoints, "KV.GET", "health")
	alarms := c.ownAlarms(ctx, answers)
	for _, a := range answers {
		if up := alarms[a.endpoint]; a.err == nil && len(up) > 0 {
			a.err = errors.New("Active Alarm(s): " + strings.Join(up, " "))
		}
		h := health{Endpoint: a.endpoint, Health: a.err == nil, Took: a.took.String(), took: a.took}
		if a.err != nil {
			h.Error = a.err.Error()
			failed = errors.New("unhealthy cluster")
		}
		r.list = append(r.list, h)
	}
	return errors.Join(c.print(r), failed)
}

// ownAlarms are the kinds of the alarms that are up for the member behind each endpoint that serves.
func (c *client) ownAlarms(ctx context.Context, answers []answer) map[string][]string {
	alarms, endpoints := map[string][]string{}, []string{}
	for _, a := range answers {
		if a.err == nil {
			endpoints = append(endpoints, a.endpoint)
		}
	}
	for _, a := range c.askEach(ctx, endpoints, "CLUSTER.STATUS") {
		f, err := fieldsOf(a.reply)
		if a.err != nil || err != nil {
			continue
		}
		for _, text := range f.texts("errors") {
			member, kind, ok := strings.Cut(strings.TrimPrefix(text, "memberID:"), " alarm:")
			if ok && (member == f.text("member_id") || strings.Trim(member, "0") == "") {
				alarms[a.endpoint] = append(alarms[a.endpoint], kind)
			}
		}
	}
	return alarms
}

type health struct {
	Endpoint string `json:"endpoint"`
	Health   bool   `json:"health"`
	Took     string `json:"took"`
	Error    string `json:"error,omitempty"`
	took     time.Duration
}

type healthReply struct {
	list   []health
	stderr io.Writer
}

func (r healthReply) MarshalJSON() ([]byte, error) { return json.Marshal(r.list) }

func (r healthReply) simple(p *page) {
	for _, h := range r.list {
		if h.Health {
			p.line("%s is healthy: successfully committed proposal: took = %v", h.Endpoint, h.took)
		} else {
			fmt.Fprintf(r.stderr, "%s is unhealthy: failed to commit proposal: %s\n", h.Endpoint, h.Error)
		}
	}
}

func (r healthReply) fields(p *page) {
	for _, h := range r.list {
		p.field("Endpoint", h.Endpoint)
		p.field("Health", h.Health)
		p.field("Took", h.took)
		p.field("Error", h.Error)
		p.line("")
	}
}

func (r healthReply) table() (table.Row, []table.Row) {
	var rows []table.Row
	for _, h := range r.list {
		rows = append(rows, table.Row{h.Endpoint, h.Health, h.Took, h.Error})
	}
	return table.Row{"Endpoint", "Health", "Took", "Error"}, rows
}
