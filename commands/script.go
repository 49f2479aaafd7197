package commands

import (
	"github.com/redkeep/redkeep/resp"
	"github.com/redkeep/redkeep/script"
)

const (
	scriptFlags = FlagNoScript | FlagStale | FlagNoMulti | FlagSkipMonitor | FlagNoMandatoryKeys |
		FlagMovableKeys
	scriptNotes = "We cannot tell how the keys will be used so we assume the worst, "
)

var (
	scriptKeys = Keys{CountAt: 2, Access: "RW access update",
		Notes: scriptNotes + "RW and UPDATE"}
	scriptShaKeys = Keys{CountAt: 2, Access: "RW access update"}
	scriptROKeys  = Keys{CountAt: 2, Access: "RO access", Notes: scriptNotes + "RO and ACCESS"}
	scriptArgs    = args(argString("script"), argInteger("numkeys"), argKey("key").opt().many(),
		argString("arg").opt().many())
	scriptShaArgs = args(argString("sha1"), argInteger("numkeys"), argKey("key").opt().many(),
		argString("arg").opt().many())
	functionArgs = args(argString("function"), argInteger("numkeys"), argKey("key").opt().many(),
		argString("arg").opt().many())
)

const scriptComplexity = "Depends on the script that is executed."

var scriptRows = []Command{
	{Name: "eval", Arity: -3, Kind: KindScript, Flags: scriptFlags, Keys: scriptKeys, Group: "scripting",
		Since: "2.6.0", Complexity: scriptComplexity, Args: scriptArgs, script: evalSource,
		Summary: "Executes a Lua script, which reads one snapshot and whose writes are one transaction."},
	{Name: "eval_ro", Arity: -3, Kind: KindScript, Flags: scriptFlags | FlagReadonly, Keys: scriptROKeys,
		Group: "scripting", Since: "7.0.0", Complexity: scriptComplexity, Args: scriptArgs, script: evalSource,
		Summary: "Executes a Lua script that writes nothing."},
	{Name: "evalsha", Arity: -3, Kind: KindScript, Flags: scriptFlags, Keys: scriptShaKeys, Group: "scripting",
		Since: "2.6.0", Complexity: scriptComplexity, Args: scriptShaArgs, script: evalSHA,
		Summary: "Executes a Lua script that this node knows, by its SHA1 digest."},
	{Name: "evalsha_ro", Arity: -3, Kind: KindScript, Flags: scriptFlags | FlagReadonly, Keys: scriptROKeys,
		Group: "scripting", Since: "7.0.0", Complexity: scriptComplexity, Args: scriptShaArgs, script: evalSHA,
		Summary: "Executes a Lua script that this node knows and that writes nothing, by its SHA1 digest."},
	{Name: "fcall", Arity: -3, Kind: KindAdmin, Flags: scriptFlags, Keys: scriptKeys, Group: "scripting",
		Since: "7.0.0", Complexity: scriptComplexity, Args: functionArgs, session: noFunctions,
		Summary: "Refused: there are no functions, a script comes with EVAL."},
	{Name: "fcall_ro", Arity: -3, Kind: KindAdmin, Flags: scriptFlags | FlagReadonly, Keys: scriptROKeys,
		Group: "scripting", Since: "7.0.0", Complexity: scriptComplexity, Args: functionArgs, session: noFunctions,
		Summary: "Refused: there are no functions, a script comes with EVAL_RO."},
	{Name: "script", Arity: -2, Kind: KindAdmin, Group: "scripting", Since: "2.6.0",
		Complexity: "Depends on subcommand.", Summary: "A container for Lua scripts management commands.",
		Subs: []Command{
			{Name: "debug", Arity: 3, Kind: KindAdmin, Flags: FlagNoScript, Since: "3.2.0", Complexity: "O(1)",
				Categories: CatScripting, Summary: "Refused but for NO: there is no debugger.",
				Args:    args(argOneOf("mode", argToken("YES"), argToken("SYNC"), argToken("NO"))),
				session: scriptDebug},
			{Name: "exists", Arity: -3, Kind: KindAdmin, Flags: FlagNoScript, Since: "2.6.0",
				Categories: CatScripting, Complexity: "O(N) with N being the number of scripts to check.",
				Summary: "Tells which scripts this node knows.", Args: args(argString("sha1").many()),
				session: scriptExists},
			{Name: "flush", Arity: -2, Kind: KindAdmin, Flags: FlagNoScript, Since: "2.6.0",
				Categories: CatScripting, Complexity: "O(N) with N being the number of scripts in cache.",
				Summary: "Makes this node forget all scripts.", Args: args(flushModeArg), session: scriptFlush},
			{Name: "kill", Arity: 2, Kind: KindAdmin, Flags: FlagNoScript | FlagAllowBusy, Since: "2.6.0",
				Categories: CatScripting, Complexity: "O(1)",
				Summary: "Ends the scripts that run on this node; nothing of what they did counts.",
				session: scriptKill},
			{Name: "load", Arity: 3, Kind: KindAdmin, Flags: FlagNoScript | FlagStale, Since: "2.6.0",
				Categories: CatScripting, Complexity: "O(N) with N being the length in bytes of the script body.",
				Summary: "Makes this node know a script, and returns its SHA1 digest.",
				Args:    args(argString("script")), session: scriptLoad},
			{Name: "help", Arity: 2, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Since: "5.0.0",
				Categories: CatScripting, Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
}

// scriptCall is a parsed EVAL.
type scriptCall struct {
	program    *script.Program
	keys, args []string
	readOnly   bool
}

// parseEval reads numkeys, keys and arguments. Their bytes are copied: the script may outlive a reply.
func parseEval(c *call) (e scriptCall, err error) {
	n, err := integer(c.args[2])
	switch rest := c.args[3:]; {
	case err != nil:
		return e, err
	case n > int64(len(rest)):
		return e, errTooManyKeys
	case n < 0:
		return e, errNegativeKeys
	default:
		e.keys, e.args = copied(rest[:n]), copied(rest[n:])
	}
	e.readOnly = c.row.Flags&FlagReadonly != 0
	return e, nil
}

func copied(words [][]byte) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

func evalSource(c *call) (scriptCall, error) {
	e, err := parseEval(c)
	if err != nil {
		return e, err
	}
	e.program, err = c.d.scripts.compiled(string(c.args[1]))
	return e, err
}

// shaLength is the length of a script's name; anything else names none, whatever stands behind it.
const shaLength = 40

func evalSHA(c *call) (scriptCall, error) {
	if len(c.args[1]) != shaLength {
		return scriptCall{}, errNoScript
	}
	e, err := parseEval(c)
	if err != nil {
		return e, err
	}
	if e.program = c.d.scripts.lookup(lower(string(c.args[1]))); e.program == nil {
		return e, errNoScript
	}
	return e, nil
}

func scriptLoad(c *call, _ *session) (resp.Value, error) {
	p, err := c.d.scripts.compiled(string(c.args[2]))
	if err != nil {
		return resp.Value{}, err
	}
	return resp.Bulk(p.SHA), nil
}

func scriptExists(c *call, _ *session) (resp.Value, error) {
	out := make([]resp.Value, 0, len(c.args)-2)
	for _, sha := range c.args[2:] {
		n := int64(0)
		if c.d.scripts.lookup(lower(string(sha))) != nil {
			n = 1
		}
		out = append(out, resp.Int(n))
	}
	return resp.ArrayOf(out), nil
}

func scriptFlush(c *call, _ *session) (resp.Value, error) {
	if len(c.args) > 3 || len(c.args) == 3 && !is(c.args[2], "SYNC") && !is(c.args[2], "ASYNC") {
		return resp.Value{}, errScriptFlush
	}
	c.d.scripts.flush()
	return resp.OK(), nil
}

func scriptKill(c *call, _ *session) (resp.Value, error) {
	if !c.d.scripts.kill() {
		return resp.Value{}, errNotBusy
	}
	return resp.OK(), nil
}

func scriptDebug(c *call, _ *session) (resp.Value, error) {
	switch {
	case is(c.args[2], "NO"):
		return resp.OK(), nil
	case is(c.args[2], "YES"), is(c.args[2], "SYNC"):
		return resp.Value{}, errNoDebugger
	default:
		return resp.Value{}, errScriptDebug
	}
}

func noFunctions(*call, *session) (resp.Value, error) { return resp.Value{}, errNoFunctions }
