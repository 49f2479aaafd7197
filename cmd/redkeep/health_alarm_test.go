package main

import (
	"strings"
	"testing"

	"github.com/redkeep/redkeep/resp"
)

// An endpoint that serves but has an alarm of its own is not healthy; others' alarms do not count.
func TestEndpointHealthTellsAlarms(t *testing.T) {
	for _, c := range []struct{ trouble, want string }{
		{"memberID:" + memberID(1) + " alarm:HUNGDISK", "Active Alarm(s): HUNGDISK"},
		{"memberID:0000000000000000 alarm:CORRUPT", "Active Alarm(s): CORRUPT"},
		{"memberID:" + memberID(2) + " alarm:HUNGDISK", ""},
		{"no leader is known", ""},
	} {
		node := startFakeNode(t, func(line string) resp.Value {
			if line == "CLUSTER.STATUS" {
				return resp.Map(resp.Bulk("member_id"), resp.Bulk(memberID(1)),
					resp.Bulk("errors"), resp.Array(resp.Bulk(c.trouble)))
			}
			return resp.Null()
		})
		_, stderr, code := do(nil, "", "--endpoints", node.addr, "endpoint", "health")
		if (code == exitOK) != (c.want == "") || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %q", c.trouble, code, stderr)
		}
	}
}
