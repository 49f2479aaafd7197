package integration

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// redkeep elect -l shows every leader and every proclamation, however quickly they follow each other, and
// goes on through another node when its own is lost.
func TestElectListen(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	first, second := c.Followers()[0], c.Followers()[1]
	lead := c.Leader()
	cmd := exec.Command(node.Binary(t), "elect", "one", "-l", "--endpoints",
		first.ClientAddr+","+second.ClientAddr+","+lead.ClientAddr)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() {
		must(t, cmd.Process.Signal(syscall.SIGINT))
		must(t, cmd.Wait())
	}()
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	node.Eventually(t, 20*time.Second, "the listener", func() error {
		if n := first.Do("PUBSUB", "NUMSUB", "election:one").Elems[1].Int(); n != 1 {
			return fmt.Errorf("%d listen", n)
		}
		return nil
	})
	place := lead.Do("ELECTION.CAMPAIGN", "one", "p0")
	key, token := place.Elems[0].Text, fmt.Sprint(place.Elems[1].Int())
	for i := range 20 {
		lead.Do("ELECTION.PROCLAIM", "one", token, fmt.Sprint("p", i+1))
	}
	lead.Do("ELECTION.RESIGN", "one", token)
	for i := range 21 {
		wantLines(t, lines, key, fmt.Sprint("p", i))
	}
	first.Kill9()
	place = lead.Do("ELECTION.CAMPAIGN", "one", "after")
	wantLines(t, lines, place.Elems[0].Text, "after")
}

func wantLines(t *testing.T, lines chan string, want ...string) {
	t.Helper()
	var got []string
	for range want {
		select {
		case line := <-lines:
			got = append(got, line)
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing is printed after %q, want %q", got, want)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("printed %q, want %q", got, want)
	}
}
