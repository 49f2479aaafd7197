package commands

// Arg documents one argument of a command for COMMAND DOCS, from which clients draw help and completion.
type Arg struct {
	Name, Type, Token, Since string
	Optional, Multiple       bool
	Key                      bool // one of the row's Keys
	Args                     []Arg
}

func argKey(name string) Arg     { return Arg{Name: name, Type: "key", Key: true} }
func argString(name string) Arg  { return Arg{Name: name, Type: "string"} }
func argInteger(name string) Arg { return Arg{Name: name, Type: "integer"} }
func argPattern(name string) Arg { return Arg{Name: name, Type: "pattern"} }
func argTime(name string) Arg    { return Arg{Name: name, Type: "unix-time"} }

// argToken is a literal word.
func argToken(token string) Arg { return Arg{Name: lower(token), Type: "pure-token", Token: token} }

func argOneOf(name string, args ...Arg) Arg { return Arg{Name: name, Type: "oneof", Args: args} }
func argBlock(name string, args ...Arg) Arg { return Arg{Name: name, Type: "block", Args: args} }

func (a Arg) opt() Arg                { a.Optional = true; return a }
func (a Arg) many() Arg               { a.Multiple = true; return a }
func (a Arg) after(token string) Arg  { a.Token = token; return a }
func (a Arg) from(version string) Arg { a.Since = version; return a }
func argOnOff(name string) Arg        { return argOneOf(name, argToken("ON"), argToken("OFF")) }
func args(as ...Arg) []Arg            { return as }
