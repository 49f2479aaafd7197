package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redkeep/redkeep/client"
)

// A program that keeps a copy of its configuration and survives the loss of any node.
func ExampleClient_Watch() {
	c, err := client.New(client.Config{Endpoints: endpoints()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for r := range c.Watch(ctx, "config/", client.WithPrefix(), client.WithRev(2)) {
		if errors.Is(r.Err, client.ErrCompacted) {
			fmt.Println("read everything again, then watch from", r.CompactRevision)
			return
		}
		for _, e := range r.Events {
			fmt.Printf("%d: %s %s %q\n", r.Revision, e.Type, e.Record.Key, e.Record.Value)
		}
		if r.Revision == 4 {
			return
		}
	}
	// Output:
	// 2: put config/a "1"
	// 3: put config/a "2"
	// 3: put config/b "x"
	// 4: delete config/a ""
}
