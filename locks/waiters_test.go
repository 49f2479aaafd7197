package locks

import "testing"

// Of those who wait for one place exactly one owes it, and the last to part gives it up.
func TestTheLastToPartOwesThePlace(t *testing.T) {
	w := NewWaiters()
	first, second, third := w.Join("k", true), w.Join("k", false), w.Join("k", false)
	other := w.Join("other", true)
	if w.Part(first) || w.Part(first) {
		t.Error("the first owes the place while two others wait")
	}
	if w.Part(third) {
		t.Error("the third owes it")
	}
	if !w.Part(second) {
		t.Error("the last does not owe it")
	}
	if w.Part(second) || w.Inherit("k") {
		t.Error("it is owed twice, or by nobody")
	}
	if !w.Part(other) {
		t.Error("another place is not owed")
	}
	stranger := w.Join("k", false)
	if w.Part(stranger) {
		t.Error("one who found the place there owes it")
	}
	heir := w.Join("k", false)
	if !w.Inherit("k") || !w.Part(heir) {
		t.Error("nobody inherits")
	}
	if w.Len() != 0 {
		t.Errorf("%d wait", w.Len())
	}
}
