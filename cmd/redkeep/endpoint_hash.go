package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
)

// endpointHash asks each endpoint for the hash of its own state. Members that agree print the same hash for
// the same revision.
func (c *client) endpointHash(ctx context.Context, endpoints []string, rev int64) error {
	args := []any{"KV.HASH"}
	if rev != 0 {
		args = append(args, "AT", rev)
	}
	answers, maps, failed := c.mapsOf("hash", c.askEach(ctx, endpoints, args...))
	r := hashReply{}
	for i, f := range maps {
		r = append(r, endpointHash{Endpoint: answers[i].endpoint, HashKV: hashKV{
			Header: answers[i].header, Hash: f.id("hash"),
			CompactRevision: f.num("compact_revision"), HashRevision: f.num("revision"),
		}})
	}
	return errors.Join(c.print(r), failed)
}

type hashKV struct {
	Header          header `json:"header"`
	Hash            uint64 `json:"hash,omitempty"`
	CompactRevision int64  `json:"compact_revision,omitempty"`
	HashRevision    int64  `json:"hash_revision,omitempty"`
}

type endpointHash struct {
	Endpoint string
	HashKV   hashKV
}

type hashReply []endpointHash

func (e endpointHash) row() table.Row {
	return table.Row{e.Endpoint, fmt.Sprintf("%016x", e.HashKV.Hash), e.HashKV.HashRevision}
}

func (r hashReply) simple(p *page) {
	for _, e := range r {
		p.row(e.row())
	}
}

func (r hashReply) fields(p *page) {
	for _, e := range r {
		p.header(e.HashKV.Header)
		p.field("Endpoint", e.Endpoint)
		p.field("Hash", e.HashKV.Hash)
		p.field("CompactRevision", e.HashKV.CompactRevision)
		p.field("HashRevision", e.HashKV.HashRevision)
		p.line("")
	}
}

func (r hashReply) table() (table.Row, []table.Row) {
	var rows []table.Row
	for _, e := range r {
		rows = append(rows, e.row())
	}
	return table.Row{"Endpoint", "Hash", "Hash Revision"}, rows
}
