package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigScript(t *testing.T) { runScript(t, "config") }

// requirepass is the password of the default user, of the whole cluster, and is never shown.
func TestRequirePass(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want(`["requirepass" ""]`, "CONFIG", "GET", "requirepass")
	before := n.engine.Users().Version
	admin.want("OK", "CONFIG", "SET", "requirepass", "") // as it is: no change
	if after := n.engine.Users().Version; after != before {
		t.Errorf("the users are at version %d, were at %d", after, before)
	}
	admin.want("(ERR CONFIG SET failed (possibly related to argument 'timeout') - can't set immutable config)",
		"CONFIG", "SET", "requirepass", "sesam", "timeout", "5")
	n.dial(t).want("PONG", "PING") // all or none
	admin.want("OK", "CONFIG", "SET", "requirepass", "old one", "slowlog-max-len", "7")
	admin.want(`["slowlog-max-len" "7"]`, "CONFIG", "GET", "slowlog-max-len")
	admin.want("OK", "CONFIG", "SET", "requirepass", "sesam")
	admin.want("PONG", "PING") // it was let in before
	admin.want(`["requirepass" "`+hiddenPassword+`"]`, "CONFIG", "GET", "require*")
	if all := admin.do("CONFIG", "GET", "*"); strings.Contains(all, "sesam") {
		t.Errorf("shown is %s", all)
	}
	admin.want("OK", "CONFIG", "SET", "requirepass", hiddenPassword) // what was shown is no change

	c := n.dial(t)
	c.want("(NOAUTH Authentication required.)", "GET", "k")
	c.want("(WRONGPASS invalid username-password pair or user is disabled.)", "AUTH", "old one")
	c.want("OK", "AUTH", "sesam")
	c.want("OK", "CONFIG", "SET", "requirepass", "")
	n.dial(t).want("PONG", "PING")
	c.want("OK", "MULTI")
	c.want("QUEUED", "CONFIG", "SET", "requirepass", "again")
	c.want("[OK]", "EXEC")
	n.dial(t).want("(NOAUTH Authentication required.)", "PING")
}

// What TLS is set to is shown under the names that Redis has for it.
func TestConfigShowsTLS(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want(`["tls-port" "0"]`, "CONFIG", "GET", "tls-port")
	n.d.cfg.TLS = TLSParameters{Port: 6380, CertFile: "a.pem", KeyFile: "a-key.pem", CAFile: "ca.pem",
		AuthClients: "optional", Protocols: "TLSv1.3"}
	c.want(`["tls-auth-clients" "optional" "tls-ca-cert-file" "ca.pem" "tls-cert-file" "a.pem" `+
		`"tls-key-file" "a-key.pem" "tls-port" "6380" "tls-protocols" "TLSv1.3"]`, "CONFIG", "GET", "tls-*")
	c.want("(ERR CONFIG SET failed (possibly related to argument 'tls-port') - can't set immutable config)",
		"CONFIG", "SET", "tls-port", "1")
}

// What CONFIG says of this node's place and kind is what is so: tools look for files in dir, and INFO says
// the same of the cluster.
func TestConfigShowsTheNode(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	n.d.cfg.DataDir = "some/../data"
	c.want(`["dir" "`+filepath.Join(here, "data")+`"]`, "CONFIG", "GET", "dir")
	for _, on := range []bool{true, false} {
		n.d.cfg.ClusterProtocol = on
		want := map[bool]string{true: "yes", false: "no"}[on]
		c.want(`["cluster-enabled" "`+want+`"]`, "CONFIG", "GET", "cluster-enabled")
	}
}
