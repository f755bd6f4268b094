package ui

import "strconv"

// PageHead is the head of a page: title, state, one line, and actions as children.
type PageHead struct {
	Title string
	Key   string
	Lede  string
	Badge *Badge
	// Printed is the line that only paper shows: workspace, who, when, zone, version.
	Printed string
}

// Card is a titled box. ID must be unique on the page; the title labels the section.
type Card struct {
	ID    string
	Title string
	Aside string
	Link  *Link
	// Flush leaves out the padding, for rows, findings and tables.
	Flush bool
}

// Fact is one line of a definition list. The first of Badge, Person, Time, Copy, Href
// that is set decides how Text is drawn.
type Fact struct {
	Label  string
	Text   string
	Sub    string
	Href   string
	Mono   bool
	Badge  *Badge
	Person *Person
	Time   *Time
	Copy   string // label of the copy button, such as "Copy serial number"
}

// Tabs are links to the parts of a record, or to saved views.
type Tabs struct {
	Label string
	Items []Tab
}

// Tab is one of them. Count is written after the text.
type Tab struct {
	Text    string
	Href    string
	Icon    string
	Count   string
	Current bool
}

// Notice is the one thing on a page that needs attention, with its action.
type Notice struct {
	Title  string
	Text   string
	Tone   Tone
	Icon   string
	Action *Link
	// Alert announces the notice at once. Use it for answers to an act only.
	Alert bool
}

// Empty says what is missing, why, and what to do about it.
type Empty struct {
	Icon    string
	Title   string
	Text    string
	Actions []LinkButton
}

// Row is a record in a card.
type Row struct {
	Icon  string
	Tone  Tone
	Key   string
	Title string
	Href  string
	Sub   string
	Aside string
	Badge *Badge
}

// Finding is one sentence of fact, one of consequence, one action.
type Finding struct {
	Tone   Tone
	Icon   string
	Title  string
	Text   string
	Action *Link
}

// Check is a line of a checklist. State is said in words for screen readers.
type Check struct {
	Text  string
	Done  bool
	State string
}

// Step is one phase of a record's life.
type Step struct {
	Text    string
	Done    bool
	Current bool
}

// Entry is one event of a timeline. Who acted is Person; without one, Icon is drawn.
// Comment is what they wrote, already sanitised.
type Entry struct {
	Person  *Person
	Icon    string
	Tone    Tone
	Actor   string
	Text    string
	Time    Time
	Comment HTML
	Changes []Change
}

// PersonState is a person with a part and a state, such as an approver.
type PersonState struct {
	Person Person
	Sub    string
	Badge  *Badge
}

// ChainLink is one certificate of a chain, leaf first.
type ChainLink struct {
	Icon  string
	Title string
	Sub   string
	Badge *Badge
	Href  string
}

// Change is one field with its old and new value. Empty values are shown as "not set".
type Change struct {
	Field string
	From  string
	To    string
}

// Diff lists changes. The heads default to "Before" and "After".
type Diff struct {
	FromHead string
	ToHead   string
	Changes  []Change
}

// Score is one part of a report card, from 0 to 100.
type Score struct {
	Label string
	Value int
	Tone  Tone
}

// Report is a grade with the scores that lead to it.
type Report struct {
	Grade  Grade
	Since  string
	Scores []Score
}

// Protocol is one line in the small grid of a report.
type Protocol struct {
	Name  string
	State string
	Tone  Tone
	Icon  string
}

// Progress is work under way: what, how far in words, and in percent.
type Progress struct {
	Title   string
	Detail  string
	Percent int
	Tone    Tone
}

func stepNumber(i int) string { return strconv.Itoa(i + 1) }

func stepClass(s Step) string { return when(s.Done, "is-done") }

func (c Check) icon() (name string, tone Tone) {
	if c.Done {
		return "circle-check", OK
	}
	return "circle-dashed", Mute
}

func (c Check) state() string {
	switch {
	case c.State != "":
		return c.State
	case c.Done:
		return "done"
	}
	return "open"
}

func (n Notice) icon() string {
	switch {
	case n.Icon != "":
		return n.Icon
	case n.Tone == OK, n.Tone == Fine:
		return "circle-check"
	case n.Tone == Warn:
		return "triangle-alert"
	case n.Tone == Crit:
		return "circle-alert"
	}
	return "info"
}

func (n Notice) role() string {
	if n.Alert {
		return "alert"
	}
	return "note"
}

func (f Finding) icon() string {
	if f.Icon != "" {
		return f.Icon
	}
	switch f.Tone {
	case Crit:
		return "circle-x"
	case Warn:
		return "triangle-alert"
	case OK, Fine:
		return "circle-check"
	}
	return "info"
}

func (d Diff) heads() (from, to string) {
	from, to = d.FromHead, d.ToHead
	if from == "" {
		from = "Before"
	}
	if to == "" {
		to = "After"
	}
	return from, to
}

func outOf100(v int) string { return strconv.Itoa(v) + " of 100" }

func percent(v int) string { return strconv.Itoa(v) + " percent" }
