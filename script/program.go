package script

import (
	"crypto/sha1" //nolint:gosec // Redis names scripts so
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Program is a compiled script. It is immutable and safe for concurrent use.
type Program struct {
	SHA      string
	Source   string
	ReadOnly bool // its first line says flags=no-writes
	AllowOOM bool // ... flags=allow-oom

	proto *lua.FunctionProto
}

// chunkName is how a script is called in error texts.
const chunkName = "user_script"

// MaxSource bounds a script: the compiler needs some hundred bytes for each of its bytes.
const MaxSource = 512 << 10

// SHA returns the name of a script: the SHA-1 of its source in hexadecimal.
func SHA(source string) string {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // a name, not a protection
	return hex.EncodeToString(sum[:])
}

// Compile checks and compiles a script. The error is a *CompileError.
func Compile(source string) (*Program, error) {
	p := &Program{SHA: SHA(source), Source: source}
	if len(source) > MaxSource {
		return nil, &CompileError{fmt.Sprintf("Script is too long (%d bytes, at most %d)", len(source), MaxSource)}
	}
	body := source
	if strings.HasPrefix(body, "#!") {
		line, _, _ := strings.Cut(body, "\n")
		if err := p.shebang(strings.TrimSuffix(line, "\r")); err != nil {
			return nil, err
		}
		body = "--" + body // keeps the line numbers
	}
	proto, err := compileChunk(body, chunkName)
	if err != nil {
		return nil, &CompileError{"Error compiling script (new function): " + err.Error()}
	}
	p.proto = proto
	return p, nil
}

// shebang reads "#!lua flags=a,b".
func (p *Program) shebang(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "#!lua" {
		return &CompileError{"Unexpected engine in script shebang: " + strings.Join(words, " ")}
	}
	for _, w := range words[1:] {
		flags, ok := strings.CutPrefix(w, "flags=")
		if !ok {
			return &CompileError{"Unknown lua shebang option: " + w}
		}
		for _, f := range strings.Split(flags, ",") {
			switch f {
			case "no-writes":
				p.ReadOnly = true
			case "allow-oom":
				p.AllowOOM = true
			case "allow-stale", "no-cluster", "allow-cross-slot-keys", "":
			default:
				return &CompileError{"Unexpected flag in script shebang: " + f}
			}
		}
	}
	return nil
}

// compileChunk parses, rewrites and compiles. The compiler panics on what it did not expect.
func compileChunk(source, name string) (proto *lua.FunctionProto, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s:1: %v", name, r)
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, syntaxError(err, name)
	}
	if chunk, err = rewrite(chunk, name); err != nil {
		return nil, err
	}
	if proto, err = lua.Compile(chunk, name); err != nil {
		return nil, syntaxError(err, name)
	}
	return proto, nil
}

var (
	parseText   = regexp.MustCompile(`(?s)^\S* line:(\d+)\(column:\d+\) near '(.*)': +(.*)\n*$`)
	parseAtEnd  = regexp.MustCompile(`^\S* at EOF: +(.*)\n*$`)
	compileText = regexp.MustCompile(`(?s)^compile error near line\((\d+)\) \S*: (.*)$`)
)

// syntaxError puts the parser's text into Lua's form.
func syntaxError(err error, name string) error {
	text := strings.TrimRight(err.Error(), "\n")
	if m := parseText.FindStringSubmatch(text); m != nil {
		what := strings.TrimSpace(m[3])
		if what == "syntax error" {
			what = "unexpected symbol"
		}
		return fmt.Errorf("%s:%s: %s near '%s'", name, m[1], what, m[2])
	}
	if parseAtEnd.MatchString(text) {
		return fmt.Errorf("%s:1: unexpected symbol near '<eof>'", name)
	}
	if m := compileText.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %s", name, m[1], m[2])
	}
	return fmt.Errorf("%s:1: %s", name, text)
}
