package commands

import (
	"errors"
	"testing"
)

// CONFIG REWRITE hands over everything that CONFIG SET can change, as it is now.
func TestConfigRewrite(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want("(ERR The server is running without a config file)", "CONFIG", "REWRITE")
	got := map[string]string{}
	n.d.cfg.Rewrite = func(now []Setting) error {
		for _, s := range now {
			got[s.Name] = s.Value
		}
		return nil
	}
	c.want("OK", "CONFIG", "SET", "slowlog-max-len", "77", "notify-keyspace-events", "Ex")
	c.want("OK", "CONFIG", "REWRITE")
	if len(got) != 5 || got["slowlog-max-len"] != "77" || got["notify-keyspace-events"] != "xE" {
		t.Errorf("rewritten: %v", got)
	}
	n.d.cfg.Rewrite = func([]Setting) error { return errors.New("disk on fire") }
	c.want("(ERR Rewriting config file: disk on fire)", "CONFIG", "REWRITE")
}
