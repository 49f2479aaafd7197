package main

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzConfigFile reads arbitrary text as the configuration file: settings that are complete and stay the same
// when they are read again, or one error that names the file.
func FuzzConfigFile(f *testing.F) {
	for _, o := range options {
		f.Add(o.name + ": " + o.def)
	}
	for _, text := range []string{
		"", "name: n1\nquota-bytes: 4GiB\n", "name: [a, b]", "name: {a: b}", "name:\n", "- name",
		"name: 1\nname: 2", "nmae: x", "max-clients: 1e3", "max-clients: 0x10", "name: !!binary aGk=",
		"name: &a x\nhttp-addr: *a", "a: &a [*a]", "initial-cluster: [n1=a:1, n2=b:2]\nname: n1",
		"history-age: 1h\n---\nname: y", "\xff\xfe", "\t", "name: \"\\x00\"", "? name", "config: other.yaml",
		"client-addr: ':6379'", "request-timeout: 99999999h",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(text) == "" {
			return
		}
		s, err := readSettings(t, text, nil)
		if err != nil {
			if !strings.Contains(err.Error(), "redkeep.yaml") && !strings.Contains(err.Error(), "--") {
				t.Fatalf("%q: the error names neither file nor option: %v", text, err)
			}
			return
		}
		again, err := readSettings(t, text, nil)
		if err != nil {
			t.Fatalf("%q is accepted once and then not: %v", text, err)
		}
		s.configFile, again.configFile = "", ""
		if fmt.Sprint(s) != fmt.Sprint(again) {
			t.Fatalf("%q gives %v and then %v", text, s, again)
		}
		if s.name == "" || s.electionTime < 10*s.heartbeatInterval || s.maxClients <= 0 || s.quotaBytes < 0 {
			t.Fatalf("%q gives incomplete settings %+v", text, s)
		}
	})
}
