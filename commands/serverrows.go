package commands

import (
	"fmt"

	"github.com/redkeep/redkeep/resp"
)

var serverRows = []Command{
	{Name: "lolwut", Arity: -1, Flags: FlagReadonly | FlagFast, Group: "server", Since: "5.0.0",
		Complexity: "O(1)", Summary: "Displays a keep and the version.",
		Args: args(argInteger("version").after("VERSION").opt()), session: lolwut},
	{Name: "debug", Arity: -2, Kind: KindAdmin, Flags: clientAdminFlags, Group: "server", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Refused: nothing here is for debugging a server in use.",
		Args: args(argString("subcommand"), argString("arg").opt().many()), session: debugRefused},
	{Name: "shutdown", Arity: -1, Kind: KindAdmin, audited: true,
		Flags: clientAdminFlags | FlagNoMulti | FlagAllowBusy, Group: "server", Since: "1.0.0",
		Complexity: "O(1)",
		Summary:    "Stops this node, as its service manager does: leadership is handed over first.",
		Args: args(argOneOf("nosave_save", argToken("NOSAVE"), argToken("SAVE")).opt(),
			argToken("NOW").opt().from("7.0.0"), argToken("FORCE").opt().from("7.0.0"),
			argToken("ABORT").opt().from("7.0.0")), session: shutdown},
	{Name: "monitor", Arity: 1, Kind: KindAdmin, Flags: clientAdminFlags, Group: "server", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Shows every command that this node executes from now on.",
		session: monitor},
}

func debugRefused(*call, *session) (resp.Value, error) { return resp.Value{}, errDebug }

const keepArt = "    |>      |>\n  _ | __  __| _\n |_||_||_||_||_|\n" +
	" |             |\n |  []  _  []  |\n |_____| |_____|\n"

func lolwut(c *call, _ *session) (resp.Value, error) {
	return resp.Verbatim(fmt.Sprintf("%s\nRedkeep ver. %s, at your service as Redis ver. %s\n",
		keepArt, c.d.cfg.Version, ServerVersion)), nil
}

// shutdown ends the node the way a signal does. Every write that was answered is on disk already, so SAVE and
// NOSAVE, NOW and FORCE ask for nothing else; a stop that has begun cannot be called back.
func shutdown(c *call, s *session) (resp.Value, error) {
	save, nosave, abort, other := false, false, false, false
	for _, word := range c.args[1:] {
		switch {
		case is(word, "SAVE"):
			save = true
		case is(word, "NOSAVE"):
			nosave = true
		case is(word, "ABORT"):
			abort = true
		case is(word, "NOW"), is(word, "FORCE"):
			other = true
		default:
			return resp.Value{}, errSyntax
		}
	}
	switch {
	case save && nosave || abort && (save || nosave || other):
		return resp.Value{}, errSyntax
	case abort:
		return resp.Value{}, errNoShutdown
	case c.d.cfg.Shutdown == nil:
		return resp.Value{}, errShutdown
	}
	s.closing = true
	c.d.log.Info("a client asked for a shutdown", "client", s.conn.RemoteAddr())
	c.d.cfg.Shutdown()
	return resp.None(), nil
}
