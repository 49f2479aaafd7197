package commands

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/resp"
)

// Logging in: AUTH and HELLO AUTH.

// login makes the connection a user's. there is false iff the client vanished.
func (d *Dispatcher) login(c *call, s *session, name, password string, wait waiting) (err error, there bool) {
	dir := d.directory()
	u := dir.accounts[name]
	if u != nil && u.On && u.NoPass {
		return d.loggedIn(s, dir, u), true
	}
	var sealed []string
	if u != nil && u.On {
		sealed = u.Passwords
	}
	g := guess{key: d.users.secrets.note(name, password), sealed: sealed, password: password}
	if d.users.secrets.remembered(&g) {
		return d.loggedIn(s, dir, u), true
	}
	from := addrOf(s.conn.RemoteAddr())
	left := d.users.strikes.barred(from, time.Now())
	if left > 0 {
		return errTooManyLogins(left), true
	}
	charged := false
	ok, there := d.users.secrets.check(&g, wait, func() bool {
		left = d.users.strikes.take(from, time.Now()) // others have guessed while this one waited
		charged = left == 0
		return charged
	})
	switch {
	case !there:
		return nil, false
	case left > 0:
		return errTooManyLogins(left), true
	case !ok:
		d.noteFailedLogin(s, c.row.Name, name)
		return errWrongPass, true
	}
	if charged {
		d.users.strikes.forgive(from, time.Now())
	}
	return d.loggedIn(s, dir, u), true
}

func (d *Dispatcher) loggedIn(s *session, dir *directory, u *account) error {
	s.become(dir, u)
	d.users.log.login(s)
	return nil
}

// auth is AUTH.
func auth(c *call, s *session, wait waiting) (resp.Value, error) {
	name := defaultUser
	switch len(c.args) {
	case 2:
		if u := c.d.directory().accounts[defaultUser]; u.NoPass {
			return resp.Value{}, errNoPassword
		}
	case 3:
		name = string(c.args[1])
	default:
		return resp.Value{}, errSyntax
	}
	err, _ := c.d.login(c, s, name, string(c.args[len(c.args)-1]), wait)
	return resp.OK(), err
}

// addrOf is by what guesses from an address are counted: with IPv6 one machine has a whole network of them.
func addrOf(addr string) string {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64) // of an address of IPv6 it exists
	return network.String()
}

// strikes counts failed logins by address. A client may be wrong a few times; one that keeps guessing has its
// guesses refused unlooked at, which also spares the cores. Each strike is forgiven after a while. A password
// that was right lately is let in all the same, so nobody is locked out by a neighbour behind one address.
//
// A guess is charged before it is looked at, and paid back if it was right: so of many that come at once no
// more are looked at than of as many in a row. When there are too many addresses, the one with the least
// against it is forgotten, of a few that are compared: nobody gets rid of strikes by coming from many others.
type strikes struct {
	mu struct {
		sync.Mutex
		byHost map[string]strike
	}
}

// strike is how many stand against an address at a time.
type strike struct {
	count float64
	at    time.Time
}

const (
	strikesMost    = 20
	strikeForgiven = 3 * time.Second
	strikeHosts    = 10_000
	strikeSample   = 64 // addresses among which one is chosen to be forgotten
)

func (k strike) now(t time.Time) float64 {
	return max(0, k.count-float64(t.Sub(k.at))/float64(strikeForgiven))
}

func (k strike) wait(t time.Time) time.Duration {
	over := k.now(t) - strikesMost
	if over < 0 {
		return 0
	}
	return time.Duration((over + 1) * float64(strikeForgiven))
}

// barred is how long the next guess has to wait; 0: it may come.
func (k *strikes) barred(host string, t time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.byHost[host].wait(t)
}

// take charges a guess, unless it has to wait: then it returns for how long.
func (k *strikes) take(host string, t time.Time) (wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if wait = k.mu.byHost[host].wait(t); wait == 0 {
		k.addLocked(host, t)
	}
	return wait
}

// add charges a guess in any case.
func (k *strikes) add(host string, t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addLocked(host, t)
}

