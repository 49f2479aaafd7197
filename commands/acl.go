package commands

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// The ACL family. Users are kept by the cluster: a change is in the log before it is answered, and survives
// restarts. So ACL SAVE has nothing to do and says OK; ACL LOAD, which means "forget what was not saved", is
// refused, since nothing is unsaved.
//
// Nobody is locked out by accident: a change after which no user could change users is refused.

const aclFlags = FlagNoScript | FlagLoading | FlagStale

var aclRows = []Command{
	{Name: "acl", Arity: -2, Group: "server", Since: "6.0.0", Complexity: "Depends on subcommand.",
		Summary: "A container for access control commands.", Subs: []Command{
			{Name: "cat", Arity: -2, Flags: aclFlags, Since: "6.0.0",
				Complexity: "O(1) since the categories and commands are a fixed set.",
				Summary:    "Lists the ACL categories, or the commands inside a category.",
				Args:       args(argString("category").opt()), session: aclCat},
			{Name: "deluser", Arity: -3, Kind: KindAdmin, Flags: aclFlags | FlagAdmin | FlagNoMulti,
				Since:      "6.0.0",
				Complexity: "O(1) amortized time considering the typical user.",
				Summary:    "Deletes ACL users, and terminates their connections.",
				Args:       args(argString("username").many()), block: aclDelUser},
			{Name: "dryrun", Arity: -4, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "7.0.0",
				Complexity: "O(1).",
				Summary:    "Simulates the execution of a command by a user, without executing the command.",
				Args:       args(argString("username"), argString("command"), argString("arg").opt().many()),
				session:    aclDryRun, hidden: true},
			{Name: "genpass", Arity: -2, Flags: aclFlags, Since: "6.0.0", Complexity: "O(1)",
				Summary: "Generates a pseudorandom, secure password that can be used to identify ACL users.",
				Args:    args(argInteger("bits").opt()), session: aclGenPass},
			{Name: "getuser", Arity: 3, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "6.0.0",
				Complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
				Summary:    "Lists the ACL rules of a user.", Args: args(argString("username")),
				session: aclGetUser},
			{Name: "list", Arity: 2, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "6.0.0",
				Complexity: "O(N). Where N is the number of configured users.",
				Summary:    "Dumps the effective rules in ACL file format.", session: aclList},
			{Name: "load", Arity: 2, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "6.0.0",
				Complexity: "O(1)", Summary: "Refused: users are kept by the cluster, not in a file.",
				session: aclLoad},
			{Name: "log", Arity: -2, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "6.0.0",
				Complexity: "O(N) with N being the number of entries shown.",
				Summary:    "Lists recent security events of this node.",
				Tips:       []string{"nondeterministic_output"},
				Args:       args(argOneOf("operation", argInteger("count"), argToken("RESET")).opt()),
				session:    aclLogCommand},
			{Name: "save", Arity: 2, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "6.0.0",
				Complexity: "O(1)",
				Summary:    "Does nothing: a change of users is durable before it is answered.",
				session:    aclSave},
			{Name: "setuser", Arity: -3, Kind: KindAdmin, Flags: aclFlags | FlagAdmin | FlagNoMulti,
				Since:      "6.0.0",
				Complexity: "O(N). Where N is the number of rules provided.",
				Summary:    "Creates and modifies an ACL user and its rules, on all members.",
				Args:       args(argString("username"), argString("rule").opt().many()), block: aclSetUser,
				hidden: true},
			{Name: "users", Arity: 2, Kind: KindAdmin, Flags: aclFlags | FlagAdmin, Since: "6.0.0",
				Complexity: "O(N). Where N is the number of configured users.",
				Summary:    "Lists all ACL users.", session: aclUsers},
			{Name: "whoami", Arity: 2, Flags: aclFlags, Since: "6.0.0", Complexity: "O(1)",
				Summary: "Returns the authenticated username of the current connection.", session: aclWhoAmI},
			{Name: "help", Arity: 2, Flags: FlagLoading | FlagStale, Since: "6.0.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
}

// aclChange is a change of users: which, made from a directory.
type aclChange func(dir *directory) (changes []raftfsm.UserChange, reply resp.Value, err error)

// outcome is what is known of a change of users.
type outcome uint8

const (
	outcomeNothing outcome = iota // nothing was changed
	outcomeDone
	outcomeUnknown // it may or may not have been made
)

// outcomeOf is the outcome of a submission that has ended.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outcomeDone
	case errors.Is(err, raftfsm.ErrUncertain):
		return outcomeUnknown
	default:
		return outcomeNothing
	}
}

// auditUsers tells what became of a change of users: nothing, if nothing was changed.
func (d *Dispatcher) auditUsers(s *session, o outcome, what string, words []string) {
	switch o {
	case outcomeDone:
		d.users.log.did(s, what, words)
	case outcomeUnknown:
		d.users.log.did(s, what+", or not: the outcome is not known", words)
	}
}

// changeUsers makes a change, again as often as others have changed users meanwhile.
func (d *Dispatcher) changeUsers(s *session, wait waiting, change aclChange) (resp.Value, outcome, error) {
	s.revising.Store(true)
	defer s.revising.Store(false)
	for {
		dir := d.directory()
		changes, reply, err := change(dir)
		if err != nil || len(changes) == 0 {
			return reply, outcomeNothing, err
		}
		if err := d.keepsAdministrator(dir, changes); err != nil {
			return resp.Value{}, outcomeNothing, err
		}
		sub := d.engine.NewSubmission()
		sub.AddUsers(dir.table.Version, changes)
		d.engine.Submit(sub)
		if !wait(sub.Done()) {
			return resp.Value{}, outcomeUnknown, nil // nobody reads the reply
		}
		switch {
		case sub.Err() != nil:
			return resp.Value{}, outcomeOf(sub.Err()), d.writeFate(sub.Err(), sub.Bytes())
		case sub.Result(0).Ops[0].N == 1:
			s.written = d.engine.AppliedIndex()
			s.refresh(d) // closes the connection after the reply if it was its own user
			return reply, outcomeDone, nil
		}
	}
}

// keepsAdministrator refuses a change after which no user could change users, if there is one now.
func (d *Dispatcher) keepsAdministrator(dir *directory, changes []raftfsm.UserChange) error {
	left := map[string]*account{}
	before := false
	for name, u := range dir.accounts {
		before = before || d.mayAdminister(u.User)
		left[name] = u
	}
	for _, c := range changes {
		delete(left, c.Name)
		if c.Delete {
			continue
		}
		u, err := acl.Restore(d.table.catalog, d.users.secrets, c.Name, c.Rules)
		if err != nil {
			return errInternal
		}
		left[c.Name] = &account{User: u}
	}
	for _, u := range left {
		if d.mayAdminister(u.User) {
			return nil
		}
	}
	if before {
		return errLastAdministrator
	}
	return nil
}

func aclSetUser(c *call, s *session, wait waiting) (resp.Value, error) {
	name := string(c.args[2])
	if !acl.ValidName(name) {
		return resp.Value{}, errUserName
	}
	rules := make([]string, len(c.args)-3)
	for i := range rules {
		rules[i] = string(c.args[3+i])
	}
	v, o, err := c.d.changeUsers(s, wait, func(dir *directory) ([]raftfsm.UserChange, resp.Value, error) {
		u := acl.NewUser(c.d.table.catalog, name)
		if old := dir.accounts[name]; old != nil {
			u = old.Clone()
		}
		if err := u.Apply(c.d.table.catalog, c.d.users.secrets, rules); err != nil {
			return nil, resp.Value{}, errRule(err)
		}
		rec := raftfsm.UserRecord{Name: name, Rules: u.Rules()}
		return []raftfsm.UserChange{{UserRecord: rec}}, resp.OK(), nil
	})
	c.d.auditUsers(s, o, "user changed", append([]string{name}, withoutSecrets(rules)...))
	return v, err
}

// withoutSecrets is rules as they may be logged.
func withoutSecrets(rules []string) []string {
	out := slices.Clone(rules)
	for i, r := range out {
		if r != "" && strings.ContainsRune("><#!", rune(r[0])) {
			out[i] = r[:1] + "***"
		}
	}
	return out
}

func aclDelUser(c *call, s *session, wait waiting) (resp.Value, error) {
	var names []string // of those who are there
	v, o, err := c.d.changeUsers(s, wait, func(dir *directory) ([]raftfsm.UserChange, resp.Value, error) {
		var changes []raftfsm.UserChange
		seen := map[string]bool{}
		names = names[:0]
		for _, word := range c.args[2:] {
			name := string(word)
			if name == defaultUser {
				return nil, resp.Value{}, errDefaultUser
			}
			if dir.accounts[name] != nil && !seen[name] {
				seen[name] = true
				names = append(names, name)
				changes = append(changes, raftfsm.UserChange{UserRecord: raftfsm.UserRecord{Name: name},
					Delete: true})
			}
		}
		return changes, resp.Int(int64(len(changes))), nil
	})
	c.d.auditUsers(s, o, "users deleted", names)
	return v, err
}

func aclWhoAmI(_ *call, s *session) (resp.Value, error) { return resp.Bulk(s.userName()), nil }

// names of all users, sorted.
func (dir *directory) names() []string {
	out := make([]string, 0, len(dir.accounts))
	for name := range dir.accounts {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func aclUsers(c *call, _ *session) (resp.Value, error) {
	return bulks(c.d.directory().names()), nil
}

func bulks(words []string) resp.Value {
	out := make([]resp.Value, len(words))
	for i, w := range words {
		out[i] = resp.Bulk(w)
	}
	return resp.ArrayOf(out)
}

func aclList(c *call, _ *session) (resp.Value, error) {
	dir := c.d.directory()
	lines := dir.names()
	for i, name := range lines {
		lines[i] = "user " + name + " " + dir.accounts[name].Rules()
	}
	return bulks(lines), nil
}

func aclGetUser(c *call, _ *session) (resp.Value, error) {
	u := c.d.directory().accounts[string(c.args[2])]
	if u == nil {
		return resp.Null(), nil
	}
	all := u.Selectors()
	more := make([]resp.Value, len(all)-1)
	for i, p := range all[1:] {
		more[i] = resp.Map(permissions(p)...)
	}
	fields := []resp.Value{
		resp.Bulk("flags"), bulkSet(u.Flags()),
		resp.Bulk("passwords"), bulks(u.Passwords),
	}
	fields = append(fields, permissions(all[0])...)
	return resp.Map(append(fields, resp.Bulk("selectors"), resp.ArrayOf(more))...), nil
}

func permissions(p acl.Permissions) []resp.Value {
	return []resp.Value{
		resp.Bulk("commands"), resp.Bulk(p.Commands),
		resp.Bulk("keys"), resp.Bulk(p.Keys),
		resp.Bulk("channels"), resp.Bulk(p.Channels),
	}
}

func aclCat(c *call, _ *session) (resp.Value, error) {
	switch len(c.args) {
	case 2:
		return bulks(c.d.table.catalog.Categories()), nil
	case 3:
		names, ok := c.d.table.catalog.Members(string(c.args[2]))
		if !ok {
			return resp.Value{}, errNoCategory(c.args[2])
		}
		return bulks(names), nil
	default:
		return resp.Value{}, errSubWords(c)
	}
}

const (
	genPassBits = 256
	genPassMost = 4096
)

func aclGenPass(c *call, _ *session) (resp.Value, error) {
	bits := int64(genPassBits)
	if len(c.args) > 3 {
		return resp.Value{}, errSubWords(c)
	}
	if len(c.args) == 3 {
		var err error
		if bits, err = integer(c.args[2]); err != nil {
			return resp.Value{}, err
		}
		if bits <= 0 || bits > genPassMost {
			return resp.Value{}, errGenPass
		}
	}
	digits := int(bits+3) / 4
	return resp.Bulk(hex.EncodeToString(randomBytes((digits + 1) / 2))[:digits]), nil
}

func aclSave(*call, *session) (resp.Value, error) { return resp.OK(), nil }

func aclLoad(*call, *session) (resp.Value, error) { return resp.Value{}, errNoACLFile }

// aclDryRun asks for another user what gatePermitted would ask.
func aclDryRun(c *call, s *session) (resp.Value, error) {
	u := c.d.directory().accounts[string(c.args[2])]
	if u == nil {
		return resp.Value{}, errNoUser(c.args[2])
	}
	tried := &call{d: c.d, tx: c.tx, dry: true}
	tried.begin(c.args[3:])
	if tried.row = c.d.table.Lookup(tried.args[0]); tried.row == nil || gateSub(nil, tried) != nil {
		return resp.Value{}, errNoCommand(tried.args[0])
	}
	if !tried.row.fits(len(tried.args)) {
		return resp.Value{}, errArity(tried.row.Name)
	}
	as := &session{conn: s.conn, id: s.id}
	as.who.account, as.tx.s, tried.s = u, as, as
	err := as.permit(tried)
	var denied *denial
	if errors.As(err, &denied) {
		return resp.Bulk(denied.dryText()), nil
	}
	return resp.OK(), err
}
