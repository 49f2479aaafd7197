package migrate

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/client"
)

// Source is the cluster that a mirror reads. Everything asked of it is a read, so that any node may be asked
// again. It belongs to one goroutine.
type Source struct {
	nodes    []*redis.Options
	next     int
	conn     *redis.Client // nil: not connected
	patience patience
}

// NewSource connects when it is used.
func NewSource(nodes []*redis.Options, notice func(string)) *Source {
	return &Source{nodes: nodes, patience: patience{who: "the source", notice: notice}}
}

// Close ends the connection.
func (s *Source) Close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// retry does something on a connection, to one node after the other, until it succeeds or cannot.
func (s *Source) retry(ctx context.Context, do func(*redis.Client) error) error {
	for {
		if s.conn == nil {
			s.conn = redis.NewClient(s.nodes[s.next%len(s.nodes)])
			s.next++
		}
		err := do(s.conn)
		if err == nil {
			s.patience.over()
			return nil
		}
		if strings.HasPrefix(err.Error(), "COMPACTED ") {
			return errCompacted
		}
		s.Close()
		if err := s.patience.again(ctx, err); err != nil {
			return err
		}
	}
}

// watcher is a client for watches of the same nodes.
func (s *Source) watcher() (*client.Client, error) {
	first := s.nodes[0]
	cfg := client.Config{Username: first.Username, Password: first.Password, TLS: first.TLSConfig}
	for _, n := range s.nodes {
		cfg.Endpoints = append(cfg.Endpoints, n.Addr)
	}
	return client.New(cfg)
}

// cluster asks for the id of the cluster.
func (s *Source) cluster(ctx context.Context) (id string, err error) {
	err = s.retry(ctx, func(conn *redis.Client) error {
		id, err = clusterID(ctx, conn)
		var said redis.Error
		if errors.As(err, &said) && strings.Contains(err.Error(), "unknown command") {
			return refusef("the source is no Redkeep; a Redis is moved with `redkeep import rdb`")
		}
		return err
	})
	return id, err
}

// page is a part of the keys with a prefix.
type page struct {
	revision int64 // the store's current one
	count    int64 // of all keys that were asked for
	more     bool
	records  []record
}

type record struct {
	key, value string
	expires    int64
}

// span is what KV.RANGE is asked for: the keys from one on, up to the end of a prefix.
func span(prefix, from string) []any {
	if end := prefixEnd(prefix); end != "" {
		return []any{from, "TO", end}
	}
	return []any{from, "FROMKEY"}
}

// prefixEnd is the first key behind all that begin with the prefix; empty if there is none.
func prefixEnd(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

// ask sends a KV.RANGE.
func (s *Source) ask(ctx context.Context, words ...any) (p page, err error) {
	err = s.retry(ctx, func(conn *redis.Client) error {
		reply, err := conn.Do(ctx, append([]any{"KV.RANGE"}, words...)...).Slice()
		if err != nil {
			return err
		}
		p, err = readPage(reply)
		return err
	})
	return p, err
}

func readPage(reply []any) (p page, err error) {
	fields := fieldsOf(reply)
	revision, ok := fields["revision"].(int64)
	if !ok {
		return p, refusal{errReply}
	}
	p.revision = revision
	p.count, _ = fields["count"].(int64)
	more, _ := fields["more"].(int64)
	p.more = more != 0
	kvs, _ := fields["kvs"].([]any)
	for _, kv := range kvs {
		list, _ := kv.([]any)
		f := fieldsOf(list)
		key, ok := f["key"].(string)
		value, _ := f["value"].(string) // none if only names were asked for
		if !ok {
			return p, refusal{errReply}
		}
		expires, _ := f["expires"].(int64)
		p.records = append(p.records, record{key, value, expires})
	}
	return p, nil
}

// revision asks for the current revision, linearizable.
func (s *Source) revision(ctx context.Context) (int64, error) {
	p, err := s.ask(ctx, "", "COUNTONLY")
	return p.revision, err
}

// count asks how many keys with the prefix there were at a revision.
func (s *Source) count(ctx context.Context, prefix string, at int64) (int64, error) {
	p, err := s.ask(ctx, append(span(prefix, prefix), "AT", at, "COUNTONLY")...)
	return p.count, err
}

// absent returns those of the keys that were not there at a revision.
func (s *Source) absent(ctx context.Context, keys []string, at int64) (gone []string, err error) {
	err = s.retry(ctx, func(conn *redis.Client) error {
		pipe := conn.Pipeline()
		var asked []*redis.Cmd
		for _, k := range keys {
			asked = append(asked, pipe.Do(ctx, "KV.RANGE", k, "AT", strconv.FormatInt(at, 10), "COUNTONLY"))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		gone = gone[:0]
		for i, a := range asked {
			reply, err := a.Slice()
			if err != nil {
				return err
			}
			if n, ok := fieldsOf(reply)["count"].(int64); !ok {
				return refusal{errReply}
			} else if n == 0 {
				gone = append(gone, keys[i])
			}
		}
		return nil
	})
	return gone, err
}
