package integration

import (
	"errors"
	"strings"
	"testing"
	"time"

	watch "github.com/redkeep/redkeep/client"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func dialAs(t *testing.T, addr, user, password string) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if r, err := c.Do("AUTH", user, password); err != nil || r.Text != "OK" {
		t.Fatalf("AUTH %s at %s: %v, %v", user, addr, r, err)
	}
	return c
}

// A user made at one member is the same at each, also after all were killed; and what is taken away through
// one member is taken away from a watch at another, whose client is told so and does not try again.
func TestUsersAreEverywhere(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	admin, err := wire.Dial(c.Nodes[0].ClientAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, words := range []string{"ACL SETUSER root on >secret ~* &* +@all",
		"ACL SETUSER app on >pw ~app:* &watch:app:* +@all -acl", "SET app:1 a", "SET other b"} {
		if r, err := admin.Do(strings.Fields(words)...); err != nil || r.Text != "OK" {
			t.Fatalf("%s: %v, %v", words, r, err)
		}
	}
	c.WaitSame()
	for _, n := range c.Nodes {
		app := dialAs(t, n.ClientAddr, "app", "pw")
		for words, want := range map[string]string{"GET app:1": "a", "GET other": "NOPERM", "SET app:2 x": "OK",
			"SET other x": "NOPERM", "KV.RANGE app: FROMKEY": "NOPERM", "ACL LIST": "NOPERM"} {
			if r, err := app.Do(strings.Fields(words)...); err != nil || !strings.HasPrefix(r.Text, want) {
				t.Errorf("%s at %s: %v, %v, want %s", words, n.Name, r, err, want)
			}
		}
	}
	w, err := watch.New(watch.Config{Endpoints: []string{c.Nodes[1].ClientAddr}, Username: "app", Password: "pw",
		Silence: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	seen := w.Watch(bg, "app:", watch.WithPrefix(), watch.WithRev(2))
	next(t, seen)
	if r, err := admin.Do("ACL", "SETUSER", "app", "resetkeys", "~else:*"); err != nil || r.Text != "OK" {
		t.Fatalf("%v, %v", r, err)
	}
	var end error
	for r := range seen {
		end = r.Err
	}
	if !errors.Is(end, watch.ErrPermission) {
		t.Errorf("the watch ended with %v", end)
	}
	c.KillAll()
	c.StartAll()
	app := dialAs(t, c.Nodes[2].ClientAddr, "app", "pw")
	if r, err := app.Do("GET", "app:1"); err != nil || !strings.HasPrefix(r.Text, "NOPERM") {
		t.Errorf("after a restart: %v, %v", r, err)
	}
}
