package client

import "context"

// Txn is a transaction: if all guards hold, the commands of Then run, else those of Else; all in one
// revision. It is sent as one KV.TXN.
//
//	client.NewTxn(rdb).If(client.Value("user1").Is("bad")).
//		Then(client.Command("SET", "user1", "good")).Else(client.Command("GET", "user1")).Commit(ctx)
type Txn struct {
	c                 doer
	guards            []Guard
	onTrue, otherwise []Cmd
}

// Cmd is one command of a branch: any read or write of keys.
type Cmd []any

// Command makes one.
func Command(words ...any) Cmd { return words }

// Guard is one condition.
type Guard []any

// Subject is what a guard compares.
type Subject []any

// Subjects of one key. A missing key counts as 0; its value compares with nothing.
func Value(key string) Subject          { return Subject{"value", key} }
func Version(key string) Subject        { return Subject{"version", key} }
func CreateRevision(key string) Subject { return Subject{"create", key} }
func ModRevision(key string) Subject    { return Subject{"mod", key} }
func OnLease(key string) Subject        { return Subject{"lease", key} }

// Prefix widens the subject to every key that begins so.
func (s Subject) Prefix() Subject { return append(s[:len(s):len(s)], "PREFIX") }

// To widens the subject to every key from its own to before end.
func (s Subject) To(end string) Subject { return append(s[:len(s):len(s)], "TO", end) }

// The operators.
func (s Subject) Is(v any) Guard      { return s.guard("=", v) }
func (s Subject) Not(v any) Guard     { return s.guard("!=", v) }
func (s Subject) Less(v any) Guard    { return s.guard("<", v) }
func (s Subject) Greater(v any) Guard { return s.guard(">", v) }

func (s Subject) guard(op string, v any) Guard { return Guard(append(s[:len(s):len(s)], op, v)) }

// Locked holds iff the token holds the lock when the transaction's turn comes.
func Locked(name string, token int64) Guard { return Guard{"lock", name, "=", token} }

// NewTxn returns an empty transaction.
func NewTxn(c doer) *Txn { return &Txn{c: c} }

// If adds guards, all of which have to hold.
func (t *Txn) If(guards ...Guard) *Txn {
	t.guards = append(t.guards, guards...)
	return t
}

// Then adds commands that run if the guards hold, Else those that run if not.
func (t *Txn) Then(cmds ...Cmd) *Txn {
	t.onTrue = append(t.onTrue, cmds...)
	return t
}

// Else: see Then.
func (t *Txn) Else(cmds ...Cmd) *Txn {
	t.otherwise = append(t.otherwise, cmds...)
	return t
}

// Result is what a transaction answered: one response for each command of the branch taken.
type Result struct {
	Succeeded bool
	Revision  int64
	Responses []any
}

// words is the whole command.
func (t *Txn) words() []any {
	words := []any{"KV.TXN", len(t.guards)}
	for _, g := range t.guards {
		words = append(words, g...)
	}
	for _, branch := range [][]Cmd{t.onTrue, t.otherwise} {
		words = append(words, len(branch))
		for _, cmd := range branch {
			words = append(append(words, len(cmd)), cmd...)
		}
	}
	return words
}

// Commit sends it, once, whatever the client is set to. An error that the server did not say, or that begins
// with UNCERTAIN, leaves open whether it was done.
func (t *Txn) Commit(ctx context.Context) (Result, error) {
	reply, err := once(ctx, t.c, t.words()...).Result()
	if err != nil {
		return Result{}, err
	}
	f := fieldsOf(reply)
	succeeded, ok := f["succeeded"].(int64)
	if !ok {
		return Result{}, errReply
	}
	r := Result{Succeeded: succeeded != 0}
	r.Revision, _ = f["revision"].(int64)
	r.Responses, _ = f["responses"].([]any)
	return r, nil
}
