package certs

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Store keeps one set of files in use in its newest good state.
//
// Every few seconds it compares the time, size and inode of the files with those it has read, and reads them
// again when one differs; SIGHUP does so at once. A set is taken or refused as a whole.
//
// Invariants.
//  1. What handshakes use was found good as a whole: the key fits, the certificate is in its time, every list
//     is signed. So a broken file never takes the place of one that works.
//  2. A set once in use is immutable; a handshake uses one set from its beginning to its end.
//  3. A refused set is a trouble, in Status and in the log, until the files are good again.
//
// Files of one set are replaced one after the other, so a look in between finds a key that does not fit.
// That is reported only if the next look still finds it.
//
// Rejected. Watching the folder (inotify): secrets are mounted by renaming a link two folders above, and
// network file systems do not tell. Reading the files at each handshake, as etcd does: a broken file then
// drops every client, and a handshake waits for a disk.
//
// Drawback. Up to five seconds pass before a change counts; a revocation that is urgent wants SIGHUP.

// DefaultEvery is how often files are looked at.
const DefaultEvery = 5 * time.Second

// endsSoon is how long before its end a certificate that nobody has renewed becomes a trouble.
const endsSoon = 14 * 24 * time.Hour

// repeatEvery is how often a trouble that lasts is logged again.
const repeatEvery = 10 * time.Minute

// Config says what a store keeps. Use and Files are required.
type Config struct {
	Use   string // what the set is for, in logs: "client" or "peer"
	Files Files
	// Own demands that the certificate comes from the authorities of the set: peers show each other theirs.
	Own bool
	// Check, if set, must accept the own certificate for the set to be good.
	Check func(leaf *x509.Certificate) error
	// Renew, if set, writes the files anew when they are missing or near their end; see Auto.
	Renew    func(now time.Time) error
	Every    time.Duration    // 0: DefaultEvery
	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent
	OnChange func()           // runs on the store's goroutine after another set came into use
}

// Status is what a store tells about itself.
type Status struct {
	Use      string
	Subject  string
	NotAfter time.Time // of the certificate in use
	Loaded   time.Time // when it came into use
	Reloads  int64     // sets taken since Open
	Failures int64     // sets refused since Open
	Failing  bool      // the files are not the set in use, because they cannot be used
	Troubles []string  // what an operator should mend, the refused set first
}

// Store is safe for concurrent use.
type Store struct {
	cfg   Config
	nudge chan struct{} // one slot
	stop  chan struct{}
	done  chan struct{}
	close sync.Once

	set atomic.Pointer[material]

	// Owned by the goroutine, and by Open before it.
	stamps   map[string]stamp // of the files as last read
	suspect  bool             // the last look failed, and has not been reported
	lastTold string
	toldAt   time.Time

	mu struct {
		sync.Mutex
		status Status
		failed string // why the files are not in use
	}
}

// stamp tells whether a file may have changed.
type stamp struct {
	changed time.Time
	size    int64
	file    os.FileInfo // for os.SameFile
}

// Open reads the set, which must be good, and begins to look after it.
func Open(cfg Config) (*Store, error) {
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func() {}
	}
	s := &Store{cfg: cfg, nudge: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	s.mu.status.Use = cfg.Use
	if err := s.renew(); err != nil {
		return nil, fmt.Errorf("%s certificates: %w", cfg.Use, err)
	}
	s.stamps = stampsOf(cfg.Files)
	m, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("%s certificates: %w", cfg.Use, err)
	}
	s.take(m)
	s.tell()
	go s.run()
	return s, nil
}

func (s *Store) renew() error {
	if s.cfg.Renew == nil {
		return nil
	}
	return s.cfg.Renew(s.cfg.Clock())
}

func (s *Store) load() (*material, error) {
	now := s.cfg.Clock()
	m, err := load(s.cfg.Files, now)
	if err == nil && s.cfg.Check != nil {
		if err = s.cfg.Check(m.cert.Leaf); err != nil {
			err = fmt.Errorf("%s: %w", s.cfg.Files.Cert, err)
		}
	}
	if err != nil || !s.cfg.Own {
		return m, err
	}
	between := x509.NewCertPool()
	for _, der := range m.cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	o := x509.VerifyOptions{Roots: m.pool, Intermediates: between, CurrentTime: now}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		o.KeyUsages = []x509.ExtKeyUsage{usage}
		if _, err := m.cert.Leaf.Verify(o); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", s.cfg.Files.Cert, ErrForeign, err)
		}
	}
	return m, nil
}

// Close ends the goroutine and waits for it. Configurations that were handed out stay usable.
func (s *Store) Close() {
	s.close.Do(func() { close(s.stop) })
	<-s.done
}

// Reload looks at the files at once, on the store's goroutine.
func (s *Store) Reload() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

