package script

import lua "github.com/yuin/gopher-lua"

// A table of gopher-lua is an array up to its highest index, gaps included, for indexes below this; above,
// it is a map, and # does not see what is there. The default of 64 million would let one assignment take a
// gigabyte before it is counted; four million are more than a run's memory limit lets a script fill.
func init() { lua.MaxArrayIndex = 4 << 20 }
