package commands

import (
	"errors"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// Users that the node itself makes, at the wish of who starts it: the first password of the default user, and
// an administrator for a cluster whose administrators are locked out. Who can start a node with such a wish
// can read its data anyway.

// SealPassword returns what is kept of a password, for Config.DefaultPassword and EnsureUser.
func SealPassword(password string) string { return newPasswords().Seal(password) }

// EnsureUser changes a user by rules, again until it has been done. With fresh it does nothing once anybody
// has ever changed a user. It returns an error that a repetition would not mend, and nil when stop ends it.
func (d *Dispatcher) EnsureUser(name string, rules []string, fresh bool, stop <-chan struct{}) error {
	s := &session{}
	s.who.dir = d.directory()
	wait := func(done <-chan struct{}) bool {
		select {
		case <-done:
			return true
		case <-stop:
			return false
		}
	}
	change := func(dir *directory) ([]raftfsm.UserChange, resp.Value, error) {
		if fresh && dir.table.Version > 0 {
			return nil, resp.OK(), nil
		}
		u := acl.NewUser(d.table.catalog, name)
		if old := dir.accounts[name]; old != nil {
			u = old.Clone()
		}
		if err := u.Apply(d.table.catalog, d.users.secrets, rules); err != nil {
			return nil, resp.Value{}, errRule(err)
		}
		rec := raftfsm.UserRecord{Name: name, Rules: u.Rules()}
		return []raftfsm.UserChange{{UserRecord: rec}}, resp.OK(), nil
	}
	for {
		_, o, err := d.changeUsers(s, wait, change)
		d.auditUsers(s, o, "user made at start", []string{name})
		switch {
		case err == nil:
			return nil
		case !mayComeRight(err):
			return err
		}
		if !wait(after(waitPeriod)) {
			return nil
		}
	}
}

// mayComeRight reports whether a change of users that failed is worth another attempt: it names the version
// it was made from, so one that was made after all is not made twice.
func mayComeRight(err error) bool {
	return errors.Is(err, errNoLeader) || errors.Is(err, errBusy) || errors.Is(err, errDoubtful)
}

// Protected reports whether nobody has set a password, so that only this machine may connect: Redis's
// protected mode.
func (d *Dispatcher) Protected() bool { return d.directory().open() }

// PasswordNeeded reports whether a fresh connection has to log in.
func (d *Dispatcher) PasswordNeeded() bool { return !d.directory().open() }

// ProtectedRefusal is what a connection from elsewhere is told then.
const ProtectedRefusal = string(errProtected)
