package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/redkeep/redkeep/commands"
)

// CONFIG REWRITE puts what CONFIG SET has changed into the file given by --config. Only the lines of those
// settings are touched, or added at the end, so that comments and everything else stay as they are. What
// comes out is read back before it takes the file's place, in one rename: should a line be written in a form
// that cannot be replaced this way, the file is left alone and the client told so. A setting that has its
// default and does not stand in the file is not added, as in Redis.
//
// Drawback: a flag or a variable of the same name still counts before the file at the next start.

var errNotPlain = errors.New("its settings are not written one to a line; nothing was changed")

// rewriteConfig is what the dispatcher calls; nil where no file is in use.
func rewriteConfig(path string) func([]commands.Setting) error {
	if path == "" {
		return nil
	}
	return func(now []commands.Setting) error {
		old, err := os.ReadFile(path)
		if err != nil {
			return plainReason(err)
		}
		text, err := rewritten(string(old), now)
		if err != nil {
			return err
		}
		return replaceFile(path, text)
	}
}

// rewritten returns the text of a file with the settings as they are now.
func rewritten(old string, now []commands.Setting) (string, error) {
	want, err := yaml.Parser().Unmarshal([]byte(old))
	if err != nil {
		return "", err
	}
	if want == nil {
		want = map[string]any{}
	}
	text := old
	for _, s := range now {
		before, there := want[s.Name]
		if there && textOf(before) == s.Value || !there && s.Value == defaultOf(s.Name) {
			continue
		}
		text = setLine(text, s)
		want[s.Name] = s.Value
	}
	got, err := yaml.Parser().Unmarshal([]byte(text))
	if err != nil || !maps.EqualFunc(got, want, func(a, b any) bool { return textOf(a) == textOf(b) }) {
		return "", errNotPlain
	}
	return text, nil
}

func defaultOf(name string) string {
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	if i < 0 {
		return ""
	}
	return options[i].def
}

// setLine replaces the line of a setting, but for the comment behind it, or adds one.
func setLine(text string, s commands.Setting) string {
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(s.Name) + `[ \t]*:[^#\r\n]*?([ \t]+#[^\r\n]*)?(\r?)$`)
	value := s.Name + ": " + fmt.Sprintf("%q", s.Value)
	if at := line.FindStringSubmatchIndex(text); at != nil {
		return text[:at[0]] + value + string(line.ExpandString(nil, "$1$2", text, at)) + text[at[1]:]
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + value + "\n"
}

// replaceFile writes the text beside the file, syncs it, and renames it. A link to a file stays one.
func replaceFile(path, text string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return plainReason(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return plainReason(err)
	}
	out, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return plainReason(err)
	}
	defer os.Remove(out.Name()) // fails once it is renamed
	_, err = out.WriteString(text)
	err = errors.Join(err, out.Chmod(info.Mode().Perm()), out.Sync(), out.Close())
	if err != nil {
		return plainReason(err)
	}
	return plainReason(os.Rename(out.Name(), path))
}
