package script

import "errors"

// Why a run was ended. Nothing that the script did so far may count.
var (
	ErrTimeout = errors.New("script: it ran for longer than its time limit")
	ErrMemory  = errors.New("script: it allocated more than its memory limit")
	ErrKilled  = errors.New("script: it was killed")
)

// CompileError is a script that does not parse. Text is what follows "ERR " in Redis.
type CompileError struct{ Text string }

func (e *CompileError) Error() string { return e.Text }

// Texts that Redis gives and clients see, each behind "ERR " unless it has a code of its own.
const (
	textReadonly   = "Attempt to modify a readonly table"
	textNoArgs     = "Please specify at least one argument for this redis lib call"
	textArgTypes   = "Lua redis lib command arguments must be strings or integers"
	textWrongArgs  = "wrong number of arguments"
	textWrongTypes = "wrong number or type of arguments"
	textLogArgs    = "redis.log() requires two arguments or more."
	textLogLevel   = "Invalid debug level."
	textRespArgs   = "redis.setresp() requires one argument."
	textRespNumber = "RESP version must be 2 or 3."
	textDeep       = "stack overflow"
)
