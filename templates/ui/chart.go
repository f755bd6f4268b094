package ui

import (
	"math"
	"strconv"
	"strings"
)

// Meter is a share in percent. Without Label it is decoration beside the same words.
type Meter struct {
	Percent int
	Tone    Tone
	Label   string
	Wide    bool
}

// Stat is a number that is also a filter.
type Stat struct {
	Label  string
	Value  string
	Detail string
	Href   string
	Tone   Tone
	Icon   string
}

// Bar is one bar. Axis is the text below it, empty for none; Title says its value.
type Bar struct {
	Value int
	Title string
	Axis  string
	Tone  Tone
}

// BarChart draws counts per period. Label says the finding, not the kind of chart.
type BarChart struct {
	Label string
	Bars  []Bar
}

// Point is a point of a series in its own units.
type Point struct{ X, Y float64 }

// Tick is a mark on an axis: a value in the units of the series and its text.
type Tick struct {
	At   float64
	Text string
}

// LineChart draws one series over time, at most 500 points. The axes run from the
// first to the last tick or point, whichever is further. Ideal is a second, dashed
// line, such as a plan. Now is a vertical line; End is a text beside it.
type LineChart struct {
	Label  string
	Series []Point
	Ideal  []Point
	X, Y   []Tick
	Tone   Tone
	Area   bool
	Now    *Tick
}

// UptimeDay is a day with trouble. Index counts from 0, the oldest. Lost is the share
// of the day that was lost, 0 to 1: the bar fills by it, so that ten bad seconds do
// not paint a day red.
type UptimeDay struct {
	Index int
	Lost  float64
	Title string
	Tone  Tone
}

// Uptime is a row of days. Label sums it up.
type Uptime struct {
	Name    string
	Href    string
	Badge   Badge
	Percent string
	Label   string
	Days    int
	Trouble []UptimeDay
	From    string
	To      string
}

// HeatCell is one cell of a matrix. Max marks the worst corner.
type HeatCell struct {
	Text  string
	Href  string
	Label string
	Tone  Tone
	Max   bool
}

// HeatRow is a row of a matrix.
type HeatRow struct {
	Label string
	Cells []HeatCell
}

// Heat is a matrix of counts that link to what they count.
type Heat struct {
	Caption string
	Columns []string
	Rows    []HeatRow
}

// CalendarEvent is something on a day.
type CalendarEvent struct {
	Text string
	Href string
	Tone Tone
}

// CalendarDay is a day of a month. Freeze is the word that stands beside the pattern.
type CalendarDay struct {
	ISO     string
	Day     string
	Today   bool
	Outside bool
	Freeze  string
	Events  []CalendarEvent
	More    *Link
}

// MonthCalendar is a month as a table of weeks.
type MonthCalendar struct {
	Caption  string
	Weekdays []string
	Weeks    [][]CalendarDay
}

// ChartTable is the data of a chart in words and numbers.
type ChartTable struct {
	Caption string
	Head    []string
	Rows    [][]string
}

const (
	barSlot, barWidth    = 30.0, 26.0
	barBase, barMax      = 46.0, 43.3
	barEmpty             = 1.5 // a period without any still shows where it is
	plotWidth, plotTop   = 500.0, 10.0
	plotBase, plotLeft   = 86.0, 30.0
	uptimeSlot, dayWidth = 6.0, 4.0
	uptimeHeight         = 26.0
)

type barShape struct {
	x, y, width, height string
	bar                 Bar
}

func (c BarChart) viewBox() string { return "0 0 " + num(c.width()) + " 62" }

func (c BarChart) width() float64 { return float64(len(c.Bars)) * barSlot }

func (c BarChart) shapes() []barShape {
	most := 1
	for _, b := range c.Bars {
		most = max(most, b.Value)
	}
	out := make([]barShape, len(c.Bars))
	for i, b := range c.Bars {
		h := barEmpty
		if b.Value > 0 {
			h = max(2.5, float64(b.Value)/float64(most)*barMax)
		}
		out[i] = barShape{
			x: num(float64(i)*barSlot + 2), y: num(barBase - h), width: num(barWidth), height: num(h), bar: b,
		}
	}
	return out
}

func barClass(t Tone) string { return class("bar", string(t)) }

// scale maps the units of a chart to its drawing.
type scale struct{ x0, x1, y0, y1 float64 }

func (c LineChart) scale() scale {
	s := scale{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)}
	for _, p := range append(append([]Point{}, c.Series...), c.Ideal...) {
		s.x0, s.x1 = min(s.x0, p.X), max(s.x1, p.X)
		s.y0, s.y1 = min(s.y0, p.Y), max(s.y1, p.Y)
	}
	for _, t := range c.X {
		s.x0, s.x1 = min(s.x0, t.At), max(s.x1, t.At)
	}
	for _, t := range c.Y {
		s.y0, s.y1 = min(s.y0, t.At), max(s.y1, t.At)
	}
	return s
}

func (s scale) x(v float64) string { return num(share(v, s.x0, s.x1) * plotWidth) }

func (s scale) y(v float64) string { return num(plotBase - share(v, s.y0, s.y1)*(plotBase-plotTop)) }

// textY centres a text of 11 px on its line.
func (s scale) textY(v float64) string {
	return num(plotBase - share(v, s.y0, s.y1)*(plotBase-plotTop) + 3.5)
}

// tickX starts a text at its mark, but keeps the last ones inside the drawing.
func (s scale) tickX(v float64) string { return num(min(share(v, s.x0, s.x1)*plotWidth, plotWidth-28)) }

func (s scale) points(series []Point) string {
	var b strings.Builder
	for i, p := range series {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.x(p.X) + "," + s.y(p.Y))
	}
	return b.String()
}

func (s scale) area(series []Point) string {
	if len(series) == 0 {
		return ""
	}
	first, last := s.x(series[0].X), s.x(series[len(series)-1].X)
	return first + "," + num(plotBase) + " " + s.points(series) + " " + last + "," + num(plotBase)
}

func share(v, low, high float64) float64 {
	if high <= low {
		return 0
	}
	return (v - low) / (high - low)
}

func (u Uptime) width() string { return num(float64(u.Days) * uptimeSlot) }

func (u Uptime) viewBox() string { return "0 0 " + u.width() + " " + num(uptimeHeight) }

func (d UptimeDay) x() string { return num(float64(d.Index) * uptimeSlot) }

// height grows with the root of the share, so that minutes of a day can be seen at all.
func (d UptimeDay) height() float64 {
	return min(uptimeHeight, 4+math.Sqrt(max(0, d.Lost))*(uptimeHeight-4))
}

func (d UptimeDay) y() string { return num(uptimeHeight - d.height()) }

func heatClass(c HeatCell) string { return class(string(c.Tone), when(c.Max, "is-max")) }

func dayClass(d CalendarDay) string {
	return class(when(d.Outside, "outside"), when(d.Today, "today"), when(d.Freeze != "", "freeze"))
}

func (m Meter) width() string { return strconv.Itoa(max(0, min(100, m.Percent))) }

// num writes a coordinate with at most one decimal.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
