package commands

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteDocs writes the table as the Markdown page docs/COMMANDS.md.
func WriteDocs(w io.Writer) error {
	b := bufio.NewWriter(w)
	t := NewTable()
	fmt.Fprintf(b, "# Commands\n\nGenerated from the command table; do not edit. %d commands.\n", len(t.Rows()))
	for _, group := range t.groups() {
		fmt.Fprintf(b, "\n## %s\n", group)
		for _, row := range t.All() {
			if row.Group == group && len(row.Subs) == 0 || row.Group == group && row.session != nil {
				row.writeDocs(b)
			}
		}
	}
	return b.Flush()
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
	fmt.Fprintf(w, "\n### `%s`\n\n%s %s command; arity %d; %s; since %s", title, row.Summary, row.Kind,
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
