package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// byteProgress is a bar for work on many bytes: on a terminal only, and only once the work has lasted a
// moment.
type byteProgress struct {
	total    int64
	what     string
	began    time.Time
	terminal *os.File
	bars     *mpb.Progress
	bar      *mpb.Bar
}

const progressAfter = time.Second

// progress begins to measure. The owner calls end.
func (c *client) progress(what string, total int64) *byteProgress {
	return &byteProgress{what: what, total: total, began: time.Now(), terminal: c.terminal()}
}

// reader counts what is read from in. It returns an error once ctx is done.
func (p *byteProgress) reader(ctx context.Context, in io.Reader) io.Reader {
	return readTo{ctx: ctx, in: in, add: p.add}
}

func (p *byteProgress) add(n int) {
	if p.terminal == nil {
		return
	}
	if p.bar == nil {
		if time.Since(p.began) < progressAfter {
			p.total -= int64(n) // the bar shows what is left when it appears
			return
		}
		p.bars = mpb.New(mpb.WithOutput(p.terminal), mpb.WithWidth(60))
		p.bar = p.bars.AddBar(p.total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(p.what), decor.Percentage(decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Name("  "),
				decor.AverageETA(decor.ET_STYLE_GO)))
	}
	p.bar.IncrBy(n)
}

func (p *byteProgress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
