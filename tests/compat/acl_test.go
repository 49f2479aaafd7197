package compat

import (
	"strings"
)

// Users, rules, logins and refusals. Passwords are shown in another form here (argon2id), so replies that
// hold
// one are compared by their shape; rules of commands are shown in the order they were given in, as by Redis
// since 7.2, so those compared here have one.
var aclFamilies = []family{
	{"acl rules", func(p *pair) {
		p.SameLine("ACL WHOAMI", "ACL USERS", "ACL LIST", "ACL GETUSER default", "ACL GETUSER nobody",
			"ACL SETUSER u", "ACL LIST", "ACL GETUSER u", "ACL SETUSER u on nopass", "ACL LIST",
			"ACL SETUSER u ~a* %R~b %W~c %RW~d ~a* &x &y* &x", "ACL GETUSER u", "ACL LIST",
			"ACL SETUSER u +get", "ACL GETUSER u", "ACL SETUSER u nocommands +client|id", "ACL GETUSER u",
			"ACL SETUSER u +@all -get", "ACL GETUSER u", "ACL SETUSER u allcommands -client|id", "ACL GETUSER u",
			"ACL SETUSER u nocommands allkeys allchannels", "ACL GETUSER u", "ACL SETUSER u ~x", "ACL SETUSER u &x",
			"ACL SETUSER u resetkeys resetchannels off", "ACL LIST", "ACL SETUSER u (+get ~x*)", "ACL GETUSER u",
			"ACL SETUSER u (+@all ~* &*) (%R~y)", "ACL GETUSER u", "ACL LIST", "ACL SETUSER u clearselectors",
			"ACL LIST", "ACL SETUSER u +select|0", "ACL GETUSER u", "ACL SETUSER u RESET", "ACL LIST",
			"ACL SETUSER u skip-sanitize-payload", "ACL LIST", "ACL USERS", "ACL DELUSER u u nobody", "ACL USERS",
			"ACL DELUSER default", "ACL DELUSER")
		p.Same("ACL", "SETUSER", "v", "(+get", "~x", "+set)", "on")
		p.Same("ACL", "SETUSER", "v", "(+get", "~x")
		p.Same("ACL", "SETUSER", "v w", "on")
		p.Same("ACL", "SETUSER", "v", "~a b")
		p.Same("ACL", "SETUSER", "v", "")
		p.SameLine("ACL DELUSER v")
		hash := strings.Repeat("0a", 32)
		p.SameLine("ACL SETUSER v #"+hash, "ACL GETUSER v", "ACL SETUSER v !"+hash, "ACL SETUSER v !"+hash,
			"ACL SETUSER v #"+strings.ToUpper(hash), "ACL SETUSER v #"+hash[1:], "ACL GETUSER v", "ACL DELUSER v")
	}},
	{"acl errors", func(p *pair) {
		for _, rule := range []string{"foo", "+", "-", "+@", "+nope", "-nope", "+@nope", "+client|nope", "+client|",
			"+client|id|x", "-select|0", "%~a", "%X~a", "%RR~a", "%", "#123", "!123", "(on)", "((+get))",
			"(nope)", "()", "( )", "~", "&", "+GET", "+@ALL", "AllKeys"} {
			p.Same("ACL", "SETUSER", "e", rule)
		}
		p.SameLine("ACL GETUSER e", "ACL DELUSER e", "ACL", "ACL NOPE", "ACL SETUSER", "ACL GETUSER",
			"ACL GETUSER a b",
			"ACL CAT nope", "ACL CAT a b", "ACL LOG x", "ACL LOG a b", "ACL LOG RESET", "ACL LOG", "ACL LOG 5",
			"ACL LOG -1", "ACL WHOAMI x", "ACL USERS x", "ACL LIST x", "ACL GENPASS x", "ACL GENPASS 0",
			"ACL GENPASS 5000", "ACL GENPASS -1", "ACL GENPASS 1 2", "ACL SAVE x", "ACL LOAD x", "ACL HELP x",
			"ACL DRYRUN nobody get x", "ACL DRYRUN default nope", "ACL DRYRUN default get", "ACL DRYRUN default get x",
			"ACL DRYRUN default")
		p.SameShape("ACL", "GENPASS")
		p.SameShape("ACL", "GENPASS", "5")
	}},
	{"acl decisions", func(p *pair) {
		p.SameLine("ACL SETUSER bob on nopass ~b* %R~r* %W~w* &c* &p* +@all -flushall -config|get -acl|setuser",
			"SET x secret", "SET r1 v", "SET b1 v", "AUTH bob any", "ACL WHOAMI")
		calls := []string{"GET x", "GET b1", "GET r1", "SET r1 x", "SET w1 x", "GET w1", "SET w1 x GET", "SET w1 y",
			"MGET b1 x", "MGET b1 r1", "MSET b1 1 x 2", "MSET b1 1 w2 2", "DEL x", "DEL b1 r1", "EXISTS x",
			"EXISTS w1", "EXISTS b1 r1 w1", "STRLEN w1", "TYPE w1", "GETDEL r1", "GETDEL w1", "GETSET w1 x", "INCR w9",
			"APPEND w9 x", "SETRANGE w9 0 x", "GETRANGE w9 0 1", "COPY r1 b9", "COPY r1 r9", "COPY w1 b9",
			"COPY b9 w8",
			"RENAME r1 b8", "RENAME b9 b8", "RENAME b8 w7", "RENAME b8 x", "BITOP AND w5 r1 b1", "BITOP AND r5 b1",
			"BITOP OR b5 w1", "LCS r1 b1", "LCS r1 w1", "TTL r1", "TTL w1", "EXPIRE w1 100", "EXPIRE r1 100",
			"PERSIST w1", "OBJECT ENCODING w1", "DUMP w1", "SETNX w6 x", "WATCH x", "WATCH w1", "UNWATCH",
			"FLUSHALL", "CONFIG GET save", "CONFIG SET save x y", "ACL SETUSER a", "ACL WHOAMI", "CLIENT GETNAME",
			"PUBLISH x m", "PUBLISH c1 m", "SPUBLISH x m", "SUBSCRIBE x", "PSUBSCRIBE c1*", "PSUBSCRIBE *",
			"SSUBSCRIBE x", "EVAL return(1) 1 x", "EVAL return(1) 1 b1", "EVAL return(1) 0", "DBSIZE", "ECHO x"}
		p.SameLine(calls...)
		p.Same("EVAL", "return redis.call('get','x')", "0")
		p.Same("EVAL", "return redis.pcall('get','x')", "0")
		p.Same("EVAL", "return redis.call('flushall')", "0")
		p.Same("EVAL", "return redis.call('publish','x','m')", "0")
		p.Same("EVAL", "return redis.acl_check_cmd('get','x')", "0")
		p.SameLine("MULTI", "GET x", "GET b1", "EXEC", "MULTI", "GET b1", "FLUSHALL", "DISCARD")
		for _, c := range calls {
			p.Same(append([]string{"ACL", "DRYRUN", "bob"}, strings.Split(c, " ")...)...)
		}
		p.SameLine("RESET", "ACL WHOAMI", "GET x", "ACL DELUSER bob")
	}},
	{"acl logins", func(p *pair) {
		p.SameLine("ACL SETUSER carol on >pw ~* &* +@all", "AUTH carol nope", "AUTH carol pw", "ACL WHOAMI",
			"AUTH nobody pw", "ACL WHOAMI", "AUTH pw", "AUTH carol pw x", "ACL SETUSER carol >two", "AUTH carol two",
			"ACL SETUSER carol <two", "AUTH carol two", "ACL SETUSER carol resetpass",
			"AUTH carol pw", "ACL SETUSER carol nopass", "AUTH carol anything", "ACL SETUSER carol >pw",
			"AUTH carol anything", "AUTH default x", "ACL WHOAMI", "ACL SETUSER carol off", "AUTH carol pw",
			"HELLO 2 AUTH carol pw", "HELLO 3 AUTH nobody x SETNAME me", "CLIENT GETNAME", "CLIENT KILL USER nobody",
			"CLIENT KILL USER carol", "ACL DELUSER carol")
		p.SameError("ERR Error in ACL SETUSER modifier '<", "ACL", "SETUSER", "default", "<shown-by-redis-alone")
	}},
	{"acl and a password for all", func(p *pair) {
		p.SameLine("ACL SETUSER root on >root ~* &* +@all", "ACL SETUSER default resetpass >first", "PING", "RESET",
			"PING", "GET x", "NOPE", "GET", "MULTI", "QUIET")
		p.SameError("NOAUTH HELLO must be called", "HELLO")
		p.SameError("NOAUTH HELLO must be called", "HELLO", "3")
		p.SameLine("AUTH", "AUTH wrong", "AUTH root wrong", "AUTH first", "PING", "RESET",
			"AUTH root root", "ACL WHOAMI", "ACL SETUSER default nopass", "RESET",
			"ACL WHOAMI", "ACL DELUSER root", "PING")
	}},
}
