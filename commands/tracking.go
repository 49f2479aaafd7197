package commands

import (
	"slices"
	"strings"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

// CLIENT TRACKING: the keys that a client reads are noted before they are read, and it is told when they
// change (pubsub/tracking.go). What waits in the connection's queue when a run of reads begins is put before
// their replies and what comes afterwards behind them, so the news that a value is stale never overtakes it.

var trackingSubs = []Command{
	{Name: "tracking", Arity: -3, Flags: clientFlags, Since: "6.0.0",
		Complexity: "O(1). Some options may introduce additional complexity.",
		Summary:    "Controls server-assisted client-side caching for the connection.",
		Args: args(argOnOff("status"), argInteger("client-id").after("REDIRECT").opt(),
			argString("prefix").after("PREFIX").opt().many(), argToken("BCAST").opt(), argToken("OPTIN").opt(),
			argToken("OPTOUT").opt(), argToken("NOLOOP").opt()), session: clientTracking,
		also: reachTracking},
	{Name: "caching", Arity: 3, Flags: clientFlags, Since: "6.0.0", Complexity: "O(1)",
		Summary: "Instructs the server whether to track the keys in the next request.",
		Args:    args(argOneOf("mode", argToken("YES"), argToken("NO"))), session: clientCaching},
	{Name: "trackinginfo", Arity: 2, Flags: clientFlags, Since: "6.2.0", Complexity: "O(1)",
		Summary: "Returns information about server-assisted client-side caching for the connection.",
		session: clientTrackingInfo},
	{Name: "getredir", Arity: 2, Flags: clientFlags, Since: "6.0.0", Complexity: "O(1)",
		Summary: "Returns the client ID to which the connection's tracking notifications are redirected.",
		session: clientGetRedir},
}

// invalidateChannel is where RESP2 clients are told through another connection.
const invalidateChannel = "__redis__:invalidate"

// tracks is a connection's tracking.
type tracks struct {
	client   *pubsub.Tracking // nil: off
	options  trackingOptions
	target   *session // of REDIRECT
	caching  cachingMode
	fresh    bool // caching was set by the command being served
	prefixes []string
}

// cachingMode is what CLIENT CACHING said for the next command.
type cachingMode uint8

const (
	cachingDefault cachingMode = iota
	cachingYes
	cachingNo
)

func (t *tracks) on() bool { return t.client != nil }

// wants reports whether the keys of a read are to be noted.
func (t *tracks) wants() bool {
	switch {
	case t.client == nil || t.options.bcast:
		return false
	case t.options.optIn:
		return t.caching == cachingYes
	default:
		return t.caching != cachingNo
	}
}

// served ends what CLIENT CACHING said, unless it is what was served.
func (t *tracks) served() {
	if !t.fresh {
		t.caching = cachingDefault
	}
	t.fresh = false
}

func (s *session) stopTracking(d *Dispatcher) {
	if s.tracks.client != nil {
		d.hub.Tracker().Stop(s.tracks.client)
		s.unstakeAll(listTracking)
	}
	s.tracks = tracks{}
	s.shownRedirect.Store(0)
}

// trackAll notes the keys that a run of reads is about to read.
func (s *session) trackAll(conn *resp.Conn) {
	conn.Deliver()
	for i := range s.run.items {
		if it := &s.run.items[i]; it.track && !it.decided {
			s.note(it.row, it.args)
		}
	}
}

// trackOne is trackAll for one read.
func (s *session) trackOne(conn *resp.Conn, row *Command, args [][]byte) {
	if s.tracks.wants() {
		conn.Deliver()
		s.note(row, args)
	}
}

// trackBlock is trackAll for the reads between MULTI and EXEC.
func (s *session) trackBlock(conn *resp.Conn) {
	if s.tx.block == nil {
		return
	}
	conn.Deliver()
	for i := range s.tx.block.queued {
		if q := &s.tx.block.queued[i]; q.row.Kind == KindRead {
			s.note(q.row, q.args)
		}
	}
}

// served ends what CLIENT CACHING said for one command, or for all up to EXEC.
func (s *session) served() {
	s.endStream()
	if !s.tx.open {
		s.tracks.served()
	}
}

func (s *session) note(row *Command, args [][]byte) {
	for _, i := range row.keys(args) {
		s.call.d.hub.Tracker().Read(s.tracks.client, alias(args[i]))
	}
}

// trackingOptions is a parsed CLIENT TRACKING.
type trackingOptions struct {
	on, bcast, optIn, optOut, noLoop bool
	redirect                         int64
	target                           *session // whom redirect names
	prefixes                         []string
}

func parseTracking(c *call) (o trackingOptions, err error) {
	for w := c.options(3); w.more(); {
		option := w.next()
		switch {
		case is(option, "BCAST"):
			o.bcast = true
		case is(option, "OPTIN"):
			o.optIn = true
		case is(option, "OPTOUT"):
			o.optOut = true
		case is(option, "NOLOOP"):
			o.noLoop = true
		case is(option, "PREFIX") && w.more():
			o.prefixes = append(o.prefixes, string(w.next()))
		case is(option, "REDIRECT") && w.more():
			if o.redirect != 0 {
				return o, errRedirectTwice
			}
			if o.redirect, err = integer(w.next()); err != nil {
				return o, err
			}
			if o.target = c.d.sessionOf(o.redirect); o.target == nil {
				return o, errRedirectID
			}
		default:
			return o, errSyntax
		}
	}
	o.on, err = onOff(c.args[2])
	return o, err
}

// sessionOf finds an open connection that has sent a command.
func (d *Dispatcher) sessionOf(id int64) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.sessions[uint64(id)]
}

