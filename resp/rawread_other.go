//go:build !unix

package resp

import "net"

// rawReader does not exist here: connections keep a small buffer while they are idle.
type rawReader struct{}

func newRawReader(net.Conn) *rawReader { return nil }

func (*rawReader) read() (*workspace, int, error) { panic("resp: no raw reader on this system") }
