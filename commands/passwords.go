package commands

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/redkeep/redkeep/acl"
)

// Passwords are sealed with argon2id, 19 MiB and two passes (what OWASP names as the least), a salt for each:
//
//	argon2id$19456,2,1$<salt>$<key>      base64url without padding
//
// and Redis's own form, 64 hex digits of SHA-256, is accepted for rules that come from there. What ACL LIST
// shows can be given to ACL SETUSER again.
//
// One check costs about 30 ms of a core, which is the point, and is why it must stand in nobody's way. It
// runs on the goroutine of the connection that logs in, but only as many at once as half the cores; the
// others wait for a token, and their clients are watched meanwhile. Connections of one user mostly come with
// the same password, a thousand at once after a failover: so what has just been found right is remembered for
// a few minutes under a keyed hash, whose key never leaves this process, beside the sealed form that it
// opened. A password that was taken away is not opened by memory: the sealed form is no longer the user's.
//
// A user that does not exist, or has no password, costs a check, too.
//
// Rejected: a cheaper hash for all (a stolen snapshot would be worth more); sessions or tokens (etcd's had
// holes). Drawback: a thousand different users at once take a thousand times 30 ms on half the cores.
type passwords struct {
	key   []byte
	slots chan struct{} // a token for each check that may run
	dummy string

	mu struct {
		sync.Mutex
		opened map[[sha256.Size]byte]opened
	}
}

// opened is a sealed password that was opened, and until when that is remembered.
type opened struct {
	sealed string
	until  time.Time
}

const (
	argonMemory  = 19 << 10 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16

	// What is accepted from rules: a sealed password must not be a way to stop the node.
	maxArgonMemory = 64 << 10
	maxArgonPasses = 16

	rememberFor  = 5 * time.Minute
	rememberMost = 20_000
)

var _ acl.Secrets = (*passwords)(nil)

func newPasswords() *passwords {
	p := &passwords{key: randomBytes(sha256.Size), slots: make(chan struct{}, max(1, runtime.NumCPU()/2))}
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	p.dummy = sealedForm{argonMemory, argonPasses, argonThreads, randomBytes(argonSalt), randomBytes(
		argonKey)}.String()
	p.mu.opened = map[[sha256.Size]byte]opened{}
	return p
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// sealedForm is a parsed argon2id password.
type sealedForm struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

func (f sealedForm) String() string {
	encode := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf("argon2id$%d,%d,%d$%s$%s", f.memory, f.passes, f.threads, encode(f.salt), encode(
		f.key))
}

func parseSealed(text string) (f sealedForm, ok bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != "argon2id" {
		return f, false
	}
	if n, err := fmt.Sscanf(parts[1], "%d,%d,%d", &f.memory, &f.passes, &f.threads); n != 3 || err != nil {
		return f, false
	}
	var bad [2]error
	f.salt, bad[0] = base64.RawURLEncoding.Strict().DecodeString(parts[2])
	f.key, bad[1] = base64.RawURLEncoding.Strict().DecodeString(parts[3])
	sound := bad[0] == nil && bad[1] == nil && len(f.salt) >= 8 && len(f.salt) <= 64 && len(f.key) >= 16 &&
		len(f.key) <= 64 && f.memory >= 8 && f.memory <= maxArgonMemory && f.passes >= 1 &&
		f.passes <= maxArgonPasses && f.threads >= 1 && f.threads <= 16
	return f, sound && f.String() == text
}

func (f sealedForm) derive(password string) []byte {
	return argon2.IDKey([]byte(password), f.salt, f.passes, f.memory, f.threads, uint32(len(f.key)))
}

// Seal implements acl.Secrets. It takes a slot while it works.
func (p *passwords) Seal(password string) string {
	f := sealedForm{memory: argonMemory, passes: argonPasses, threads: argonThreads,
		salt: randomBytes(argonSalt), key: make([]byte, argonKey)}
	<-p.slots
	defer func() { p.slots <- struct{}{} }()
	f.key = f.derive(password)
	return f.String()
}

// Opens implements acl.Secrets. It takes a slot while it works.
func (p *passwords) Opens(sealed, password string) bool {
	if !isSHA256(sealed) {
		<-p.slots
		defer func() { p.slots <- struct{}{} }()
	}
	return opens(sealed, password)
}

// opens takes as long for a wrong password as for the right one. REQUIRES: a slot, unless sealed is cheap.
func opens(sealed, password string) bool {
	if isSHA256(sealed) {
		sum := sha256.Sum256([]byte(password))
		return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(sealed)) == 1
	}
	f, ok := parseSealed(sealed)
	return ok && subtle.ConstantTimeCompare(f.derive(password), f.key) == 1
}

// Sealed implements acl.Secrets.
func (p *passwords) Sealed(text string) bool {
	_, ok := parseSealed(text)
	return ok || isSHA256(text)
}

func isSHA256(text string) bool {
	return len(text) == 2*sha256.Size && strings.Trim(text, "0123456789abcdef") == ""
}

// note is under what a password of a user is remembered.
func (p *passwords) note(user, password string) (key [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key)
	fmt.Fprintf(h, "%d:%s", len(user), user)
	h.Write([]byte(password))
	h.Sum(key[:0])
	return key
}

// guess is a password that somebody brings for a user.
type guess struct {
	key      [sha256.Size]byte // of note
	sealed   []string          // what the user has
	password string
}

// remembered reports whether the password has opened one of these lately.
func (p *passwords) remembered(g *guess) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.mu.opened[g.key]
	return ok && time.Now().Before(o.until) && slices.Contains(g.sealed, o.sealed)
}

func (p *passwords) remember(key [sha256.Size]byte, sealed string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.opened) >= rememberMost {
		clear(p.mu.opened)
	}
	p.mu.opened[key] = opened{sealed, time.Now().Add(rememberFor)}
}

// check is the slow part of a login: whether the password opens one of the sealed ones. All are tried, and if
// there is none that costs anything, one that fits nobody. Of many who come with one password only the first
// pays. When its turn has come it asks may, and tries nothing if that says no. there is false when the client
// has vanished meanwhile.
func (p *passwords) check(g *guess, wait waiting, may func() bool) (ok, there bool) {
	if p.remembered(g) {
		return true, true
	}
	if !wait(p.slots) {
		return false, false
	}
	defer func() { p.slots <- struct{}{} }()
	if p.remembered(g) {
		return true, true
	}
	if !may() {
		return false, true
	}
	all := g.sealed
	if !slices.ContainsFunc(g.sealed, func(s string) bool { return !isSHA256(s) }) {
		all = append(slices.Clone(g.sealed), p.dummy)
	}
	for _, s := range all {
		if opens(s, g.password) {
			p.remember(g.key, s)
			ok = true
		}
	}
	return ok, true
}
