// Package ui holds the components that every page is built from. A component takes
// ready values: text, links, tones and preformatted times. It knows no rights, no
// clock and no database, and writes no inline style or script.
package ui

import "context"

// Tone is the class that recolours a component. Colour only repeats what the words say.
type Tone string

// The tones. Fine is good news that should stay quiet; the zero value is neutral.
const (
	OK   Tone = "is-ok"
	Warn Tone = "is-warn"
	Crit Tone = "is-crit"
	Info Tone = "is-info"
	Note Tone = "is-note"
	Mute Tone = "is-mute"
	Fine Tone = "is-fine"
)

// Link is a text that leads somewhere. Icon is optional.
type Link struct {
	Text string
	Href string
	Icon string
}

// HTML is markup that has been sanitised already. Only the code that runs the
// sanitiser may convert a string to it; Markdown is its only reader.
type HTML string

// Assets are the addresses of the files that pages ask for, with their hashes.
type Assets struct {
	Stylesheet string
	Script     string
	Htmx       string
	Icons      string
	Mark       string
	Font       string
}

type assetsKey struct{}

// WithAssets returns a context in which components find the sprite of icons.
func WithAssets(ctx context.Context, a Assets) context.Context {
	return context.WithValue(ctx, assetsKey{}, a)
}

// AssetsFrom returns the addresses in ctx. Without any it returns plain names, which
// the server answers too, so that a fragment never loses its icons.
func AssetsFrom(ctx context.Context) Assets {
	if a, ok := ctx.Value(assetsKey{}).(Assets); ok {
		return a
	}
	return Assets{
		Stylesheet: "/static/app.css",
		Script:     "/static/app.js",
		Htmx:       "/static/htmx.js",
		Icons:      "/static/icons.svg",
		Mark:       "/static/mark.svg",
		Font:       "/static/inter-latin.woff2",
	}
}

// class joins the parts of a class attribute and leaves out the empty ones. Rows of
// tables call it often; a concatenation is several times faster than templ's own lists.
func class(base string, more ...string) string {
	for _, m := range more {
		if m != "" {
			base += " " + m
		}
	}
	return base
}

func when(cond bool, class string) string {
	if cond {
		return class
	}
	return ""
}
