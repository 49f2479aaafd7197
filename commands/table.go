package commands

import (
	"slices"
	"strings"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/resp"
)

// Kind says how a command is served, and with that which of the three handler shapes its row has.
type Kind uint8

const (
	KindSession Kind = iota // answered at once from this node's own state; needs no quorum
	KindAdmin               // as KindSession, about the node or the cluster rather than the connection
	KindRead                // answered from the store, after a read barrier unless the connection is READONLY
	KindWrite               // planned into a request that goes through the log
	KindScript              // run on this node over one snapshot; what it writes goes through the log
)

var kindNames = [...]string{"session", "admin", "read", "write", "script"}

func (k Kind) String() string { return kindNames[k] }

// Flags are what COMMAND tells of a command, as Redis defines them.
type Flags uint32

const (
	FlagWrite Flags = 1 << iota
	FlagReadonly
	FlagDenyOOM // refused while the node takes no writes that grow the state
	FlagAdmin
	FlagPubSub
	FlagNoScript
	FlagLoading
	FlagStale
	FlagAsking
	FlagFast
	FlagNoAuth  // allowed before authentication
	FlagNoMulti // refused inside MULTI
	FlagAllowBusy
	FlagSkipSlowlog
	FlagSkipMonitor
	FlagNoMandatoryKeys
	FlagMovableKeys
)

var flagNames = [...]string{"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "loading", "stale",
	"asking", "fast", "no_auth", "no_multi", "allow_busy", "skip_slowlog", "skip_monitor", "no_mandatory_keys",
	"movablekeys"}

// Categories are ACL categories. Those that follow from flags and group are added when the table is built.
type Categories uint32

const (
	CatKeyspace Categories = 1 << iota
	CatRead
	CatWrite
	CatString
	CatAdmin
	CatPubSub
	CatFast
	CatSlow
	CatDangerous
	CatConnection
	CatKV
	CatCluster
	CatBitmap
	CatTransaction
	CatScripting
	CatLease
	CatLock
)

var categoryNames = [...]string{"keyspace", "read", "write", "string", "admin", "pubsub", "fast", "slow",
	"dangerous", "connection", "kv", "cluster", "bitmap", "transaction", "scripting", "lease", "lock"}

// Keys tells where a command's keys stand: arguments First, First+Step, ... up to Last, where a negative
// Last counts from the end. Where CountAt is set instead, that argument is the number of keys behind it. The
// zero Keys means no key. Access is what COMMAND tells of the use made of them.
type Keys struct {
	First, Last, Step int
	CountAt           int
	// Of the first key, and of all without Later: words of Redis's key specifications.
	Access string // RO RW OW RM access update insert delete
	Later  string // the same of the keys behind the first, if it differs
	Notes  string
}

func (k Keys) none() bool { return k.First == 0 && k.CountAt == 0 }

