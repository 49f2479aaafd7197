package faults

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The plot has two panels over one time axis: operations answered in each second, and their 99th
// percentile and worst latency on a logarithmic scale. Rounds of faults are shaded.
const (
	plotWidth  = 1100
	panelTop   = 30
	panelSize  = 170
	panelGap   = 40
	plotLeft   = 70
	plotRight  = 20
	worstDrawn = 20 * time.Second
	leastDrawn = 100 * time.Microsecond
)

// plot renders the seconds of a run as SVG.
func plot(title string, seconds []second, spans []span) string {
	var b strings.Builder
	height := panelTop + 2*panelSize + panelGap + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" `+
		`font-size="12"><rect width="100%%" height="100%%" fill="white"/><text x="%d" y="18">%s</text>`+"\n",
		plotWidth, height, plotLeft, title)
	p := plane{total: time.Duration(max(len(seconds), 1)) * time.Second}
	for _, s := range spans {
		p.shade(&b, s)
	}
	p.throughput(&b, seconds)
	p.latency(&b, seconds)
	p.timeAxis(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

// plane maps times to the x axis.
type plane struct{ total time.Duration }

func (p plane) x(at time.Duration) float64 {
	return plotLeft + float64(at)/float64(p.total)*(plotWidth-plotLeft-plotRight)
}

func (p plane) shade(b *strings.Builder, s span) {
	fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f3d9d9"><title>%s</title></rect>`+"\n",
		p.x(s.from), panelTop, math.Max(p.x(s.till)-p.x(s.from), 0.5), 2*panelSize+panelGap, s.name)
}

// line draws one value per second; values are heights above the foot of a panel, from 0 to 1.
func (p plane) line(b *strings.Builder, foot int, color string, values []float64) {
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1" points="`, color)
	for i, v := range values {
		at := time.Duration(i)*time.Second + time.Second/2
		fmt.Fprintf(b, "%.1f,%.1f ", p.x(at), float64(foot)-v*panelSize)
	}
	b.WriteString(`"/>` + "\n")
}

func (p plane) mark(b *strings.Builder, foot int, height float64, text string) {
	y := float64(foot) - height*panelSize
	fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" `+
		`text-anchor="end">%s</text>`+"\n", plotLeft, plotWidth-plotRight, y, y, plotLeft-6, y+4, text)
}

func (p plane) throughput(b *strings.Builder, seconds []second) {
	foot, top := panelTop+panelSize, 1
	for _, s := range seconds {
		top = max(top, s.answered)
	}
	values := make([]float64, len(seconds))
	for i, s := range seconds {
		values[i] = float64(s.answered) / float64(top)
	}
	p.mark(b, foot, 0, "0")
	p.mark(b, foot, 1, fmt.Sprintf("%d/s", top))
	p.line(b, foot, "#1f5fa8", values)
}

func (p plane) latency(b *strings.Builder, seconds []second) {
	foot := panelTop + 2*panelSize + panelGap
	for d := leastDrawn; d <= worstDrawn; d *= 10 {
		p.mark(b, foot, logHeight(d), d.String())
	}
	p99, worst := make([]float64, len(seconds)), make([]float64, len(seconds))
	for i, s := range seconds {
		p99[i], worst[i] = logHeight(s.quantile(0.99)), logHeight(s.worst)
	}
	p.line(b, foot, "#c98b8b", worst)
	p.line(b, foot, "#1f5fa8", p99)
}

// logHeight places a latency between the least and the worst that are drawn.
func logHeight(d time.Duration) float64 {
	d = min(max(d, leastDrawn), worstDrawn)
	return math.Log(float64(d)/float64(leastDrawn)) / math.Log(float64(worstDrawn)/float64(leastDrawn))
}

func (p plane) timeAxis(b *strings.Builder) {
	y := panelTop + 2*panelSize + panelGap + 18
	for i := range 7 {
		at := p.total * time.Duration(i) / 6
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%v</text>`+"\n", p.x(at), y,
			at.Round(time.Second))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">operations answered a second (above); latency, 99th percentile in `+
		`blue, worst in red (below); rounds of faults are shaded</text>`+"\n", plotLeft, y+18)
}
