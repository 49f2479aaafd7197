package commands

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
)

// Who may do what: users, as this node sees them, and the questions that are asked before a command runs.
//
// Idea. The log holds users as lines of rules (raftfsm/users.go). The directory is what they mean on this
// node; it is made anew when the table that the engine shows is another one, by whoever notices first: a
// gate, which asks before each command, or the guard (revoke.go), for connections that only listen. So what
// an administrator was told is done is in force here for the next command, and on every other member as soon
// as that has applied it.
//
// What a command touches is a question of columns: Keys and Channels where the words say it by position, and
// also where they do not (reach.go): ranges, guards, the keys of a lease, what a watch would show. A KV.TXN
// asks for each command in it, at any depth, when it is read. So a question is complete before a plan is
// used.
//
// Behind that stands a second door, permitPlanned: it looks at the operations themselves, knows nothing of
// rows, and lets nothing near the log that writes or deletes a key beyond the user's. It should never refuse
// anything. It is there for the command that somebody adds with a column that is wrong.
//
// Rejected: the check inside apply, as etcd does it. It would make the meaning of rules part of the state
// machine, and members of two versions could decide differently. The price: a member that lags behind lets
// pass for as long as it lags what was forbidden elsewhere. A read after a barrier is asked about again.

// account is one user as one table has it.
type account struct {
	*acl.User
	since     uint64 // tells who was deleted and made again: see raftfsm.UserRecord; 0: has always been there
	unbounded bool   // may do everything: nothing is asked
	allKeys   bool   // keys need not be asked about
}

// directory is all users as one table has them. It is never changed.
type directory struct {
	table    *raftfsm.UserTable
	accounts map[string]*account
}

// users are the dispatcher's: the directory, and what logins and refusals need.
type users struct {
	secrets *passwords
	log     *slogAudit
	refused aclLog
	strikes strikes
	dir     atomic.Pointer[directory]
	denials [4]atomic.Int64 // by acl.Denial; 0 counts failed logins

	mu struct {
		sync.Mutex // one rebuilds
	}
}

const defaultUser = "default"

// openAccount is the default user of a server where nobody has set a rule.
func openAccount(c *acl.Catalog) *acl.User {
	u := acl.NewUser(c, defaultUser)
	_ = u.Apply(c, nil, []string{"on", "nopass", "~*", "&*", "+@all"}) // these can be read
	return u
}

// directory returns the users as of what is applied here.
func (d *Dispatcher) directory() *directory {
	dir := d.users.dir.Load()
	if dir != nil && (d.engine == nil || dir.table == d.engine.Users()) {
		return dir
	}
	return d.rebuild()
}

func (d *Dispatcher) rebuild() *directory {
	d.users.mu.Lock()
	defer d.users.mu.Unlock()
	table := &raftfsm.UserTable{}
	if d.engine != nil {
		table = d.engine.Users()
	}
	if dir := d.users.dir.Load(); dir != nil && dir.table == table {
		return dir
	}
	dir := d.interpret(table)
	d.users.dir.Store(dir)
	return dir
}

// interpret makes a directory of a table. A line that cannot be read leaves a user who may do nothing.
func (d *Dispatcher) interpret(table *raftfsm.UserTable) *directory {
	dir := &directory{table: table, accounts: map[string]*account{}}
	for _, rec := range table.Users {
		u, err := acl.Restore(d.table.catalog, d.users.secrets, rec.Name, rec.Rules)
		if err != nil {
			d.log.Error("the rules of a user cannot be read here; the user may do nothing", "user", rec.Name)
			u = acl.NewUser(d.table.catalog, rec.Name)
		}
		dir.add(u, rec.Since)
	}
	if dir.accounts[defaultUser] == nil {
		u := openAccount(d.table.catalog)
		if sealed := d.cfg.DefaultPassword; sealed != "" {
			_ = u.Apply(d.table.catalog, d.users.secrets, []string{"resetpass",
				"#" + sealed}) // it was made by Seal
		}
		dir.add(u, 0)
	}
	return dir
}

func (dir *directory) add(u *acl.User, since uint64) {
	if u.Name == defaultUser {
		since = 0 // it cannot be deleted, and is there before the first change writes it down
	}
	dir.accounts[u.Name] = &account{User: u, since: since, unbounded: u.Unbounded(), allKeys: u.AllKeys()}
}

// now returns what has become of the user of an account, nil if there is no such user any more: another one
// of the name does not count, nor does one who was turned off.
func (dir *directory) now(was *account) *account {
	u := dir.accounts[was.Name]
	if u == nil || !u.On || u.since != was.since {
		return nil
	}
	return u
}

// open reports whether whoever connects is the default user without a password.
func (dir *directory) open() bool {
	u := dir.accounts[defaultUser]
	return u != nil && u.On && u.NoPass
}

// identity is who a connection is. Only the connection's goroutine uses the fields, but for name.
type identity struct {
	dir      *directory // account is as of it
	account  *account   // nil: nobody yet, or a user who is gone
	loggedIn bool
	changed  bool // since the last reply
	query    acl.Query
	user     atomic.Pointer[account] // for others, as of the login; nil: nobody
}

// userName is who the connection is, for others to see. Safe for concurrent use.
func (s *session) userName() string {
	if u := s.who.user.Load(); u != nil {
		return u.Name
	}
	return defaultUser
}

// become makes the connection a user's; nil makes it nobody's.
func (s *session) become(dir *directory, u *account) {
	w := &s.who
	w.dir, w.account, w.loggedIn, w.changed = dir, u, u != nil, true
	w.user.Store(u)
}

// begin makes the connection what a fresh one is.
func (s *session) begin(d *Dispatcher) {
	dir := d.directory()
	if dir.open() {
		s.become(dir, dir.accounts[defaultUser])
	} else {
		s.become(dir, nil)
	}
}

// refresh brings the connection's rights up to date. A user who is gone or turned off ends it.
func (s *session) refresh(d *Dispatcher) {
	w := &s.who
	dir := d.directory()
	switch {
	case w.dir == dir:
		return
	case w.dir == nil:
		s.begin(d)
		return
	}
	w.dir = dir
	if !w.loggedIn {
		if dir.open() {
			s.become(dir, dir.accounts[defaultUser])
		}
		return
	}
	u := dir.now(w.user.Load())
	if u == nil {
		w.account, w.loggedIn, w.changed = nil, false, true
		s.closing = true
		return
	}
	w.account = u
}

// accessFrom reads what COMMAND says of the use of keys.
func accessFrom(words string) (a acl.Access) {
	for word := ""; words != ""; {
		word, words, _ = strings.Cut(words, " ")
		switch word {
		case "access":
			a |= acl.Read
		case "update", "insert", "delete":
			a |= acl.Write
		}
	}
	return a
}

// ask makes the question whether the user may run c. It is valid until the next one on this connection.
func (s *session) ask(c *call) (*acl.Query, error) {
	q := &s.who.query
	q.Command, q.Free, q.FirstArg = c.row.id, c.row.Flags&FlagNoAuth != 0 || c.row.free, nil
	q.Keys, q.Channels = q.Keys[:0], q.Channels[:0]
	if len(c.args) > 1 {
		q.FirstArg = c.args[1]
	}
	if !s.who.account.allKeys {
		c.row.useKeys(c.args, q)
	}
	if c.row.also == nil {
		return q, nil
	}
	return q, c.row.also(c, q)
}

// useKeys adds the keys that the row's positions name.
func (row *Command) useKeys(args [][]byte, q *acl.Query) {
	k := &row.Keys
	if k.none() && row.keysAt == nil || k.Access == notKey {
		return
	}
	first, later := row.access, row.laterAccess
	if row.accessOf != nil {
		first = accessFrom(row.accessOf(args))
		later = first
	}
	if row.keysAt != nil || k.CountAt > 0 {
		for _, at := range row.keys(args) {
			q.Keys = append(q.Keys, acl.Reach{From: alias(args[at]), Access: first})
		}
		return
	}
	last := k.Last
	if last < 0 {
		last += len(args)
	}
	for i := k.First; i <= last && i < len(args); i += k.Step {
		q.Keys = append(q.Keys, acl.Reach{From: alias(args[i]), Access: first})
		first = later
	}
}

// permit is nil if the connection's user may run c with all it touches.
func (s *session) permit(c *call) error {
	u := s.who.account
	if u == nil || u.unbounded {
		return nil // nobody passes gateAuthenticated with what is free alone
	}
	q, err := s.ask(c)
	if err != nil {
		return err
	}
	d, at := u.Check(q)
	if d == acl.Allowed {
		return nil
	}
	return s.deny(c, q, d, at)
}

// permitAtExec asks again about a queued command: the user's rights may have changed since.
func (s *session) permitAtExec(c *call) error {
	err := s.permit(c)
	var denied *denial
	if errors.As(err, &denied) {
		return denied.execText()
	}
	return err
}

// permitAgain asks again about reads whose barrier round is over, if users changed meanwhile: what they would
// show may have been written after the right to it was taken away.
func (s *session) permitAgain(d *Dispatcher) {
	if s.who.dir == d.directory() {
		return
	}
	s.refresh(d)
	for i := range s.run.items {
		it := &s.run.items[i]
		if !it.reads || it.decided {
			continue
		}
		c := &s.reading
		c.begin(it.args)
		c.row = it.row
		err := s.permit(c)
		if s.who.account == nil {
			err = errNoAuth
		}
		if err != nil {
			it.reply, it.decided, it.refused = refused(err), true, true
		}
	}
}

