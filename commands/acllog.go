package commands

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/resp"
)

// ACL LOG and the audit log: what was refused, who came in, who changed users. Names of users, commands, keys
// and channels are shown; a value or a password never is.

const (
	aclLogMost  = 128
	aclLogGroup = time.Minute // equal refusals within it are one entry
)

// aclEntry is one entry of ACL LOG.
type aclEntry struct {
	id                            int64
	count                         int64
	reason, context, object, user string
	client                        string
	created, updated              time.Time
}

func (e *aclEntry) same(o *aclEntry) bool {
	return e.reason == o.reason && e.context == o.context && e.object == o.object && e.user == o.user &&
		o.updated.Sub(e.updated) <= aclLogGroup
}

// aclLog holds the newest entries, newest first.
type aclLog struct {
	mu struct {
		sync.Mutex
		next    int64
		entries []*aclEntry
	}
}

// add notes a refusal and reports whether it is a new entry.
func (l *aclLog) add(e *aclEntry) (fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, old := range l.mu.entries {
		if old.same(e) {
			renewed := *old
			renewed.count++
			renewed.updated, renewed.client = e.updated, e.client
			l.mu.entries = slices.Insert(slices.Delete(l.mu.entries, i, i+1), 0, &renewed)
			return false
		}
	}
	e.id = l.mu.next
	l.mu.next++
	l.mu.entries = slices.Insert(l.mu.entries, 0, e)
	l.mu.entries = l.mu.entries[:min(len(l.mu.entries), aclLogMost)]
	return true
}

// newest returns at most n entries; they are not changed any more.
func (l *aclLog) newest(n int64) []*aclEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.mu.entries[:min(n, int64(len(l.mu.entries)))])
}

func (l *aclLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.entries = nil
}

var denialWords = [...]string{"auth", "command", "key", "channel"} // 0: a failed login

// noteRefusal notes what a user may not do.
func (d *Dispatcher) noteRefusal(s *session, what *denial, context string) {
	d.users.denials[what.what].Add(1)
	d.note(s, &aclEntry{reason: denialWords[what.what], context: context, object: what.object,
		user: s.userName()})
}

func (d *Dispatcher) noteFailedLogin(s *session, command, name string) {
	d.users.denials[acl.Allowed].Add(1)
	d.note(s, &aclEntry{reason: denialWords[0], context: "toplevel", object: strings.ToUpper(command),
		user: name})
}

func (d *Dispatcher) note(s *session, e *aclEntry) {
	now := d.cfg.Clock()
	e.count, e.created, e.updated = 1, now, now
	client := "script"
	if s.conn != nil {
		client = strings.TrimSuffix(peer{s.conn, s}.line(now), "\n")
	}
	e.client = client
	if d.users.refused.add(e) {
		d.users.log.refused(s, e)
	}
}

func aclLogCommand(c *call, _ *session) (resp.Value, error) {
	n := int64(10)
	if len(c.args) > 3 {
		return resp.Value{}, errSubWords(c)
	}
	if len(c.args) == 3 {
		if is(c.args[2], "RESET") {
			c.d.users.refused.clear()
			return resp.OK(), nil
		}
		var err error
		if n, err = integer(c.args[2]); err != nil {
			return resp.Value{}, err
		}
	}
	now, out := c.d.cfg.Clock(), []resp.Value{}
	for _, e := range c.d.users.refused.newest(max(n, 0)) {
		out = append(out, resp.Map(
			resp.Bulk("count"), resp.Int(e.count),
			resp.Bulk("reason"), resp.Bulk(e.reason),
			resp.Bulk("context"), resp.Bulk(e.context),
			resp.Bulk("object"), resp.Bulk(e.object),
			resp.Bulk("username"), resp.Bulk(e.user),
			resp.Bulk("age-seconds"), resp.Double(now.Sub(e.created).Seconds()),
			resp.Bulk("client-info"), resp.Bulk(e.client),
			resp.Bulk("entry-id"), resp.Int(e.id),
			resp.Bulk("timestamp-created"), resp.Int(e.created.UnixMilli()),
			resp.Bulk("timestamp-last-updated"), resp.Int(e.updated.UnixMilli()),
		))
	}
	return resp.ArrayOf(out), nil
}

// audit tells of a command that was done.
func (d *Dispatcher) audit(s *session, row *Command, args [][]byte) {
	words := make([]string, len(args)-1)
	for i := range words {
		words[i] = cut(args[i+1], quotedBytes)
	}
	d.users.log.did(s, row.Name, words)
}

// slogAudit writes the audit log: lines with audit=true.
type slogAudit struct{ log *slog.Logger }

func newAudit(log *slog.Logger) *slogAudit { return &slogAudit{log.With("audit", true)} }

func (a *slogAudit) login(s *session) {
	a.log.Info("login", "user", s.userName(), "client", s.conn.RemoteAddr(), "id", s.id)
}

func (a *slogAudit) refused(s *session, e *aclEntry) {
	client := ""
	if s.conn != nil {
		client = s.conn.RemoteAddr()
	}
	a.log.Warn("refused", "reason", e.reason, "user", e.user, "object", e.object, "context", e.context,
		"client", client, "id", s.id)
}

// did notes a command that changed the cluster, its users or its members. The words must hold no secret.
func (a *slogAudit) did(s *session, what string, words []string) {
	if s.conn == nil {
		a.log.Info(what, "user", "", "words", words, "client", "the node itself")
		return
	}
	a.log.Info(what, "user", s.userName(), "words", words, "client", s.conn.RemoteAddr(), "id", s.id)
}
