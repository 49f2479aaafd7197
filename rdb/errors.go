package rdb

import (
	"errors"
	"fmt"
)

// Why a payload is refused.
var (
	ErrChecksum = errors.New("rdb: version or checksum of the payload is wrong")
	ErrType     = errors.New("rdb: the payload is not a string")
	ErrFormat   = errors.New("rdb: malformed payload")
)

// Damage says that a file is not what Redis wrote, and where that showed.
type Damage struct {
	Offset int64 // bytes before the place
	What   string
}

func (d Damage) Error() string { return fmt.Sprintf("at byte %d: %s", d.Offset, d.What) }

// Unsupported says that a file is sound, as far as it was read, but of a Redis that is not known here.
type Unsupported struct{ What string }

func (u Unsupported) Error() string { return u.What }