// Command is one row of the table.
//
// Invariants, checked when the table is built: I1 exactly one of plan, read, session, block, script, renew is
// set, and it fits Kind; a row with Subs alone has none. I2 |Arity| counts the command's own words. I3 names
// are lower case and unique.
type Command struct {
	Name       string // lower case; a sub-command has its container in front: "client|id"
	Arity      int    // Redis's convention: words with the name; negative: at least so many
	Kind       Kind
	Flags      Flags
	Keys       Keys
	Categories Categories
	Tips       []string
	Group      string
	Since      string
	Complexity string
	Summary    string
	Args       []Arg
	Subs       []Command

	plan      func(c *call) (render, error)
	read      func(c *call, v *view) (resp.Value, error)
	planRead  func(c *call) render // KindRead: the same read as part of a request, if it can be one
	session   func(c *call, s *session) (resp.Value, error)
	script    func(c *call) (scriptCall, error)
	renew     func(c *call) (renewal, error)     // KindWrite: asks the leader's clock, not the log
	join      func(c *call) (joining, error)     // beside plan: the same command, if it has to wait its turn
	planMulti func(c *call) (render, error)      // KindRead: what it is inside MULTI, if planRead does not say
	queue     func(b *block, q *queued) error    // what else may refuse it a place inside MULTI
	inMulti   inMulti                            // what becomes of it inside MULTI
	prompt    bool                               // KindSession: its reply needs nothing that is under way
	plain     bool                               // no flags and categories follow from Kind
	local     func(c *call) bool                 // KindRead: whether these arguments ask for no barrier
	accessOf  func(args [][]byte) (words string) // key access when it depends on the arguments

	// As session, but may wait.
	block func(c *call, s *session, wait waiting) (resp.Value, error)

	wide   bool                      // planRead is dear or vague: for a transaction, not for a run of writes
	hidden bool                      // the arguments hold secrets: neither slow log nor MONITOR shows them
	keysAt func(args [][]byte) []int // positions of the keys when Keys cannot say them

	ofState bool // KindSession: it shows the replicated state all the same, so a fenced member refuses it

	nests bool // it names keys inside commands inside it: see keysInside

	// What the command touches beside Keys: ranges, channels, keys that its words do not name (reach.go).
	also func(c *call, q *acl.Query) error

	audited    bool // the audit log tells that it was done, with its words: they hold no value
	subscribed bool // may be sent by a RESP2 connection that has subscriptions

	// Why there is no such sub-command; nil: it is unknown.
	absentSub func(d *Dispatcher, sub []byte) error

	id                  acl.CommandID
	free                bool       // no rule can name it: whoever is logged in may send it
	access, laterAccess acl.Access // what Keys says

	subs  map[string]*Command
	stats *rowStats
}

// Table is every command of the server. It is built once and never changes.
type Table struct {
	rows   []*Command // top level, sorted by name
	all    []*Command // with sub-commands, each after its container
	byName map[string]*Command

	catalog *acl.Catalog // the same, as rules name it
}

// families is where a family joins the table. Nothing else registers commands.
func families() [][]Command {
	return [][]Command{
		connectionRows, clientRows, introspectionRows, infoRows, configRows, statisticsRows,
		stringRows, keyRows, expiryRows, kvRows, multiRows, txnRows, scriptRows, clusterRows,
		valueRows, rangeRows, bitmapRows, renameRows, objectRows, dumpRows, serverRows, waitRows,
		pubsubRows, watchRows, leaseRows, lockRows, electionRows,
		memberRows, alarmRows, snapshotRows, slotRows, aclRows,
	}
}

// NewTable builds the table of all commands. Each call gives a table with counters of its own.
func NewTable() *Table { return buildTable(families()) }

