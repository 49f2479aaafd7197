package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// How settings are found. Each source is loaded into a tree of its own, its keys are compared with the
// table of options, and the trees are merged: flag over environment over file over default. A source keeps
// its name so that a refused value can say where it came from. Every value is text until its row's set
// function reads it: 64MiB means the same on the command line, in the environment and in YAML.
//
// An empty environment variable counts as not set, because container files and units often name one without
// giving it a value. An unknown name is an error, not a warning: a misspelt quota must not start a server
// without one.

const (
	envPrefix = "REDKEEP_"
	delimiter = "." // of nested keys; no option has one, so a nested key in a file is an unknown key
)

// clientVariables belong to the client verbs; the server leaves them alone.
var clientVariables = []string{"REDKEEP_ENDPOINTS", "REDKEEP_COMMAND_TIMEOUT", "REDKEEP_WRITE_OUT",
	"REDKEEP_HEX", "REDKEEP_TLS", "REDKEEP_CACERT", "REDKEEP_CERT", "REDKEEP_KEY", "REDKEEP_TLS_SERVER_NAME",
	"REDKEEP_INSECURE_SKIP_TLS_VERIFY", "REDKEEP_USER", "REDKEEP_PASSWORD", "REDKEEP_PASSWORD_FILE"}

// source is one place that settings come from, with what it says.
type source struct {
	where func(key string) string // names one of its keys as the user wrote it
	tree  *koanf.Koanf
}

// loadSettings reads all sources and returns complete, checked settings.
func loadSettings(flags *pflag.FlagSet, environ []string) (settings, error) {
	sources, file, err := loadSources(flags, environ)
	if err != nil {
		return settings{}, err
	}
	merged, from := koanf.New(delimiter), map[string]source{}
	for _, src := range sources {
		if err := merged.Merge(src.tree); err != nil {
			return settings{}, err
		}
		for _, key := range src.tree.Keys() {
			from[key] = src
		}
	}
	s := settings{configFile: file}
	for _, o := range options {
		value := textOf(merged.Get(o.name))
		if err := o.set(&s, value); err != nil {
			return settings{}, fmt.Errorf("%s: %q %w", from[o.name].where(o.name), value, err)
		}
	}
	return s, s.complete()
}

// loadSources returns the sources from the weakest to the strongest, and the file among them.
func loadSources(flags *pflag.FlagSet, environ []string) (sources []source, path string, err error) {
	known, err := loadEnvironment(environ)
	if err != nil {
		return nil, "", err
	}
	given := source{where: flagName, tree: koanf.New(delimiter)}
	if err := given.tree.Load(posflag.Provider(flags, delimiter, nil), nil); err != nil {
		return nil, "", err
	}
	path = known.tree.String("config")
	if given.tree.Exists("config") {
		path = given.tree.String("config")
	}
	known.tree.Delete("config")
	given.tree.Delete("config")
	sources = []source{defaults()}
	if path != "" {
		src, err := loadFile(path)
		if err != nil {
			return nil, "", err
		}
		sources = append(sources, src)
	}
	return append(sources, known, given), path, nil
}

func flagName(key string) string { return "--" + key }

func variableName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

func defaults() source {
	values := map[string]any{}
	for _, o := range options {
		values[o.name] = o.def
	}
	tree := koanf.New(delimiter)
	if err := tree.Load(confmap.Provider(values, delimiter), nil); err != nil {
		panic(err) // a map of strings cannot fail to load
	}
	return source{where: flagName, tree: tree}
}

func loadFile(path string) (source, error) {
	src := source{
		where: func(key string) string { return path + ": " + key },
		tree:  koanf.New(delimiter),
	}
	if _, err := os.ReadFile(path); err != nil {
		return src, fmt.Errorf("--config %s: %w", path, plainReason(err))
	}
	if err := src.tree.Load(file.Provider(path), yaml.Parser()); err != nil {
		return src, fmt.Errorf("--config %s: not valid YAML: %w", path, err)
	}
	for _, key := range src.tree.Keys() {
		if !slices.Contains(optionNames(), key) {
			return src, fmt.Errorf("%s: unknown key %q; the nearest is %q", path, key, nearest(key, optionNames()))
		}
		if src.tree.Get(key) == nil {
			src.tree.Delete(key)
		}
	}
	return src, nil
}

// loadEnvironment takes the variables that name an option, and --config.
func loadEnvironment(environ []string) (source, error) {
	src := source{where: variableName, tree: koanf.New(delimiter)}
	keys := map[string]string{variableName("config"): "config"}
	for _, o := range options {
		keys[variableName(o.name)] = o.name
	}
	var unknown []string
	provider := env.Provider(delimiter, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key, ok := keys[name]
			if !ok && !foreignVariable(name, value) {
				unknown = append(unknown, name)
			}
			if value == "" {
				return "", nil
			}
			return key, value
		},
	})
	if err := src.tree.Load(provider, nil); err != nil {
		return src, err
	}
	if len(unknown) == 0 {
		return src, nil
	}
	names := slices.Clone(clientVariables)
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(unknown)
	return src, fmt.Errorf("unknown environment variable %s; the nearest is %s", unknown[0], nearest(unknown[0],
		names))
}

// foreignVariable reports whether a variable with our prefix is not meant for the server: the client's,
// those of our tests, and those that Kubernetes and Docker links set for a service whose name is redkeep or
// begins with it, such as redkeep-client.
func foreignVariable(name, value string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return strings.HasPrefix(rest, "TEST_") || slices.Contains(clientVariables, name) ||
		serviceVariable.MatchString(name) || strings.HasSuffix(name, "_PORT") && serviceAddress.MatchString(value)
}

// serviceVariable and serviceAddress are the forms of what Kubernetes and Docker set for a service: X_PORT,
// whose value is an address, and the others, which no setting could be called by mistake.
var (
	serviceVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?$`)
	serviceAddress  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func optionNames() []string {
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.name
	}
	return names
}

// textOf is the text of a YAML scalar; a list is its elements with commas between.
func textOf(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = fmt.Sprint(e)
	}
	return strings.Join(parts, ",")
}