func (k *strikes) addLocked(host string, t time.Time) {
	old, known := k.mu.byHost[host]
	switch {
	case k.mu.byHost == nil:
		k.mu.byHost = map[string]strike{}
	case !known && len(k.mu.byHost) >= strikeHosts:
		k.evictLocked(t)
	}
	k.mu.byHost[host] = strike{old.now(t) + 1, t}
}

// evictLocked forgets the address with the least against it, of some that a walk of the map meets first.
func (k *strikes) evictLocked(t time.Time) {
	least, most, left := "", math.Inf(1), strikeSample
	for host, s := range k.mu.byHost {
		if n := s.now(t); n < most {
			least, most = host, n
		}
		if left--; left == 0 || most == 0 {
			break
		}
	}
	delete(k.mu.byHost, least)
}

// forgive takes one charge back.
func (k *strikes) forgive(host string, t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, known := k.mu.byHost[host]; known {
		k.mu.byHost[host] = strike{max(0, s.now(t)-1), t}
	}
}

// helloOptions is a parsed HELLO; proto 0 keeps the protocol, name nil the name, user nil the user.
type helloOptions struct {
	proto          int
	name           []byte
	user, password []byte
}

func parseHello(c *call) (o helloOptions, err error) {
	if len(c.args) < 2 {
		return o, nil
	}
	proto, ok := parseInt(c.args[1])
	switch {
	case !ok:
		return o, errProtoNotInt
	case proto != 2 && proto != 3:
		return o, errNoProto
	}
	o.proto = int(proto)
	for w := c.options(2); w.more(); {
		option := w.next()
		switch {
		case is(option, "AUTH") && w.at+2 <= len(w.args):
			o.user, o.password = w.next(), w.next()
		case is(option, "SETNAME") && w.more():
			if o.name = w.next(); !printable(o.name) {
				return o, errClientName
			}
		default:
			return o, errHelloOption(option)
		}
	}
	return o, nil
}

func hello(c *call, s *session, wait waiting) (resp.Value, error) {
	o, err := parseHello(c)
	if err != nil {
		return resp.Value{}, err
	}
	if o.user != nil {
		if err, _ := c.d.login(c, s, string(o.user), string(o.password), wait); err != nil {
			return resp.Value{}, err
		}
	}
	if s.who.account == nil {
		return resp.Value{}, errHelloNoAuth
	}
	if o.name != nil {
		name := string(o.name)
		s.label(func(l *labels) { l.name = name })
	}
	if o.proto != 0 {
		s.proto = o.proto
	}
	return c.d.greeting(s), nil
}

func (d *Dispatcher) greeting(s *session) resp.Value {
	fields := []resp.Value{
		resp.Bulk("server"), resp.Bulk("redis"),
		resp.Bulk("version"), resp.Bulk(ServerVersion),
		resp.Bulk("proto"), resp.Int(int64(s.proto)),
		resp.Bulk("id"), resp.Int(int64(s.id)),
		resp.Bulk("mode"), resp.Bulk(d.mode()),
	}
	if d.cfg.Sentinel == nil {
		fields = append(fields, resp.Bulk("role"), resp.Bulk(d.helloRole()))
	}
	return resp.Map(append(fields, resp.Bulk("modules"), resp.Array())...)
}

// mode is what HELLO and INFO call this server.
func (d *Dispatcher) mode() string {
	switch {
	case d.cfg.Sentinel != nil:
		return "sentinel"
	case d.cfg.ClusterProtocol:
		return "cluster"
	default:
		return "standalone"
	}
}

// arrive makes the connection whose a fresh one is: the user's whom its verified certificate names, if there
// is such a user and it is on.
func (s *session) arrive(d *Dispatcher) {
	s.begin(d)
	dir := d.directory()
	if u := dir.accounts[s.certificate]; s.certificate != "" && u != nil && u.On {
		_ = d.loggedIn(s, dir, u)
	}
}

// mayAdminister reports whether a user can change users, and so repair what others did.
func (d *Dispatcher) mayAdminister(u *acl.User) bool {
	return u.On && (u.NoPass || len(u.Passwords) > 0) && u.MayRun(d.table.find([]byte("acl|setuser")).id)
}
