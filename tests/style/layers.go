package style

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

const modulePath = "github.com/redkeep/redkeep"

// layers says which of our packages each package may import; imports point one way. A package that is not
// named here, and is not below cmd or tests, is a finding: a new folder takes its place in the house first.
var layers = map[string][]string{
	"certs":   {},
	"resp":    {},
	"mvcc":    {},
	"rdb":     {},
	"cluster": {},
	"lease":   {"mvcc"},
	"pubsub":  {"mvcc"},
	"locks":   {"mvcc", "lease"},
	"raftfsm": {"mvcc", "lease", "pubsub", "locks", "cluster"},
	"glob":    {},
	"acl":     {"glob"},
	"script":  {"resp"}, // replies are what its values become
	"commands": {
		"resp", "mvcc", "lease", "pubsub", "locks", "raftfsm", "cluster", "script", "rdb", "acl", "glob",
	},
	"client":  {},
	"migrate": {"client", "rdb"},
}

// goPackage is the part of go list's answer that the rule reads.
type goPackage struct {
	ImportPath string
	Imports    []string
}

// listPackages asks the go command for the packages of the module.
func listPackages(root string) ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

// checkLayers finds imports of our own packages that point the wrong way.
func checkLayers(p goPackage) []finding {
	from, ok := ours(p.ImportPath)
	if !ok || from == "." {
		return nil
	}
	allowed, known := layers[from]
	if !known && top(from) != "cmd" && top(from) != "tests" {
		return []finding{{"layers", from, "is not in the map of layers"}}
	}
	var out []finding
	for _, imp := range p.Imports {
		to, ok := ours(imp)
		if ok && !mayImport(from, to, allowed) {
			out = append(out, finding{"layers", from, "must not import " + to})
		}
	}
	return out
}

func mayImport(from, to string, allowed []string) bool {
	switch top(from) {
	case "cmd":
		return top(to) != "tests"
	case "tests":
		return strings.HasPrefix(to, "tests/") || to == "client" // which is for programs outside, as tests are
	}
	return slices.Contains(allowed, to)
}

func ours(importPath string) (string, bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

func top(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}
