package migrate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// peer is what a destination says of itself.
type peer struct {
	redkeep bool
	cluster string // id of the cluster, of a Redkeep
	known   bool
}

// identify asks the server at the other end what it is, and refuses those that cannot be written to.
func identify(ctx context.Context, conn *redis.Conn) (peer, error) {
	info, err := conn.Info(ctx).Result()
	if err != nil {
		return peer{}, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		fields[name] = value
	}
	if fields["redkeep_version"] != "" || fields["server_name"] == "redkeep" {
		cluster, err := clusterID(ctx, conn)
		return peer{redkeep: true, cluster: cluster, known: true}, err
	}
	switch version := fields["redis_version"]; {
	case version == "":
		return peer{}, refusef("this is neither Redkeep nor Redis")
	case !atLeast(version, 6, 2):
		return peer{}, refusef("this is Redis %s; at least 6.2 is needed (SET with PXAT)", version)
	case fields["cluster_enabled"] == "1":
		return peer{}, refusef("this is a Redis Cluster: a transaction cannot span its shards; " +
			"use a Redis that is not sharded")
	case fields["role"] == "slave":
		return peer{}, refusef("this is a replica; its master is %s:%s",
			fields["master_host"], fields["master_port"])
	}
	return peer{known: true}, nil
}

// atLeast reports whether a version is major.minor or later.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a > major || a == major && b >= minor
}

// accept compares what is at the other end now with what was there before.
func (p *peer) accept(now peer) error {
	if p.known && *p != now {
		return refusef("the destination is another one than before (cluster %s, before %s)", now.name(), p.name())
	}
	*p = now
	return nil
}

func (p *peer) name() string {
	if p.redkeep {
		return p.cluster
	}
	return "of Redis"
}

// longestRequest asks for the limit of a request; 0 if the server does not tell.
func longestRequest(ctx context.Context, conn *redis.Conn) int {
	settings, _ := conn.ConfigGet(ctx, "proto-max-bulk-len").Result()
	n, _ := strconv.Atoi(settings["proto-max-bulk-len"])
	return n
}

// doer is what sends a command.
type doer interface {
	Do(ctx context.Context, args ...any) *redis.Cmd
}

func clusterID(ctx context.Context, conn doer) (string, error) {
	status, err := conn.Do(ctx, "CLUSTER.STATUS").Slice()
	if err != nil {
		return "", fmt.Errorf("CLUSTER.STATUS: %w", err)
	}
	id, ok := fieldsOf(status)["cluster_id"].(string)
	if !ok {
		return "", errReply
	}
	return id, nil
}

// fieldsOf reads a map as RESP2 has it.
func fieldsOf(list []any) map[string]any {
	f := make(map[string]any, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		if name, ok := list[i].(string); ok {
			f[name] = list[i+1]
		}
	}
	return f
}
