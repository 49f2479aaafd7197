package commands

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/redkeep/redkeep/resp"
)

const unstable = "nondeterministic_output_order"

var introspectionRows = []Command{
	{Name: "command", Arity: -1, Flags: FlagLoading | FlagStale, Group: "server", Since: "2.8.13",
		Categories: CatConnection, Complexity: "O(N) where N is the total number of commands",
		Summary: "Returns detailed information about all commands.", Tips: []string{unstable},
		session: commandAll, Subs: []Command{
			{Name: "count", Arity: 2, Flags: FlagLoading | FlagStale, Since: "2.8.13", Complexity: "O(1)",
				Summary: "Returns a count of commands.", session: commandCount},
			{Name: "info", Arity: -2, Flags: FlagLoading | FlagStale, Since: "2.8.13",
				Complexity: "O(N) where N is the number of commands to look up",
				Summary:    "Returns information about one, multiple or all commands.",
				Tips:       []string{unstable}, Args: args(argString("command-name").opt().many()),
				session: commandInfo},
			{Name: "docs", Arity: -2, Flags: FlagLoading | FlagStale, Since: "7.0.0",
				Complexity: "O(N) where N is the number of commands to look up",
				Summary:    "Returns documentary information about one, multiple or all commands.",
				Tips:       []string{unstable}, Args: args(argString("command-name").opt().many()),
				session: commandDocs},
			{Name: "list", Arity: -2, Flags: FlagLoading | FlagStale, Since: "7.0.0",
				Complexity: "O(N) where N is the total number of commands",
				Summary:    "Returns a list of command names.", Tips: []string{unstable},
				Args: args(argOneOf("filterby", argString("module-name").after("MODULE"),
					argString("category").after("ACLCAT"), argPattern("pattern").after("PATTERN")).
					after("FILTERBY").opt()), session: commandList},
			{Name: "getkeys", Arity: -4, Flags: FlagLoading | FlagStale, Since: "2.8.13",
				Complexity: "O(N) where N is the number of arguments to the command",
				Summary:    "Extracts the key names from an arbitrary command.",
				Args:       args(argString("command"), argString("arg").opt().many()), session: commandGetKeys},
			{Name: "getkeysandflags", Arity: -4, Flags: FlagLoading | FlagStale, Since: "7.0.0",
				Complexity: "O(N) where N is the number of arguments to the command",
				Summary:    "Extracts the key names and access flags for an arbitrary command.",
				Args:       args(argString("command"), argString("arg").opt().many()),
				session:    commandGetKeysAndFlags},
			{Name: "help", Arity: 2, Flags: FlagLoading | FlagStale, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
}

func commandAll(c *call, _ *session) (resp.Value, error) {
	rows := c.d.table.Rows()
	out := make([]resp.Value, len(rows))
	for i, row := range rows {
		out[i] = describe(row)
	}
	return resp.ArrayOf(out), nil
}

func commandCount(c *call, _ *session) (resp.Value, error) {
	return resp.Int(int64(len(c.d.table.Rows()))), nil
}

func commandInfo(c *call, s *session) (resp.Value, error) {
	if len(c.args) == 2 {
		return commandAll(c, s)
	}
	out := make([]resp.Value, 0, len(c.args)-2)
	for _, name := range c.args[2:] {
		if row := c.d.table.find(name); row != nil {
			out = append(out, describe(row))
		} else {
			out = append(out, resp.Null())
		}
	}
	return resp.ArrayOf(out), nil
}

// describe is a row as COMMAND tells it: always ten elements. Tips carry no request policy: a client that
// follows one would cut MGET, MSET and DEL into pieces and lose the atomicity this server gives.
func describe(row *Command) resp.Value {
	subs := make([]resp.Value, len(row.Subs))
	for i := range row.Subs {
		subs[i] = describe(&row.Subs[i])
	}
	categories := names(row.Categories, categoryNames[:])
	for i, name := range categories {
		categories[i] = "@" + name
	}
	return resp.Array(
		resp.Bulk(row.Name),
		resp.Int(int64(row.Arity)),
		statusSet(names(row.Flags, flagNames[:])),
		resp.Int(int64(row.Keys.First)),
		resp.Int(int64(row.Keys.Last)),
		resp.Int(int64(row.Keys.Step)),
		statusSet(categories),
		bulkSet(row.Tips),
		keySpecs(row.Keys),
		subRows(subs),
	)
}

// subRows is an empty set or a list: so Redis has it.
func subRows(subs []resp.Value) resp.Value {
	if len(subs) == 0 {
		return resp.Set()
	}
	return resp.ArrayOf(subs)
}

func statusSet(words []string) resp.Value {
	out := make([]resp.Value, len(words))
	for i, word := range words {
		out[i] = resp.Simple(word)
	}
	return resp.Set(out...)
}

func bulkSet(words []string) resp.Value {
	out := make([]resp.Value, len(words))
	for i, word := range words {
		out[i] = resp.Bulk(word)
	}
	return resp.Set(out...)
}

// keySpecs is the newer description of key positions: begin at an index, go on to a last one. lastkey counts
// from the first key, or from the end when negative.
func keySpecs(k Keys) resp.Value {
	if k.none() {
		return resp.Set()
	}
	spec := []resp.Value{
		resp.Bulk("flags"), statusSet(strings.Fields(k.Access)),
		resp.Bulk("begin_search"), resp.Map(
			resp.Bulk("type"), resp.Bulk("index"),
			resp.Bulk("spec"), resp.Map(resp.Bulk("index"), resp.Int(int64(max(k.First, k.CountAt))))),
		resp.Bulk("find_keys"), findKeys(k),
	}
	if k.Notes != "" {
		spec = append([]resp.Value{resp.Bulk("notes"), resp.Bulk(k.Notes)}, spec...)
	}
	return resp.Set(resp.Map(spec...))
}

func findKeys(k Keys) resp.Value {
	if k.CountAt > 0 {
		return resp.Map(
			resp.Bulk("type"), resp.Bulk("keynum"),
			resp.Bulk("spec"), resp.Map(
				resp.Bulk("keynumidx"), resp.Int(0),
				resp.Bulk("firstkey"), resp.Int(1),
				resp.Bulk("keystep"), resp.Int(1)))
	}
	last := k.Last
	if last > 0 {
		last -= k.First
	}
	return resp.Map(
		resp.Bulk("type"), resp.Bulk("range"),
		resp.Bulk("spec"), resp.Map(
			resp.Bulk("lastkey"), resp.Int(int64(last)),
			resp.Bulk("keystep"), resp.Int(int64(k.Step)),
			resp.Bulk("limit"), resp.Int(0)))
}

func commandDocs(c *call, _ *session) (resp.Value, error) {
	var out []resp.Value
	if len(c.args) == 2 {
		for _, row := range c.d.table.Rows() {
			out = append(out, resp.Bulk(row.Name), docs(row))
		}
		return resp.Map(out...), nil
	}
	for _, name := range c.args[2:] {
		if row := c.d.table.find(name); row != nil {
			out = append(out, resp.Bulk(row.Name), docs(row))
		}
	}
	return resp.Map(out...), nil
}

// docs is a row as COMMAND DOCS tells it. redis-cli asserts these types: texts are bulk strings, flags simple
// strings, arguments an array of maps.
func docs(row *Command) resp.Value {
	out := []resp.Value{
		resp.Bulk("summary"), resp.Bulk(row.Summary),
		resp.Bulk("since"), resp.Bulk(row.Since),
		resp.Bulk("group"), resp.Bulk(row.Group),
		resp.Bulk("complexity"), resp.Bulk(row.Complexity),
	}
	if len(row.Args) > 0 {
		out = append(out, resp.Bulk("arguments"), argDocs(row.Args))
	}
	if len(row.Subs) > 0 {
		var subs []resp.Value
		for i := range row.Subs {
			subs = append(subs, resp.Bulk(row.Subs[i].Name), docs(&row.Subs[i]))
		}
		out = append(out, resp.Bulk("subcommands"), resp.Map(subs...))
	}
	return resp.Map(out...)
}

func argDocs(args []Arg) resp.Value {
	out := make([]resp.Value, len(args))
	for i := range args {
		out[i] = args[i].docs()
	}
	return resp.ArrayOf(out)
}

func (a Arg) docs() resp.Value {
	out := []resp.Value{resp.Bulk("name"), resp.Bulk(a.Name), resp.Bulk("type"), resp.Bulk(a.Type)}
	if len(a.Args) == 0 && a.Type != "pure-token" {
		out = append(out, resp.Bulk("display_text"), resp.Bulk(a.Name))
	}
	if a.Key {
		out = append(out, resp.Bulk("key_spec_index"), resp.Int(0))
	}
	if a.Token != "" {
		out = append(out, resp.Bulk("token"), resp.Bulk(a.Token))
	}
	if a.Since != "" {
		out = append(out, resp.Bulk("since"), resp.Bulk(a.Since))
	}
	var flags []string
	if a.Optional {
		flags = append(flags, "optional")
	}
	if a.Multiple {
		flags = append(flags, "multiple")
	}
	if flags != nil {
		out = append(out, resp.Bulk("flags"), statusSet(flags))
	}
	if len(a.Args) > 0 {
		out = append(out, resp.Bulk("arguments"), argDocs(a.Args))
	}
	return resp.Map(out...)
}

func commandList(c *call, _ *session) (resp.Value, error) {
	wanted, err := parseCommandList(c)
	if err != nil {
		return resp.Value{}, err
	}
	out := []resp.Value{}
	for _, row := range c.d.table.All() {
		if wanted(row) {
			out = append(out, resp.Bulk(row.Name))
		}
	}
	return resp.ArrayOf(out), nil
}

func parseCommandList(c *call) (wanted func(*Command) bool, err error) {
	switch {
	case len(c.args) == 2:
		return func(row *Command) bool { return !strings.Contains(row.Name, "|") }, nil
	case len(c.args) != 5 || !is(c.args[2], "FILTERBY"):
		return nil, errSyntax
	}
	value := string(c.args[4])
	switch by := c.args[3]; {
	case is(by, "MODULE"):
		return func(*Command) bool { return false }, nil
	case is(by, "ACLCAT"):
		return func(row *Command) bool { return row.Categories.has(lower(value)) }, nil
	case is(by, "PATTERN"):
		return func(row *Command) bool { return matchGlob(lower(value), row.Name) }, nil
	default:
		return nil, errSyntax
	}
}

func (cats Categories) has(name string) bool {
	for i, known := range categoryNames {
		if known == name {
			return cats&(1<<i) != 0
		}
	}
	return false
}

// target finds the command that COMMAND GETKEYS is asked about and the positions of its keys.
func target(c *call) (row *Command, keys []int, err error) {
	words := c.args[2:]
	row = c.d.table.Lookup(words[0])
	if row != nil && len(words) > 1 && row.subs != nil {
		row = row.Sub(words[1])
	}
	switch {
	case row == nil:
		return nil, nil, errGetKeysName
	case row.Keys.none():
		return nil, nil, errNoKeyArgs
	case !row.fits(len(words)):
		return nil, nil, errGetKeysArity
	}
	return row, row.keys(words), nil
}

func commandGetKeys(c *call, _ *session) (resp.Value, error) {
	_, keys, err := target(c)
	if err != nil {
		return resp.Value{}, err
	}
	out := make([]resp.Value, len(keys))
	for i, at := range keys {
		out[i] = resp.BulkBytes(c.args[2+at])
	}
	return resp.ArrayOf(out), nil
}

func commandGetKeysAndFlags(c *call, _ *session) (resp.Value, error) {
	row, keys, err := target(c)
	if err != nil {
		return resp.Value{}, err
	}
	access, later := row.Keys.Access, row.Keys.Later
	if row.accessOf != nil {
		access = row.accessOf(c.args[2:])
	}
	out := make([]resp.Value, len(keys))
	for i, at := range keys {
		out[i] = resp.Array(resp.BulkBytes(c.args[2+at]), statusSet(strings.Fields(access)))
		access = cmp.Or(later, access)
	}
	return resp.ArrayOf(out), nil
}

// help is the HELP of every container: one status line per line of text, as Redis sends it.
func help(c *call, _ *session) (resp.Value, error) {
	container := c.d.table.Lookup(c.args[0])
	name := strings.ToUpper(container.Name)
	out := []resp.Value{resp.Simple(fmt.Sprintf(
		"%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name))}
	for i := range container.Subs {
		sub := &container.Subs[i]
		_, word, _ := strings.Cut(sub.Name, "|")
		line := strings.ToUpper(word)
		if syntax := syntaxOf(sub.Args); syntax != "" {
			line += " " + syntax
		}
		out = append(out, resp.Simple(line), resp.Simple("    "+sub.Summary))
	}
	return resp.ArrayOf(out), nil
}
