package commands

import (
	"slices"
	"testing"
)

// What a fenced member answers all the same, of the commands that read or write, is little and known.
func TestWhatAFencedMemberAnswers(t *testing.T) {
	var open []string
	for _, row := range NewTable().All() {
		ofState := row.Kind != KindSession && row.Kind != KindAdmin
		if ofState && !row.showsState() {
			open = append(open, row.Name)
		}
	}
	if want := []string{"alarm.disarm", "kv.hash"}; !slices.Equal(open, want) {
		t.Errorf("a fenced member answers %q, want %q", open, want)
	}
}

func TestAlarmScript(t *testing.T) { runScript(t, "alarm") }
