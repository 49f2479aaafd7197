package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

// fake answers every command with one reply and remembers the words.
type fake struct {
	reply any
	err   error
	asked string
}

func (f *fake) Do(ctx context.Context, args ...any) *redis.Cmd {
	f.asked = fmt.Sprintln(args...)
	cmd := redis.NewCmd(ctx, args...)
	cmd.SetVal(f.reply)
	cmd.SetErr(f.err)
	return cmd
}

func TestTxnWords(t *testing.T) {
	f := &fake{reply: []any{"succeeded", int64(1), "revision", int64(7), "responses", []any{"OK", "x"}}}
	res, err := NewTxn(f).If(Value("a").Is("1"), ModRevision("p").Prefix().Less(9), Version("a").To("b").Not(0)).
		If(Locked("m", 5)).Then(Command("SET", "a", "2"), Command("GET", "b")).Else(Command("DEL", "a")).
		Commit(context.Background())
	const want = "KV.TXN 4 value a = 1 mod p PREFIX < 9 version a TO b != 0 lock m = 5 2 3 SET a 2 2 GET b " +
		"1 2 DEL a\n"
	if f.asked != want {
		t.Errorf("sent %s want %s", f.asked, want)
	}
	if err != nil || !res.Succeeded || res.Revision != 7 || len(res.Responses) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestTxnReplies(t *testing.T) {
	f := &fake{reply: map[any]any{"succeeded": int64(0), "revision": int64(3), "responses": []any{}}}
	if res, err := NewTxn(f).Commit(context.Background()); err != nil || res.Succeeded || res.Revision != 3 {
		t.Errorf("%+v, %v", res, err)
	}
	f.reply = "OK"
	if _, err := NewTxn(f).Commit(context.Background()); !errors.Is(err, errReply) {
		t.Errorf("%v", err)
	}
	f.err = errors.New("UNCERTAIN x")
	if _, err := NewTxn(f).Commit(context.Background()); err == nil {
		t.Error("no error")
	}
}

// A subject is a value: what is made of it does not change it.
func TestSubjectsAreValues(t *testing.T) {
	s := Value("a")
	one, two := s.Is("1"), s.Prefix().Is("2")
	if fmt.Sprint(one, two, s) != "[value a = 1] [value a PREFIX = 2] [value a]" {
		t.Error(one, two, s)
	}
}
