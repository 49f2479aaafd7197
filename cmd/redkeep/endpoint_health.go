package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// endpointHealth prints one line per endpoint: the healthy ones on stdout, the others on stderr.
func (c *client) endpointHealth(ctx context.Context, endpoints []string) error {
	r := healthReply{stderr: c.err}
	var failed error
	for _, a := range c.askEach(ctx, endpoints, "KV.GET", "health") {
		h := health{Endpoint: a.endpoint, Health: a.err == nil, Took: a.took.String(), took: a.took}
		if a.err != nil {
			h.Error = a.err.Error()
			failed = errors.New("unhealthy cluster")
		}
		r.list = append(r.list, h)
	}
	return errors.Join(c.print(r), failed)
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
