package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/raftfsm"
)

// Two questions, as etcd asks them. /livez: should this process be restarted? It needs no quorum:
// restarting a healthy node because two others are away only makes things worse. /readyz: should clients be
// sent here? Each is a list of named checks; a check can be asked alone (/readyz/leader), left out
// (?exclude=leader) and shown (?verbose). 200 iff every check passed, else 503 with the names of those that
// failed.

const (
	quorumWait  = time.Second
	applyStall  = 30 * time.Second // without progress while there is something to apply
	readableLag = 5000             // log entries
)

// check is one named question; nil is good.
type check struct {
	name string
	ask  func(context.Context) error
}

// prober is what the checks look at.
type prober struct {
	engine   *raftfsm.Engine
	progress atomic.Pointer[progress]
}

// progress is the applied index and when it was first seen there.
type progress struct {
	applied uint64
	since   time.Time
}

func (p *prober) liveChecks() []check {
	return []check{{"process", func(context.Context) error { return nil }}, {"apply", p.applying}}
}

func (p *prober) readyChecks() []check {
	return []check{{"leader", p.leader}, {"applied", p.applied}, {"disk", p.disk}, {"hung_disk", p.hungDisk},
		{"data_corruption", p.corruption}, {"quorum", p.quorum}}
}

// applying fails when committed entries wait and none has been applied for applyStall.
func (p *prober) applying(context.Context) error {
	st := p.engine.Status()
	last := p.progress.Load()
	if last == nil || last.applied != uint64(st.AppliedIndex) || st.AppliedIndex >= st.CommitIndex {
		p.progress.Store(&progress{applied: uint64(st.AppliedIndex), since: time.Now()})
		return nil
	}
	if stuck := time.Since(last.since); stuck > applyStall {
		return fmt.Errorf("entry %d of %d has not been applied for %v", st.AppliedIndex+1, st.CommitIndex, stuck)
	}
	return nil
}

func (p *prober) leader(context.Context) error {
	if !p.engine.Status().HasLeader {
		return errors.New("no leader is known")
	}
	return nil
}

func (p *prober) applied(context.Context) error {
	select {
	case <-p.engine.Ready():
	default:
		return errors.New("the log is still being replayed")
	}
	if st := p.engine.Status(); st.CommitIndex > st.AppliedIndex+readableLag {
		return fmt.Errorf("%d committed entries are not applied", st.CommitIndex-st.AppliedIndex)
	}
	return nil
}

// disk does not ask about the memory quota: a node over it still serves reads and deletes.
func (p *prober) disk(context.Context) error {
	if err := p.engine.AcceptsWrites(); errors.Is(err, raftfsm.ErrDiskFull) {
		return err
	}
	return nil
}

// hungDisk asks about this member alone.
func (p *prober) hungDisk(context.Context) error {
	self := p.engine.Status().MemberID
	for _, a := range p.engine.Alarms() {
		if a.Kind == raftfsm.AlarmHungDisk && a.Member == self {
			return errors.New(a.Detail)
		}
	}
	return nil
}

// corruption fails while this node serves nothing because its state differs from the other members'.
func (p *prober) corruption(context.Context) error { return p.engine.Fenced() }

// quorum makes the round that every linearizable read makes.
func (p *prober) quorum(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quorumWait)
	defer cancel()
	round := p.engine.Barrier()
	select {
	case <-round.Done():
		return round.Err()
	case <-ctx.Done():
		return fmt.Errorf("no read barrier within %v", quorumWait)
	}
}

// serveChecks answers /path and /path/<name>.
func serveChecks(mux *http.ServeMux, path string, checks []check) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		answerChecks(w, r, slices.DeleteFunc(slices.Clone(checks), func(c check) bool {
			return slices.Contains(excluded, c.name)
		}))
	})
	for _, c := range checks {
		mux.HandleFunc("GET "+path+"/"+c.name, func(w http.ResponseWriter, r *http.Request) {
			answerChecks(w, r, []check{c})
		})
	}
}

func answerChecks(w http.ResponseWriter, r *http.Request, checks []check) {
	var all, failed strings.Builder
	for _, c := range checks {
		if err := c.ask(r.Context()); err != nil {
			fmt.Fprintf(&failed, "[-]%s failed: %v\n", c.name, err)
			fmt.Fprintf(&all, "[-]%s failed: %v\n", c.name, err)
		} else {
			fmt.Fprintf(&all, "[+]%s ok\n", c.name)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	body := "ok\n"
	if failed.Len() > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		body = failed.String()
	}
	if r.URL.Query().Has("verbose") {
		body = all.String()
	}
	_, _ = io.WriteString(w, body)
}
