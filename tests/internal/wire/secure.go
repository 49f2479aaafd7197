package wire

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// secured are the addresses that speak TLS, each with the configuration for dialling it. A test says so once,
// and everything that asks a node by its address goes on working.
var secured sync.Map

// UseTLS makes Dial shake hands at addr from now on.
func UseTLS(addr string, cfg *tls.Config) (forget func()) {
	secured.Store(addr, cfg)
	return func() { secured.Delete(addr) }
}

// TLSFor returns what UseTLS was told about addr, for clients that dial for themselves; nil for plain.
func TLSFor(addr string) *tls.Config {
	cfg, ok := secured.Load(addr)
	if !ok {
		return nil
	}
	return cfg.(*tls.Config)
}

// passwords are the addresses at which one has to log in, each with the default user's password.
var passwords sync.Map

// UsePassword makes Dial log in at addr from now on.
func UsePassword(addr, password string) (forget func()) {
	passwords.Store(addr, password)
	return func() { passwords.Delete(addr) }
}

// PasswordFor returns what UsePassword was told about addr, for clients that dial for themselves; "" if there
// is none.
func PasswordFor(addr string) string {
	password, _ := passwords.Load(addr)
	text, _ := password.(string)
	return text
}

// login logs in, if addr wants it.
func (c *Conn) login(addr string) error {
	password := PasswordFor(addr)
	if password == "" {
		return nil
	}
	c.Timeout = loginTimeout
	defer func() { c.Timeout = DefaultTimeout }()
	r, err := c.Do("AUTH", "default", password)
	if err == nil && r.IsErr() {
		err = fmt.Errorf("AUTH at %s: %s", addr, r.Text)
	}
	return err
}

const loginTimeout = 5 * time.Second

// TCP is the socket below, whether there is TLS over it or not.
func (c *Conn) TCP() *net.TCPConn {
	if secure, ok := c.Net.(*tls.Conn); ok {
		return secure.NetConn().(*net.TCPConn)
	}
	return c.Net.(*net.TCPConn)
}

func dial(addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second}
	cfg := TLSFor(addr)
	if cfg == nil {
		return d.Dial("tcp", addr)
	}
	return tls.DialWithDialer(d, "tcp", addr, cfg)
}
