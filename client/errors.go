package client

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrLost: the lease ended, and with it what was held by it; or somebody deleted the key of what was held.
	ErrLost = errors.New("redkeep: the lease is lost")
	// ErrHeld: somebody else holds it, and waiting was not asked for.
	ErrHeld = errors.New("redkeep: held by another")
	// ErrNotHeld: nothing is held by this value.
	ErrNotHeld = errors.New("redkeep: not held")
	// ErrNoLeader: nobody leads the election.
	ErrNoLeader = errors.New("redkeep: no leader")

	errReply = errors.New("redkeep: unexpected reply")
)

// hasPrefix reports whether the server answered with an error of this kind.
func hasPrefix(err error, prefix string) bool {
	var said redis.Error
	return errors.As(err, &said) && strings.HasPrefix(said.Error(), prefix+" ")
}
