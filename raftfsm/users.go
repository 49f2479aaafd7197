package raftfsm

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/redkeep/redkeep/mvcc"
)

// Users in the log.
//
// Idea. What a user may do is written in a language that is not known here; the log keeps it as text. So a
// rule is read once, by the member that took the command, and every member keeps the same line. Each change
// names the version of the whole table that it was made from, and does nothing if that is not the version it
// meets: two administrators at two members cannot overwrite each other, and a check of the whole table ("is
// there an administrator left?") still holds when the change is applied. Passwords are sealed before they
// come here, with a salt of that member's, so apply draws no number.
//
// Rejected: rules as deltas, applied here: the meaning of a rule would become part of the log's format, and a
// member of another version could come to another result. Drawback: a change that lost the race is made
// again, which for users is seldom.

// UserTable is all users at one moment. It is never changed.
type UserTable struct {
	Version uint64 // how many changes have been made; 0: nobody has ever changed a user
	Users   []UserRecord
}

// UserRecord is one user; Rules is what package acl writes. They stand in the order of their names.
type UserRecord struct {
	Name, Rules string

	// Since is the version of the table that made the user, by which one who was deleted and made again is
	// known to be another. It is not part of the formats: a member sees it in the changes that it applies, and
	// where it cannot (a snapshot of users it did not have) it takes the user for a new one. In a UserChange it
	// has no meaning.
	Since uint64
}

// userNews tells that the table is another one, each listener in a channel of its own.
type userNews struct {
	mu struct {
		sync.Mutex
		listeners []chan struct{} // of one slot each
	}
}

func (n *userNews) listen() <-chan struct{} {
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.listeners = append(n.mu.listeners, c)
	return c
}

// tell does not block.
func (n *userNews) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.mu.listeners {
		wake(c)
	}
}

// UserChange sets the rules of a user, or deletes it.
type UserChange struct {
	UserRecord
	Delete bool
}

// Find returns the rules of a user; ok is false if there is none of that name.
func (t *UserTable) Find(name string) (rules string, ok bool) {
	i, ok := slices.BinarySearchFunc(t.Users, name, compareUser)
	if !ok {
		return "", false
	}
	return t.Users[i].Rules, true
}

func compareUser(r UserRecord, name string) int { return strings.Compare(r.Name, name) }

// Sum is a hash of the table, equal on members that have the same one.
func (t *UserTable) Sum() uint64 {
	h := fnv.New64a()
	_, _ = h.Write(appendUsers(nil, t))
	return h.Sum64()
}

// changed returns the table after the changes. The strings of changes may alias an entry.
func (t *UserTable) changed(changes []UserChange) *UserTable {
	next := &UserTable{Version: t.Version + 1, Users: slices.Clone(t.Users)}
	for _, c := range changes {
		i, there := slices.BinarySearchFunc(next.Users, c.Name, compareUser)
		switch {
		case c.Delete && there:
			next.Users = slices.Delete(next.Users, i, i+1)
		case c.Delete:
		case there:
			next.Users[i].Rules = strings.Clone(c.Rules)
		default:
			next.Users = slices.Insert(next.Users, i,
				UserRecord{Name: strings.Clone(c.Name), Rules: strings.Clone(c.Rules), Since: next.Version})
		}
	}
	return next
}

// The kinds of changes. They are part of the log format.
const (
	userSet    = 1
	userDelete = 2
)

// AddUsers asks for changes of the table of users, if it is still of the version they were made from. Its
// result has one operation; N is 1 if they were made, 0 if the table had changed.
func (s *Submission) AddUsers(from uint64, changes []UserChange) {
	s.add(ReqUser, func(b []byte) []byte {
		b = binary.AppendUvarint(b, from)
		b = binary.AppendUvarint(b, uint64(len(changes)))
		for _, c := range changes {
			if c.Delete {
				b = appendBytes(append(b, userDelete), c.Name)
				continue
			}
			b = appendBytes(appendBytes(append(b, userSet), c.Name), c.Rules)
		}
		return b
	})
}

func (r *reader) userChanges() (from uint64, changes []UserChange) {
	from = r.uvarint()
	for range r.count(2) {
		c := UserChange{Delete: r.enum("change of a user", userSet, userDelete) == userDelete}
		if c.Name = r.bytes(); !c.Delete {
			c.Rules = r.bytes()
		}
		changes = append(changes, c)
	}
	return from, changes
}

// setUsers applies a User request.
func (m *machine) setUsers(b *mvcc.Batch, body *reader, res *mvcc.Result) {
	from, changes := body.userChanges()
	if body.err != nil {
		return
	}
	table := m.users.Load()
	if table.Version != from {
		answerOne(b, res, mvcc.OpResult{})
		return
	}
	m.replaceUsers(table.changed(changes))
	answerOne(b, res, mvcc.OpResult{N: 1})
}

// replaceUsers makes t the table and tells who waits for that. It does not block.
func (m *machine) replaceUsers(t *UserTable) {
	m.users.Store(t)
	m.usersNews.tell()
}

// dated is the table of a snapshot with what this member knows of its users: one who stands in the table
// before as he is now is the same. Of one whose rules differ nobody can tell whether he was changed or made
// again, so he counts as another: at worst connections are cut that could have stayed.
func (t *UserTable) dated(before *UserTable) *UserTable {
	for i := range t.Users {
		u := &t.Users[i]
		u.Since = t.Version
		at, there := slices.BinarySearchFunc(before.Users, u.Name, compareUser)
		if there && before.Users[at].Rules == u.Rules {
			u.Since = before.Users[at].Since
		}
	}
	return t
}

// appendUsers is the body of a snapshot's block of users.
func appendUsers(b []byte, t *UserTable) []byte {
	b = binary.AppendUvarint(b, t.Version)
	b = binary.AppendUvarint(b, uint64(len(t.Users)))
	for _, u := range t.Users {
		b = appendBytes(appendBytes(b, u.Name), u.Rules)
	}
	return b
}

func (r *reader) users() *UserTable {
	t := &UserTable{Version: r.uvarint()}
	for range r.count(2) {
		t.Users = append(t.Users, UserRecord{Name: strings.Clone(r.bytes()), Rules: strings.Clone(r.bytes())})
	}
	if !slices.IsSortedFunc(t.Users, func(a, b UserRecord) int { return strings.Compare(a.Name, b.Name) }) {
		r.fail("users out of order")
	}
	return t
}

// Users returns the users as of what is applied here; never nil.
func (e *Engine) Users() *UserTable { return e.machine.users.Load() }

// UsersNews returns a new one-slot channel with a token after the users have changed; tokens coalesce, and it
// is never closed. It lasts as long as the engine: one for each part that listens, not for each connection.
func (e *Engine) UsersNews() <-chan struct{} { return e.machine.usersNews.listen() }
