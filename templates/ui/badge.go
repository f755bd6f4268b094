package ui

// Badge is a state in words.
type Badge struct {
	Text string
	Tone Tone
	Icon string
}

// Grade is a letter from A+ to F. Label replaces "Grade B" for screen readers.
type Grade struct {
	Text  string
	Tone  Tone
	Label string
	Large bool
}

// Person is somebody in a list or a fact. Hue is 1 to 4 and tells people apart; the
// name is always written beside it.
type Person struct {
	Name     string
	Initials string
	Hue      int
	Href     string
}

// Time is a moment, formatted by the caller in the reader's zone. ISO is RFC 3339 in
// UTC. Title is the long form with its zone, shown on hover and to screen readers.
type Time struct {
	ISO   string
	Text  string
	Title string
}

func (g Grade) class() string { return class("grade", when(g.Large, "grade-xl"), string(g.Tone)) }

func (g Grade) label() string {
	if g.Label != "" {
		return g.Label
	}
	return "Grade " + g.Text
}

func avatarClass(small bool, hue int) string {
	switch hue {
	case 2:
		return class("avatar", when(small, "is-sm"), "hue-2")
	case 3:
		return class("avatar", when(small, "is-sm"), "hue-3")
	case 4:
		return class("avatar", when(small, "is-sm"), "hue-4")
	}
	return class("avatar", when(small, "is-sm"))
}
