package commands

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed examples.txt
var exampleText string

// pageHead explains the notation of the page.
const pageHead = `# Commands

Generated from the command table; do not edit. %d commands.

How to read an entry. The head is the syntax: [optional], one | other, ... repeated. A write goes through
the log of a majority, a read is linearizable unless the connection sent READONLY, session and admin
commands answer from this node and need no quorum. Every example is run by the tests, with both protocols,
and shows what was replied: "bulk string", simple string, integer, (error), [array]. Where the protocols
differ both are shown: in RESP3 {map}, ~[set], #boolean, ,double, txt: text. nil is the null of RESP3, the
null bulk string of RESP2, and nil-array its null array. A … stands for what is not the same every time.

Errors that any command may give: a wrong number of arguments, "ERR syntax error" for options that are
unknown, contradict each other or lack a value, and those its example shows. Beside them

- writes: CLUSTERDOWN (no leader; not executed), BUSY (too many writes wait, or too much of long
  values was copied; not executed), UNCERTAIN (the only one that leaves it open whether the write was
  executed), and those marked denyoom OOM (quota or disk; not executed);
- reads: CLUSTERDOWN.
`

// WriteDocs writes the table as the Markdown page docs/COMMANDS.md.
func WriteDocs(w io.Writer) error {
	b := bufio.NewWriter(w)
	t, shown := NewTable(), examples()
	fmt.Fprintf(b, pageHead, len(t.Rows()))
	for _, group := range t.groups() {
		fmt.Fprintf(b, "\n## %s\n", group)
		for _, row := range t.All() {
			if row.Group == group && (len(row.Subs) == 0 || row.session != nil) {
				row.writeDocs(b)
				writeExample(b, shown[row.Name])
			}
		}
	}
	writeAbsences(b, t)
	return b.Flush()
}

// examples are the blocks of examples.txt, by the name of their row: lines of input, ----, lines of output.
func examples() map[string]string {
	out := map[string]string{}
	for block := range strings.SplitSeq(exampleText, "\n\n") {
		head, body, _ := strings.Cut(strings.TrimSpace(block), "\n")
		if words := strings.Fields(head); len(words) > 1 && words[0] == "example" {
			_, output, _ := strings.Cut(body, "----\n")
			out[strings.ReplaceAll(words[1], ".sub.", "|")] = strings.TrimSpace(output)
		}
	}
	return out
}

func writeExample(w io.Writer, text string) {
	if text != "" {
		fmt.Fprintf(w, "\n```\n%s\n```\n", text)
	}
}

func writeAbsences(w io.Writer, t *Table) {
	fmt.Fprint(w, "\n## Commands of Redis that are left out\n\n"+
		"They answer `ERR unknown command`, followed by the reason.\n")
	for i := range absences {
		if names := absences[i].left(t); len(names) > 0 {
			fmt.Fprintf(w, "\n%s\n\n> %s\n", absences[i].why, strings.ToUpper(strings.Join(names, ", ")))
		}
	}
}

// groups returns the groups of the table, sorted.
func (t *Table) groups() []string {
	var out []string
	for _, row := range t.rows {
		if !slices.Contains(out, row.Group) {
			out = append(out, row.Group)
		}
	}
	slices.Sort(out)
	return out
}

func (row *Command) writeDocs(w io.Writer) {
	title := strings.ToUpper(strings.ReplaceAll(row.Name, "|", " "))
	if syntax := syntaxOf(row.Args); syntax != "" {
		title += " " + syntax
	}
	fmt.Fprintf(w, "\n### `%s`\n\n%s A %s command; arity %d; %s; since %s", title, row.Summary, row.Kind,
		row.Arity, strings.TrimSuffix(row.Complexity, "."), row.Since)
	if flags := names(row.Flags, flagNames[:]); len(flags) > 0 {
		fmt.Fprintf(w, "; flags %s", strings.Join(flags, " "))
	}
	fmt.Fprintf(w, "; categories @%s.\n", strings.Join(names(row.Categories, categoryNames[:]), " @"))
}

// syntaxOf writes arguments in the usual notation: [optional], one|other, <name>, repeated ...
func syntaxOf(args []Arg) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a.syntax()
	}
	return strings.Join(words, " ")
}

func (a Arg) syntax() string {
	text := ""
	switch a.Type {
	case "pure-token":
		text = a.Token
	case "oneof":
		var alternatives []string
		for _, alternative := range a.Args {
			alternatives = append(alternatives, alternative.syntax())
		}
		text = strings.Join(alternatives, " | ")
		if !a.Optional {
			text = "(" + text + ")"
		}
	case "block":
		text = syntaxOf(a.Args)
	default:
		text = a.Name
	}
	if a.Token != "" && a.Type != "pure-token" {
		text = a.Token + " " + text
	}
	if a.Multiple {
		text += " [" + text + " ...]"
	}
	if a.Optional {
		text = "[" + text + "]"
	}
	return text
}