// permitGuard asks about a guard, which tells what a key holds.
func (c *call) permitGuard(g *mvcc.Compare) error {
	if c.s == nil || c.s.who.account == nil || c.s.who.account.allKeys {
		return nil
	}
	r := reachOf(g.Span, acl.Read)
	if c.s.who.account.MayReach(&r) {
		return nil
	}
	return c.s.deny(c, &acl.Query{Keys: []acl.Reach{r}}, acl.NoKey, 0)
}

// deny notes a refusal and returns what the client is told.
func (s *session) deny(c *call, q *acl.Query, d acl.Denial, at int) error {
	object := c.row.Name
	switch d {
	case acl.NoKey:
		object = q.Keys[at].From
	case acl.NoChannel:
		object = q.Channels[at].From
	}
	denied := &denial{what: d, row: c.row, object: strings.Clone(object)}
	if c.dry {
		return denied
	}
	c.d.noteRefusal(s, denied, c.context())
	return denied
}

// context is where a command that was refused stood, in ACL LOG's words.
func (c *call) context() string {
	switch {
	case c.scripted:
		return "lua"
	case c.tx != nil && c.tx.open:
		return "multi"
	default:
		return "toplevel"
	}
}

// permitPlanned is the second door: see the head of this file.
func (c *call) permitPlanned() error {
	if c.s == nil || c.s.who.account == nil || c.s.who.account.allKeys || c.row.inMulti == endsMulti ||
		c.row.nests {
		return nil // each command inside has passed the door by itself
	}
	if r, ok := beyond(c.s.who.account.User, &c.txn, c.row.wide); !ok {
		q := &c.s.who.query
		q.Keys = append(q.Keys[:0], r)
		return c.s.deny(c, q, acl.NoKey, 0)
	}
	return nil
}

// beyond returns something that a transaction does and the user may not; ok is true if there is nothing.
// names says that its reads of ranges find names alone, of which the user is shown those he may read.
func beyond(u *acl.User, t *mvcc.Txn, names bool) (r acl.Reach, ok bool) {
	for i := range t.Compares {
		g := &t.Compares[i]
		r := reachOf(g.Span, 0)
		if g.Target == mvcc.TargetValue || g.Target == mvcc.TargetDigest {
			r.Access = acl.Read
		}
		if !u.MayReach(&r) {
			return r, false
		}
	}
	for _, branch := range [2][]mvcc.Op{t.Then, t.Else} {
		for i := range branch {
			if r, ok := beyondOp(u, &branch[i], names); !ok {
				return r, false
			}
		}
	}
	return r, true
}

func beyondOp(u *acl.User, o *mvcc.Op, names bool) (r acl.Reach, ok bool) {
	switch o.Kind {
	case mvcc.OpTxn:
		return beyond(u, o.Txn, names)
	case mvcc.OpPublish:
		return r, true
	case mvcc.OpRange:
		if names && o.Span.Kind != mvcc.SpanKey {
			return r, true
		}
		if r = reachOf(o.Span, 0); r.Kind != acl.One {
			r.Access = acl.Read
		}
		return r, u.MayReach(&r)
	case mvcc.OpModify:
		if o.Modify == mvcc.ModifyMove || o.Modify == mvcc.ModifyCopy {
			to := acl.Reach{From: o.Value, Access: acl.Write}
			r = reachOf(mvcc.KeySpan(o.Span.From), acl.Read)
			if !u.MayReach(&to) {
				return to, false
			}
			return r, u.MayReach(&r)
		}
		r = reachOf(mvcc.KeySpan(o.Span.From), acl.Write)
	case mvcc.OpPut:
		r = reachOf(mvcc.KeySpan(o.Span.From), acl.Write)
	default:
		r = reachOf(o.Span, acl.Write)
	}
	return r, u.MayReach(&r)
}

// reachOf is a span as the rules see it.
func reachOf(s mvcc.Span, access acl.Access) acl.Reach {
	kinds := [...]acl.Kind{mvcc.SpanKey: acl.One, mvcc.SpanRange: acl.Bounded, mvcc.SpanFrom: acl.Open}
	return acl.Reach{From: s.From, End: s.End, Kind: kinds[s.Kind], Access: access}
}

// shows reports whether a listing may name a key to the connection's user: who may not read it does not hear
// of it.
func (c *call) shows(key string) bool {
	if c.s == nil || c.s.who.account == nil || c.s.who.account.allKeys {
		return true
	}
	return c.s.who.account.MayReach(&acl.Reach{From: key, Access: acl.Read})
}