// check refuses options that contradict each other or what is on already.
func (o *trackingOptions) check(t *tracks) error {
	old := &t.options
	switch {
	case len(o.prefixes) > 0 && !o.bcast:
		return errNoBcast
	case t.on() && old.bcast != o.bcast:
		return errSwitchBcast
	case o.bcast && (o.optIn || o.optOut):
		return errBcastOpt
	case o.optIn && o.optOut:
		return errOptinOptout
	case o.optIn && old.optOut || o.optOut && old.optIn:
		return errSwitchOpt
	}
	return checkPrefixes(o.prefixes, t.prefixes)
}

func checkPrefixes(given, existing []string) error {
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	for i, p := range given {
		for _, e := range existing {
			if overlap(p, e) {
				return errPrefixOverlap(p, e, "an existing")
			}
		}
		for _, e := range given[i+1:] {
			if overlap(p, e) {
				return errPrefixOverlap(p, e, "another provided")
			}
		}
	}
	return nil
}

func clientTracking(c *call, s *session) (resp.Value, error) {
	o, err := parseTracking(c)
	if err != nil {
		return resp.Value{}, err
	}
	if !o.on {
		s.stopTracking(c.d)
		return resp.OK(), nil
	}
	if err := o.check(&s.tracks); err != nil {
		return resp.Value{}, err
	}
	s.startTracking(c.d, o)
	return resp.OK(), nil
}

// startTracking begins tracking, or goes on with other options. Keys noted before stay so until they change.
func (s *session) startTracking(d *Dispatcher, o trackingOptions) {
	t := &s.tracks
	prefixes := append(slices.Clone(t.prefixes), o.prefixes...)
	if o.bcast && len(prefixes) == 0 {
		prefixes = []string{""}
	}
	slices.Sort(prefixes)
	s.open(d)
	target := s
	if o.redirect != 0 {
		target = o.target
		target.open(d)
	}
	options := pubsub.TrackingOptions{NoLoop: o.noLoop, Prefixes: prefixes, Tell: s.invalidator(target)}
	client, tracker := t.client, d.hub.Tracker()
	if client != nil {
		tracker.Change(client, options)
	} else {
		client = &pubsub.Tracking{ID: s.id, TrackingOptions: options}
		tracker.Start(client)
	}
	*t = tracks{client: client, options: o, prefixes: prefixes, target: target}
	s.shownRedirect.Store(o.redirect + 1)
	s.unstakeAll(listTracking)
	for _, prefix := range prefixes {
		s.stake(d, claim{kind: listTracking, span: mvcc.PrefixSpan(prefix)})
	}
}

// invalidator returns the function that tells target about keys that s has read. It runs on any goroutine.
func (s *session) invalidator(target *session) pubsub.Invalidated {
	return func(keys []string) {
		k := target.sink.Load()
		switch {
		case target != s && target.ended.Load():
			if own := s.sink.Load(); own != nil && own.Proto() >= 3 {
				b := resp.AppendBulk(resp.AppendPush(nil, 3, 2), "tracking-redir-broken")
				own.Post(resp.AppendInt(b, int64(target.id)))
			}
		case k == nil:
		case k.Proto() >= 3:
			k.Post(appendKeys(resp.AppendBulk(resp.AppendPush(nil, 3, 2), "invalidate"), 3, keys))
		case target != s && target.shownSubscribed():
			b := resp.AppendBulk(resp.AppendPush(nil, 2, 3), "message")
			k.Post(appendKeys(resp.AppendBulk(b, invalidateChannel), 2, keys))
		}
	}
}

// appendKeys appends a list of keys, or null for all of them.
func appendKeys(b []byte, proto int, keys []string) []byte {
	if keys == nil {
		return resp.AppendNull(b, proto)
	}
	b = resp.AppendArray(b, len(keys))
	for _, key := range keys {
		b = resp.AppendBulk(b, key)
	}
	return b
}

func clientCaching(c *call, s *session) (resp.Value, error) {
	t := &s.tracks
	if !t.on() || !t.options.optIn && !t.options.optOut {
		return resp.Value{}, errCaching
	}
	yes, err := yesNo(c.args[2])
	switch {
	case err != nil:
		return resp.Value{}, err
	case yes && !t.options.optIn:
		return resp.Value{}, errCachingYes
	case !yes && !t.options.optOut:
		return resp.Value{}, errCachingNo
	case yes:
		t.caching = cachingYes
	default:
		t.caching = cachingNo
	}
	t.fresh = true
	return resp.OK(), nil
}

// redirects is the client id that news go to: 0 the client itself, -1 tracking is off.
func (t *tracks) redirects() int64 {
	if !t.on() {
		return -1
	}
	return t.options.redirect
}

func clientGetRedir(_ *call, s *session) (resp.Value, error) {
	return resp.Int(s.tracks.redirects()), nil
}

func clientTrackingInfo(_ *call, s *session) (resp.Value, error) {
	t := &s.tracks
	flags := []resp.Value{}
	add := func(yes bool, name string) {
		if yes {
			flags = append(flags, resp.Bulk(name))
		}
	}
	add(!t.on(), "off")
	add(t.on(), "on")
	add(t.options.bcast, "bcast")
	add(t.options.optIn, "optin")
	add(t.caching == cachingYes, "caching-yes")
	add(t.options.optOut, "optout")
	add(t.caching == cachingNo, "caching-no")
	add(t.options.noLoop, "noloop")
	add(t.target != nil && t.target.ended.Load(), "broken_redirect")
	prefixes := []resp.Value{}
	for _, p := range t.prefixes {
		prefixes = append(prefixes, resp.Bulk(p))
	}
	return resp.Map(resp.Bulk("flags"), resp.Set(flags...), resp.Bulk("redirect"), resp.Int(t.redirects()),
		resp.Bulk("prefixes"), resp.ArrayOf(prefixes)), nil
}
