package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
	repeatNotice = 30 * time.Second
)

// patience is how long a store that does not answer is tried again, and what the user is told meanwhile:
// once when it begins, again when the reason changes or half a minute has passed, and when it is over.
type patience struct {
	who    string        // "the destination"
	limit  time.Duration // 0: for ever
	notice func(string)

	since, told time.Time
	text        string
	pause       time.Duration
}

// again waits before the next try. It returns err, with what it means, when there shall be none.
func (p *patience) again(ctx context.Context, err error) error {
	now := time.Now()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !passes(err) {
		return err
	}
	if p.since.IsZero() {
		p.since, p.pause, p.text = now, firstPause, ""
	}
	if p.limit > 0 && now.Sub(p.since) > p.limit {
		return fmt.Errorf("%s took no requests for %v: %w", p.who, p.limit, err)
	}
	if errors.Is(err, errMoved) {
		p.told = now // we are looking whether it was us
	}
	if text := err.Error(); text != p.text && now.Sub(p.told) > longestPause || now.Sub(p.told) > repeatNotice {
		p.text, p.told = text, now
		p.notice(fmt.Sprintf("%s: %s; trying again", p.who, text))
	}
	timer := time.NewTimer(p.pause)
	defer timer.Stop()
	p.pause = min(2*p.pause, longestPause)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// over ends the waiting: the store answers.
func (p *patience) over() {
	if p.since.IsZero() {
		return
	}
	if p.text != "" {
		p.notice(fmt.Sprintf("%s takes requests again after %v", p.who,
			time.Since(p.since).Round(100*time.Millisecond)))
	}
	p.since = time.Time{}
}
