package script

import "regexp"

// gopher-lua words some errors in its own way. Scripts and people know Lua's words; where Lua would name
// the variable, which gopher-lua does not tell, the name is left out.
var translations = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`attempt to index a non-table object\((\w+)\) with key '.*'$`),
		"attempt to index a $1 value"},
	{regexp.MustCompile(`cannot perform \w+ operation between nil and \w+$`),
		"attempt to perform arithmetic on a nil value"},
	{regexp.MustCompile(`cannot perform \w+ operation between number and (\w+)$`),
		"attempt to perform arithmetic on a $1 value"},
	{regexp.MustCompile(`cannot perform \w+ operation between (\w+) and \w+$`),
		"attempt to perform arithmetic on a $1 value"},
	{regexp.MustCompile(`attempt to compare table with table$`), "attempt to compare two table values"},
	{regexp.MustCompile(`attempt to compare nil with nil$`), "attempt to compare two nil values"},
	{regexp.MustCompile(`attempt to compare boolean with boolean$`), "attempt to compare two boolean values"},
	{regexp.MustCompile(`attempt to compare function with function$`), "attempt to compare two function values"},
	{regexp.MustCompile(`bad argument #(\d+) to (\w+) \(`), "bad argument #$1 to '$2' ("},
	{regexp.MustCompile(`__unm undefined$`), "attempt to perform arithmetic on a value"},
	{regexp.MustCompile(`__len undefined$`), "attempt to get length of a value"},
	{regexp.MustCompile(`attempt to call a non-function object$`), "attempt to call a nil value"},
	{regexp.MustCompile(`for statement init must be a number$`), "'for' initial value must be a number"},
	{regexp.MustCompile(`for statement limit must be a number$`), "'for' limit must be a number"},
	{regexp.MustCompile(`for statement step must be a number$`), "'for' step must be a number"},
	{regexp.MustCompile(`registry overflow$`), textDeep},
}

func translate(message string) string {
	for _, t := range translations {
		if t.from.MatchString(message) {
			return t.from.ReplaceAllString(message, t.to)
		}
	}
	return message
}