func buildTable(families [][]Command) *Table {
	t := &Table{byName: map[string]*Command{}}
	for _, rows := range families {
		for i := range rows {
			row := rows[i]
			t.add(&row)
		}
	}
	slices.SortFunc(t.rows, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	for _, row := range t.rows {
		t.all = append(t.all, row)
		for i := range row.Subs {
			t.all = append(t.all, &row.Subs[i])
		}
	}
	t.number()
	return t
}

// number gives every row its number in the catalog of access rules.
func (t *Table) number() {
	entries := make([]acl.Entry, len(t.all))
	parent := acl.NoParent
	for i, row := range t.all {
		row.id = acl.CommandID(i)
		entries[i] = acl.Entry{Name: row.Name, Parent: acl.NoParent,
			Categories: names(row.Categories, categoryNames[:])}
		if strings.Contains(row.Name, "|") {
			entries[i].Parent = parent
		} else {
			parent = row.id
		}
	}
	t.catalog = acl.NewCatalog(entries, ruleCategories())
}

// foreignCategories are those of Redis that no command here has; rules may name them.
var foreignCategories = []string{"set", "sortedset", "list", "hash", "hyperloglog", "geo", "stream",
	"blocking"}

// ruleCategories are the names of all categories.
func ruleCategories() []string { return append(slices.Clone(categoryNames[:]), foreignCategories...) }

func (t *Table) add(row *Command) {
	row.complete()
	t.rows = append(t.rows, row)
	t.byName[row.Name] = row
	if len(row.Subs) == 0 {
		return
	}
	row.Subs = slices.Clone(row.Subs)
	row.subs = make(map[string]*Command, len(row.Subs))
	for i := range row.Subs {
		sub := &row.Subs[i]
		row.subs[sub.Name] = sub
		sub.Name = row.Name + "|" + sub.Name
		sub.Group = row.Group
		sub.Categories |= row.Categories
		sub.complete()
	}
}

// complete fills in what follows from other columns.
func (row *Command) complete() {
	row.stats = &rowStats{}
	row.access = accessFrom(row.Keys.Access)
	if row.laterAccess = row.access; row.Keys.Later != "" {
		row.laterAccess = accessFrom(row.Keys.Later)
	}
	switch {
	case row.plain, row.Flags&FlagPubSub != 0: // a message goes through the log, but is no write to clients
	case row.Kind == KindWrite:
		row.Flags |= FlagWrite
		row.Categories |= CatWrite
	case row.Kind == KindRead:
		row.Flags |= FlagReadonly
		row.Categories |= CatRead
	}
	if row.Flags&FlagAdmin != 0 {
		row.Categories |= CatAdmin | CatDangerous
	}
	if row.Flags&FlagFast != 0 {
		row.Categories |= CatFast
	} else {
		row.Categories |= CatSlow
	}
	own := row.Kind != KindSession && row.Kind != KindAdmin
	if own || row.session != nil || row.block != nil { // no mere container
		row.Categories |= groupCategories[row.Group]
	}
}

var groupCategories = map[string]Categories{
	"string": CatString, "generic": CatKeyspace, "connection": CatConnection, "kv": CatKV, "pubsub": CatPubSub,
	"bitmap": CatBitmap, "transactions": CatTransaction, "scripting": CatScripting,
	"lease": CatLease, "lock": CatLock,
}

// Rows returns the top-level rows sorted by name. The caller must not change them.
func (t *Table) Rows() []*Command { return t.rows }

// All returns every row, each sub-command after its container. The caller must not change them.
func (t *Table) All() []*Command { return t.all }

// Lookup finds a top-level command in any case; nil iff there is none. It allocates nothing.
func (t *Table) Lookup(name []byte) *Command {
	var room [maxName]byte
	if lower, ok := lowerInto(room[:], name); ok {
		return t.byName[string(lower)]
	}
	return nil
}

// Sub finds a sub-command in any case; nil iff there is none.
func (row *Command) Sub(name []byte) *Command {
	var room [maxName]byte
	if lower, ok := lowerInto(room[:], name); ok {
		return row.subs[string(lower)]
	}
	return nil
}

// find accepts "container|sub" too, as COMMAND INFO and DOCS do.
func (t *Table) find(name []byte) *Command {
	container, sub, nested := strings.Cut(string(name), "|")
	row := t.Lookup([]byte(container))
	if row == nil || !nested {
		return row
	}
	return row.Sub([]byte(sub))
}

// maxName is longer than any command's name: a longer word is no command.
const maxName = 32

func lowerInto(room, name []byte) (lower []byte, ok bool) {
	if len(name) > len(room) {
		return nil, false
	}
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		room[i] = b
	}
	return room[:len(name)], true
}

// fits reports whether n words satisfy the row's arity.
func (row *Command) fits(n int) bool {
	if row.Arity < 0 {
		return n >= -row.Arity
	}
	return n == row.Arity
}

// keys returns the positions of the keys in args; REQUIRES: args fit the row's arity.
func (row *Command) keys(args [][]byte) []int {
	if row.keysAt != nil {
		return row.keysAt(args)
	}
	k := row.Keys
	if k.CountAt > 0 {
		return countedKeys(args, k.CountAt)
	}
	if k.First == 0 {
		return nil
	}
	last := k.Last
	if last < 0 {
		last += len(args)
	}
	var at []int
	for i := k.First; i <= last && i < len(args); i += k.Step {
		at = append(at, i)
	}
	return at
}

// countedKeys are the positions of the keys behind their number; nil if that makes no sense.
func countedKeys(args [][]byte, at int) (keys []int) {
	n, ok := parseInt(args[at])
	if !ok || n < 0 || n > int64(len(args)-at-1) {
		return nil
	}
	for i := range int(n) {
		keys = append(keys, at+1+i)
	}
	return keys
}

// names spells out the bits of a set, in the order of the names.
func names[T ~uint32](set T, all []string) []string {
	var out []string
	for i, name := range all {
		if set&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}
