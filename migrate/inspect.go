package migrate

import (
	"context"
	"strings"
)

// What is asked of a destination beside writing to it.

const scanCount = 500

// glob quotes what a pattern would read as something else.
var glob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// scan calls each for every page of keys with a prefix, the bookmark's left out, until each says stop. Keys
// may come twice.
func (t *Target) scan(ctx context.Context, prefix string, each func(keys []string) (bool, error)) error {
	for cursor, more := "0", true; more; more = more && cursor != "0" {
		var keys []string
		err := t.retry(ctx, func() (err error) {
			words := []any{"SCAN", cursor, "MATCH", glob.Replace(prefix) + "*", "COUNT", scanCount}
			page, err := t.conn.Do(ctx, words...).Slice()
			if err == nil {
				cursor, keys, err = t.page(page)
			}
			return err
		})
		if err == nil && len(keys) > 0 {
			more, err = each(keys)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) page(reply []any) (cursor string, keys []string, err error) {
	if len(reply) != 2 {
		return "", nil, errReply
	}
	cursor, _ = reply[0].(string)
	list, _ := reply[1].([]any)
	for _, k := range list {
		if key, ok := k.(string); ok && key != t.key {
			keys = append(keys, key)
		}
	}
	return cursor, keys, nil
}

// admit refuses a destination that holds keys with the prefix; choices is what the user can do then.
func (t *Target) admit(ctx context.Context, prefix, choices string) error {
	return t.scan(ctx, prefix, func(keys []string) (bool, error) {
		return false, refusef("%w, %q for one; nothing was written. Choose: %s", ErrNotEmpty, keys[0], choices)
	})
}

// leases are the ids of those that are there. REQUIRES: a Redkeep.
func (t *Target) leases(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	err := t.retry(ctx, func() error {
		list, err := t.conn.Do(ctx, "LEASE.LIST").Slice()
		for _, l := range list {
			fields, _ := l.([]any)
			id, _ := fieldsOf(fields)["id"].(string)
			ids[id] = true
		}
		return err
	})
	return ids, err
}

const longestLease = 10 * 365 * 24 * 3600 * 1000 // milliseconds

// grant makes a lease. One that is there is ours: begin has seen that there was none.
func (t *Target) grant(ctx context.Context, l *Lease) error {
	return t.retry(ctx, func() error {
		ttl := min(max(l.Millis, 100), longestLease)
		err := t.conn.Do(ctx, "LEASE.GRANT", ttl, "ID", l.Name()).Err()
		if err != nil && strings.Contains(err.Error(), "lease already exists") {
			return nil
		}
		return err
	})
}
