package commands

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestExamples runs examples.txt, from which the page of commands has its examples, and demands one for each
// row that the page shows. Each runs on an empty store, once in each protocol. The word cut after the name
// shortens replies that are not the same every time: numbers become …, and lines end after 100 bytes.
func TestExamples(t *testing.T) {
	n := startNode(t)
	run := map[string]bool{}
	datadriven.RunTest(t, "examples.txt", func(t *testing.T, td *datadriven.TestData) string {
		name := strings.ReplaceAll(td.CmdArgs[0].Key, ".sub.", "|")
		run[name] = true
		return runExample(t, n, td)
	})
	for _, row := range n.d.table.All() {
		if (len(row.Subs) == 0 || row.session != nil) && !run[row.Name] {
			t.Errorf("%s has no example", row.Name)
		}
	}
}

func runExample(t *testing.T, n *testNode, td *datadriven.TestData) string {
	var replies [2][]string
	lines := strings.Split(td.Input, "\n")
	for i := range replies {
		c := n.dial(t)
		n.dial(t).do("FLUSHALL")
		if i == 1 {
			c.line("HELLO 3")
		}
		for _, line := range lines {
			replies[i] = append(replies[i], shorten(c.line(line), td.HasArg("cut")))
		}
	}
	var out strings.Builder
	for i, line := range lines {
		two, three := replies[0][i], replies[1][i]
		if two == three {
			fmt.Fprintf(&out, "> %s\n%s\n", line, two)
		} else {
			fmt.Fprintf(&out, "> %s\nRESP2: %s\nRESP3: %s\n", line, two, three)
		}
	}
	return out.String()
}

var varying = regexp.MustCompile(`[0-9a-f]{16,}|[0-9]+(\.[0-9]+)*`)

func shorten(reply string, cut bool) string {
	reply = strings.TrimSpace(strings.ReplaceAll(reply, "\n", " "))
	if !cut {
		return reply
	}
	reply = varying.ReplaceAllString(reply, "…")
	if len(reply) > 100 {
		reply = strings.ToValidUTF8(reply[:100], "") + " …"
	}
	return reply
}