func (s *Store) current() *material { return s.set.Load() }

// Leaf is the certificate in use.
func (s *Store) Leaf() *x509.Certificate { return s.current().cert.Leaf }

// Revoked returns ErrRevoked iff the set in use says so of c. It serves to end connections whose certificate
// was revoked after their handshake.
func (s *Store) Revoked(c *x509.Certificate) error { return s.current().revoked(c) }

func (s *Store) run() {
	defer close(s.done)
	tick := time.NewTicker(s.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look(false)
		case <-s.nudge:
			s.look(true)
		case <-s.stop:
			return
		}
	}
}

// look takes the files if they have changed. A failure is reported at the second look, or at once when asked.
func (s *Store) look(asked bool) {
	defer s.tell()
	if err := s.renew(); err != nil {
		s.refuse(err)
		return
	}
	stamps := stampsOf(s.cfg.Files)
	if !asked && !s.suspect && !s.failing() && maps.EqualFunc(stamps, s.stamps, stamp.equal) {
		return
	}
	s.stamps = stamps
	m, err := s.load()
	switch {
	case err == nil:
		s.suspect = false
		s.take(m)
	case asked || s.suspect:
		s.suspect = false
		s.refuse(err)
	default:
		s.suspect = !s.failing()
		if !s.suspect {
			s.refuse(err)
		}
	}
}

func stampsOf(f Files) map[string]stamp {
	out := map[string]stamp{}
	for _, name := range f.names() {
		if info, err := os.Stat(name); err == nil {
			out[name] = stamp{info.ModTime(), info.Size(), info}
		}
	}
	return out
}

func (a stamp) equal(b stamp) bool {
	return a.changed.Equal(b.changed) && a.size == b.size && os.SameFile(a.file, b.file)
}

func (s *Store) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.failed != ""
}

// take puts a good set into use, unless it is the one in use.
func (s *Store) take(m *material) {
	old := s.current()
	same := old != nil && old.sum == m.sum
	s.set.Store(m)
	s.mu.Lock()
	s.mu.failed = ""
	st := &s.mu.status
	st.Subject, st.NotAfter = m.cert.Leaf.Subject.String(), m.cert.Leaf.NotAfter
	if !same {
		st.Loaded = s.cfg.Clock()
	}
	if !same && old != nil {
		st.Reloads++
	}
	s.mu.Unlock()
	if same {
		return
	}
	s.cfg.Logger.Info("certificates in use", "for", s.cfg.Use, "names", NamesOf(m.cert.Leaf), "until",
		m.cert.Leaf.NotAfter.UTC().Format(time.RFC3339), "serial", fmt.Sprintf("%x", m.cert.Leaf.SerialNumber))
	if old != nil {
		s.cfg.OnChange()
	}
}

// refuse keeps the set in use and remembers why.
func (s *Store) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.failed != err.Error() {
		s.mu.failed = err.Error()
		s.mu.status.Failures++
	}
}

// tell logs the troubles when they change, and now and then while they last.
func (s *Store) tell() {
	text, now := "", s.cfg.Clock()
	troubles := s.troubles(now)
	for _, t := range troubles {
		text += t + "\n"
	}
	if text == s.lastTold && (text == "" || now.Sub(s.toldAt) < repeatEvery) {
		return
	}
	s.lastTold, s.toldAt = text, now
	for _, t := range troubles {
		s.cfg.Logger.Error("certificates: "+t, "for", s.cfg.Use)
	}
}

func (s *Store) troubles(now time.Time) []string {
	var out []string
	m := s.current()
	s.mu.Lock()
	failed := s.mu.failed
	s.mu.Unlock()
	if failed != "" {
		out = append(out, "new files cannot be used, the old ones stay in use: "+failed)
	}
	switch end := m.cert.Leaf.NotAfter; {
	case now.After(end):
		out = append(out, "the certificate in use has expired on "+day(end)+"; nobody accepts it any more")
	case end.Sub(now) < endsSoon && s.cfg.Renew == nil:
		out = append(out, "the certificate in use expires on "+day(end)+"; renew it")
	}
	if err := m.revoked(m.cert.Leaf); err != nil {
		out = append(out, "the certificate in use: "+err.Error())
	}
	for _, l := range m.lists {
		if !l.next.IsZero() && now.After(l.next) {
			out = append(out, fmt.Sprintf("the revocation list of %s is out of date since %s; it stays in force, but "+
				"misses what was revoked since", l.issuer.Subject, day(l.next)))
		}
	}
	return append(out, m.warnings...)
}

// Status tells about the set in use and the files.
func (s *Store) Status() Status {
	troubles := s.troubles(s.cfg.Clock())
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.mu.status
	st.Failing = s.mu.failed != ""
	st.Troubles = slices.Clone(troubles)
	return st
}
