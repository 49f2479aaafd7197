package migrate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Why a destination is refused.
var (
	// ErrNotEmpty: the destination holds keys already.
	ErrNotEmpty = errors.New("the destination holds keys already")
	// ErrElsewhere: another run writes to the destination.
	ErrElsewhere = errors.New("another run of the same has taken over the destination: only one may write to it")
	// ErrBookmark: the destination belongs to something else.
	ErrBookmark = errors.New("the destination is in use by something else")
	// ErrSame: source and destination are the same keys.
	ErrSame = errors.New("source and destination are the same cluster, and the prefixes overlap: " +
		"each copy would be copied again; give --dest-prefix another one")
	// ErrWentBack: the source is older than what was mirrored.
	ErrWentBack = errors.New("the source is behind what was mirrored from it: it was restored from a backup; " +
		"to begin anew delete the bookmark at the destination and use --replace")

	errReached   = errors.New("the destination has what it was to have")
	errCompacted = errors.New("the history that is needed has been compacted")
	errReply     = errors.New("unexpected reply; is the source a Redkeep of this version?")
)

// passing are the refusals of a store that go away, by themselves or when somebody makes room.
var passing = []string{"CLUSTERDOWN", "BUSY", "LOADING", "TRYAGAIN", "OOM", "READONLY", "MASTERDOWN",
	"MISCONF", "NOREPLICAS", "UNCERTAIN", "ERR max number of clients"}

// passes reports whether trying again can help.
func passes(err error) bool {
	var said redis.Error
	if !errors.As(err, &said) {
		var r refusal
		return !errors.As(err, &r) && !errors.Is(err, ErrElsewhere)
	}
	for _, p := range passing {
		if strings.HasPrefix(said.Error(), p) {
			return true
		}
	}
	return false
}

// refusal is an error that trying again does not help against.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func refusef(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }
