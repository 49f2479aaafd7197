package commands

import "github.com/redkeep/redkeep/glob"

// matchGlob reports whether all of text matches pattern.
func matchGlob(pattern, text string) bool { return glob.Match(pattern, text) }

// globPrefix returns the bytes every match begins with, and whether the pattern is only those bytes.
func globPrefix(pattern string) (prefix string, exact bool) { return glob.Prefix(pattern) }
