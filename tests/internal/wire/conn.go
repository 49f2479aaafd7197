package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// DefaultTimeout bounds each single read and write, so that a server that hangs fails the test that met it.
const DefaultTimeout = 20 * time.Second

// Conn is one raw connection. It belongs to one goroutine.
type Conn struct {
	Net     net.Conn
	Timeout time.Duration // of each Send and each Read
	br      *bufio.Reader
}

// Dial opens a connection to a RESP server.
func Dial(addr string) (*Conn, error) {
	nc, err := dial(addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Net: nc, Timeout: DefaultTimeout, br: bufio.NewReader(nc)}
	if err := c.login(addr); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.Net.Close() }

// Encode renders one command as an array of bulk strings.
func Encode(args ...string) string {
	b := append([]byte{'*'}, strconv.Itoa(len(args))...)
	b = append(b, "\r\n"...)
	for _, a := range args {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, "\r\n"...)
		b = append(b, a...)
		b = append(b, "\r\n"...)
	}
	return string(b)
}

// Send writes bytes as they are.
func (c *Conn) Send(raw string) error {
	if err := c.Net.SetWriteDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.Net, raw)
	return err
}

// Read waits for the next reply.
func (c *Conn) Read() (Reply, error) {
	if err := c.Net.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return Reply{}, err
	}
	return readReply(c.br, 0)
}

// Do sends one command and reads one reply.
func (c *Conn) Do(args ...string) (Reply, error) {
	if err := c.Send(Encode(args...)); err != nil {
		return Reply{}, err
	}
	return c.Read()
}

// ReadAll reads replies until the server closes the connection, and returns their raw bytes.
func (c *Conn) ReadAll() (string, error) {
	if err := c.Net.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c.br)
	return string(b), err
}

// Once runs one command on a connection of its own.
func Once(addr string, timeout time.Duration, args ...string) (Reply, error) {
	c, err := Dial(addr)
	if err != nil {
		return Reply{}, err
	}
	defer c.Close()
	c.Timeout = timeout
	r, err := c.Do(args...)
	if err != nil {
		return r, fmt.Errorf("%v at %s: %w", args[0], addr, err)
	}
	return r, nil
}
