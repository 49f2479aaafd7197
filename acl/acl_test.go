package acl

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plainSecrets keeps passwords as they are, in a form that a line of rules can hold.
type plainSecrets struct{}

func (plainSecrets) Seal(p string) string          { return "plain$" + url.QueryEscape(p) }
func (s plainSecrets) Opens(sealed, p string) bool { return sealed == s.Seal(p) }
func (plainSecrets) Sealed(text string) bool {
	return strings.HasPrefix(text, "plain$") && !hasSpace(text)
}

// commands of the tests, by number.
const (
	cmdGet CommandID = iota
	cmdSet
	cmdClient
	cmdClientID
	cmdClientKill
	cmdSelect
	cmdAuth
)

func catalog() *Catalog {
	return NewCatalog([]Entry{
		{"get", NoParent, []string{"read", "fast"}}, {"set", NoParent, []string{"write"}},
		{"client", NoParent, nil}, {"client|id", cmdClient, []string{"connection"}},
		{"client|kill", cmdClient, []string{"connection", "admin"}},
		{"select", NoParent, []string{"connection", "fast"}}, {"auth", NoParent, []string{"connection"}},
	}, []string{"read", "write", "fast", "admin", "connection", "stream"})
}

func user(t testing.TB, rules ...string) *User {
	t.Helper()
	u := NewUser(catalog(), "u")
	if err := u.Apply(catalog(), plainSecrets{}, rules); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRulesAreShownAsTheyWereMeant(t *testing.T) {
	for rules, want := range map[string]string{
		"":                                 "off resetchannels -@all",
		"on nopass ~* &* +@all":            "on nopass ~* &* +@all",
		"ALLKEYS AllChannels allcommands":  "off ~* &* +@all",
		"on >x #plain$y <x":                "on #plain$y resetchannels -@all",
		">x nopass >y":                     "off #plain$y resetchannels -@all",
		"~a %R~b %W~b %rw~c %W~d &x &y &x": "off ~a ~b ~c %W~d resetchannels &x &y -@all",
		"+get -get +GET +client|id +client -client|kill":  "off resetchannels -@all +get +client -client|kill",
		"+@all -client|id -client +client|kill +select|0": "off resetchannels +@all -client +client|kill +select|0",
		"+@read +@STREAM -@fast -@all +@read":             "off resetchannels -@all +@read",
		"(+get ~x) (%R~y +@all)": "off resetchannels -@all (~x resetchannels -@all +get)" +
			" (%R~y resetchannels +@all)",
		"(+get) clearselectors on (~* &* +@all)": "on resetchannels -@all (~* &* +@all)",
		"on ~x +get >p reset":                    "off sanitize-payload resetchannels -@all",
	} {
		u := user(t, strings.Fields(rules)...)
		if got := u.Rules(); got != want {
			t.Errorf("%s\n got  %s\n want %s", rules, got, want)
		}
		again, err := Restore(catalog(), plainSecrets{}, "u", u.Rules())
		if err != nil {
			t.Fatalf("%s cannot be read back: %v", u.Rules(), err)
		}
		if diff := cmp.Diff(u, again, cmp.AllowUnexported(User{}, selector{}, pattern{}, interval{})); diff != "" &&
			u.Rules() != again.Rules() {
			t.Errorf("%s read back: %s", rules, diff)
		}
	}
}

func TestBadRules(t *testing.T) {
	for rules, want := range map[string]error{
		"foo": ErrSyntax, "+": ErrUnknown, "-": ErrUnknown, "+@": ErrUnknown, "+nope": ErrUnknown,
		"-nope": ErrUnknown, "+@nope": ErrUnknown, "+client|nope": ErrUnknown, "+client|": ErrSyntax,
		"+client|id|x": ErrSubOfSub, "-select|0": ErrUnknown, "%~a": ErrSyntax, "%X~a": ErrSyntax,
		"%RR~a": ErrSyntax, "%R": ErrSyntax, "%": ErrSyntax, "~a\tb": ErrSyntax, "&a\nb": ErrSyntax,
		"#123": ErrBadHash, "!123": ErrBadHash, "<x": ErrNoSecret, "!plain$x": ErrNoSecret,
		"~* ~a": ErrAfterAllKeys,
		"&* &a": ErrAfterAllChannels, "(on)": ErrSyntax, "((+get))": ErrSyntax, "(nope)": ErrSyntax,
		"(~a) x)": ErrSyntax,
	} {
		var at *RuleError
		err := NewUser(catalog(), "u").Apply(catalog(), plainSecrets{}, strings.Split(rules, " "))
		if !errors.Is(err, want) || !errors.As(err, &at) {
			t.Errorf("%q: %v, want %v", rules, err, want)
		}
	}
	var open *OpenSelectorError
	err := NewUser(catalog(), "u").Apply(catalog(), plainSecrets{}, []string{"on", "(+get", "~x"})
	if !errors.As(err, &open) || open.Op != "(+get" {
		t.Error(err)
	}
}

// A line that a later version wrote is read: what is not known here is passed over, and so denied.
func TestRestoreOfALaterVersion(t *testing.T) {
	u, err := Restore(catalog(), plainSecrets{}, "u",
		"on ~* &* -@all +get +later|x -@newer (~a resetchannels -@all +later)")
	if err != nil {
		t.Fatal(err)
	}
	if want := "on ~* &* -@all +get (~a resetchannels -@all)"; u.Rules() != want {
		t.Errorf("%s, want %s", u.Rules(), want)
	}
}

func key(from string, a Access) Reach { return Reach{From: from, Access: a} }
func span(from, end string, a Access) Reach {
	return Reach{From: from, End: end, Kind: Bounded, Access: a}
}
func open(from string, a Access) Reach        { return Reach{From: from, Kind: Open, Access: a} }
func heard(name string, pattern bool) Channel { return Channel{key(name, 0), pattern} }

// One key, a range and a range without an end are three different things (GHSA-xg4h-6gfc-h4m8 in etcd: the
// right to one key let a watch to the end of all keys pass).
func TestReaches(t *testing.T) {
	for _, tc := range []struct {
		rules   string
		allowed []Reach
		denied  []Reach
	}{
		{"~a", []Reach{key("a", Read|Write), span("a", "a\x00", Read)},
			[]Reach{open("a", Read), span("a", "b", Read), span("a", "a\x01", Read), key("ab", Read), key("", Read),
				span("", "a", Read), span("a", "", Read).asOpen()}},
		{"~a*", []Reach{key("a", Read), key("ab", Write), span("a", "b", Read), span("ab", "ac", Read)},
			[]Reach{open("a", Read), open("ab", Read), span("a", "b\x00", Read), span(
				"`", "b", Read), key("b", Read)}},
		{"~a* ~b*", []Reach{span("a", "c", Read), span("ax", "bx", Read|Write)}, []Reach{span("a", "c\x00", Read)}},
		{"~a* %R~b*", []Reach{span("a", "c", Read)}, []Reach{span("a", "c", Write), span("a", "c", Read|Write)}},
		{"%R~*", []Reach{open("", Read), key("x", Read), key("x", 0)}, []Reach{open("", Write), key("x", Write)}},
		{"~\xff*", []Reach{open("\xff", Read), open("\xff\xff", Read)}, []Reach{open("\xfe", Read)}},
		{"~a?", []Reach{key("ab", Read)}, []Reach{span("a", "b", Read), span("ab", "ac", Read)}},
		{"~a[b]*", []Reach{key("abc", Read)}, []Reach{span("ab", "ac", Read)}},
		{`~a\*`, []Reach{key("a*", Read), span("a*", "a*\x00", Read)}, []Reach{span("a", "b", Read), key("ab",
			Read)}},
		{"~*", []Reach{open("", Read|Write), span("a", "b", Write)}, nil},
		{"", nil, []Reach{key("a", 0), span("a", "b", 0), open("", 0)}},
	} {
		u := user(t, strings.Fields(tc.rules)...)
		for _, r := range tc.allowed {
			if !u.MayReach(&r) {
				t.Errorf("%q does not reach %+q", tc.rules, r)
			}
		}
		for _, r := range tc.denied {
			if u.MayReach(&r) {
				t.Errorf("%q reaches %+q", tc.rules, r)
			}
		}
	}
}

func (r Reach) asOpen() Reach { r.Kind = Open; return r }

func TestDecisions(t *testing.T) {
	u := user(t, strings.Fields("+get ~a &ch* &p* +select|0 (+set ~b &x) (+client|id ~*)")...)
	for _, tc := range []struct {
		q    Query
		want Denial
		at   int
	}{
		{Query{Command: cmdGet, Keys: []Reach{key("a", Read)}}, Allowed, 0},
		{Query{Command: cmdGet, Keys: []Reach{key("b", Read)}}, NoKey, 0},
		{Query{Command: cmdGet, Keys: []Reach{key("a", Read), key("a", Read), key("b", Read)}}, NoKey, 2},
		{Query{Command: cmdSet, Keys: []Reach{key("b", Write)}}, Allowed, 0},
		{Query{Command: cmdSet, Keys: []Reach{key("a", Write)}}, NoKey, 0},
		{Query{Command: cmdClientID}, Allowed, 0}, {Query{Command: cmdClient}, NoCommand, 0},
		{Query{Command: cmdClientKill}, NoCommand, 0}, {Query{Command: cmdAuth}, NoCommand, 0},
		{Query{Command: cmdAuth, Free: true}, Allowed, 0},
		{Query{Command: cmdSelect, FirstArg: []byte("0")}, Allowed, 0},
		{Query{Command: cmdSelect, FirstArg: []byte("1")}, NoCommand, 0}, {Query{Command: cmdSelect}, NoCommand, 0},
		{Query{Command: cmdGet, Channels: []Channel{heard("ch1", false)}}, Allowed, 0},
		{Query{Command: cmdGet, Channels: []Channel{heard("ch1", true)}}, NoChannel, 0},
		{Query{Command: cmdGet, Channels: []Channel{heard("p*", true)}}, Allowed, 0},
		{Query{Command: cmdGet, Channels: []Channel{heard("ch1", false), heard("c", false)}}, NoChannel, 1},
		{Query{Command: cmdGet, Channels: []Channel{{span("ch", "ci", 0), false}}}, Allowed, 0},
		{Query{Command: cmdGet, Channels: []Channel{{open("ch", 0), false}}}, NoChannel, 0},
	} {
		if got, at := u.Check(&tc.q); got != tc.want || at != tc.at {
			t.Errorf("%+v: %v at %d, want %v at %d", tc.q, got, at, tc.want, tc.at)
		}
	}
	if n := testing.AllocsPerRun(100, func() { u.Check(&Query{Command: cmdGet}) }); n != 0 {
		t.Errorf("a check allocates %v times", n)
	}
}

// A clone shares nothing that a rule changes.
func TestCloneIsApart(t *testing.T) {
	u := user(t, strings.Fields("on >p ~a &c +get +select|1 (+set ~x)")...)
	before := u.Rules()
	v := u.Clone()
	rules := strings.Fields("off <p ~b &d -get +select|2 +client clearselectors (+get)")
	if err := v.Apply(catalog(), plainSecrets{}, rules); err != nil {
		t.Fatal(err)
	}
	if u.Rules() != before {
		t.Errorf("%s became %s", before, u.Rules())
	}
}
