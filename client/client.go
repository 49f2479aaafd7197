package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Errors of a watch.
var (
	// ErrCompacted ends a watch whose next revision is no longer in the history. The response says which is the
	// oldest that is; read the keys at a revision from there on, and watch from the next.
	ErrCompacted = errors.New("client: the revision to watch from has been compacted")
	// ErrPermission means that the user may not read what was to be watched, or not any more.
	ErrPermission = errors.New("client: the user may not read these keys")
	// ErrUnreachable ends a watch with WithFirstAnswer that no endpoint has answered.
	ErrUnreachable = errors.New("client: no endpoint answers")
	// ErrNoEndpoints means that Config names no node.
	ErrNoEndpoints = errors.New("client: no endpoints")
)

// revokedReason is what a node says when it ends a watch because the right to it was taken away.
const revokedReason = "permission denied"

// Config says how to reach a cluster.
type Config struct {
	Endpoints   []string // host:port of any of its nodes
	Username    string
	Password    string
	TLS         *tls.Config
	DialTimeout time.Duration // 0: 2 s
	// Silence is how long a node may say nothing, not even that there is nothing to say, before a watch goes on
	// at another one. 0: 5 s; at least 1 s.
	Silence time.Duration
	// Notice, if not nil, is told by a watch that all endpoints failed it, and why: once until one is followed
	// again. It goes on trying. Watches call it from goroutines of their own.
	Notice func(err error)
}

// Client watches keys of one cluster. It is safe for concurrent use.
type Client struct {
	cfg     Config
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New returns a client; it connects when it is used. Close ends it.
func New(cfg Config) (*Client, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, ErrNoEndpoints
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	if cfg.Silence == 0 {
		cfg.Silence = 5 * time.Second
	}
	cfg.Silence = max(cfg.Silence, time.Second)
	c := &Client{cfg: cfg}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Close ends all watches and waits for them.
func (c *Client) Close() {
	c.stop()
	c.running.Wait()
}

func (c *Client) connect(endpoint string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: endpoint, Username: c.cfg.Username, Password: c.cfg.Password, TLSConfig: c.cfg.TLS,
		Protocol: 2, MaxRetries: -1, PoolSize: 2, DialTimeout: c.cfg.DialTimeout, DialerRetries: 1,
		ReadTimeout: c.cfg.Silence, WriteTimeout: c.cfg.Silence, ContextTimeoutEnabled: true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// revision asks a node for the revision of the cluster: linearizable, so it fails on a node that is cut off.
// It asks by way of a key that is watched, which the user may read.
func revision(ctx context.Context, conn *redis.Client, key string, limit time.Duration) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := conn.Do(ctx, "KV.RANGE", key, "COUNTONLY").Slice()
	if err != nil {
		return 0, err
	}
	for i := 0; i+1 < len(reply); i += 2 {
		if n, ok := reply[i+1].(int64); ok && reply[i] == "revision" {
			return Revision(n), nil
		}
	}
	return 0, fmt.Errorf("client: the node's reply to KV.RANGE has no revision")
}
