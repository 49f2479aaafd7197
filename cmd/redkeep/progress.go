package main

import (
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// terminal is standard error if somebody is looking at it, else nil.
func (c *client) terminal() *os.File {
	f, ok := c.err.(*os.File)
	if !ok {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return f
}

// showBar draws a bar on the terminal, if there is one, and returns what ends it. part is the finished
// part, 0 to 1; behind the bar stands what tail says. Both are called from another goroutine.
func (c *client) showBar(name string, part func() float64, tail func() string) (stop func()) {
	terminal := c.terminal()
	if terminal == nil {
		return func() {}
	}
	const steps = 1000
	bars := mpb.New(mpb.WithOutput(terminal), mpb.WithWidth(60))
	bar := bars.AddBar(steps, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name), decor.Percentage(decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return tail() })))
	ended, drawn := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				bar.SetCurrent(min(steps-1, int64(steps*part())))
			case <-ended:
				bar.SetCurrent(steps)
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-drawn
		bars.Wait()
	}
}
