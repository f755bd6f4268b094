package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is the type of a value on the command line.
type kind string

const (
	text   kind = "text"
	number kind = "number"
	words  kind = "words" // a list, separated by commas
	isTrue kind = "yes"   // a flag without a value
)

// option is a flag that becomes a query parameter or a field of the body.
type option struct {
	flag string
	name string // of the parameter or field; the flag with underscores when empty
	kind kind
	help string
}

func (o option) key() string {
	if o.name != "" {
		return o.name
	}
	return strings.ReplaceAll(o.flag, "-", "_")
}

// column is a column of a table: the heading and where its value stands in an item, as
// names joined by dots.
type column struct{ head, path string }

// command is one row of the table of commands.
type command struct {
	group   string
	verb    string   // empty for a group that is a command by itself
	args    []string // arguments; one that the path does not name is a field of the body
	summary string
	about   string // more for the help of the command
	method  string
	path    string
	query   []option
	fields  []option
	body    map[string]any // fields that are always sent
	columns []column       // makes the answer a list, drawn as a table
	// done is printed when the answer has no content.
	done string
	// must is a field of the answer that has to be true; otherwise the command fails with
	// the sentence of mustText.
	must, mustText string
	// loses asks for --yes, because what it takes away does not come back.
	loses bool
	// extra adds flags that change how the command works and not what it asks for.
	extra func(fs *flag.FlagSet, x *extras)
	// special replaces the ordinary course: send, show.
	special func(c *call) error
}

// extras are the flags of commands that need more than one request or a file.
type extras struct {
	limit       int
	all         bool
	yes         bool
	wait        bool
	timeout     time.Duration
	follow      bool
	interval    time.Duration
	output      string
	data        string
	contentType string
	ifMatch     string
	repeatKey   string
}

func (c command) name() string { return strings.TrimSpace(c.group + " " + c.verb) }

func (c command) placeholders() string {
	var b strings.Builder
	for _, a := range c.args {
		b.WriteString(" <" + a + ">")
	}
	return b.String()
}

func (c command) run(call *call) error {
	if c.special != nil {
		return c.special(call)
	}
	if c.columns != nil {
		return list(call)
	}
	return send(call)
}

// call is a command with the values of one command line.
type call struct {
	ctx    context.Context
	cmd    command
	args   map[string]string
	query  url.Values
	body   map[string]any
	x      extras
	json   bool
	client *client
	in     io.Reader
	out    io.Writer
	errOut io.Writer
}

// parse reads flags and arguments, in any order, and finds out which Vigilo to call.
func (c *call) parse(args, env []string) error {
	fs := flag.NewFlagSet(c.cmd.name(), flag.ContinueOnError)
	fs.SetOutput(io.Discard) // every message is printed once, by Run
	var s settings
	s.register(fs)
	fs.BoolVar(&c.json, "json", false, "print JSON for programs instead of text for people")
	values := map[option]*value{}
	for _, o := range slices.Concat(c.cmd.query, c.cmd.fields) {
		values[o] = &value{kind: o.kind}
		fs.Var(values[o], o.flag, o.help)
	}
	if c.cmd.columns != nil {
		fs.IntVar(&c.x.limit, "limit", defaultLimit, "how many `items` at most")
		fs.BoolVar(&c.x.all, "all", false, "every item, however many pages it takes")
	}
	if c.cmd.loses {
		fs.BoolVar(&c.x.yes, "yes", false, "do it; what is deleted does not come back")
	}
	if c.cmd.extra != nil {
		c.cmd.extra(fs, &c.x)
	}
	positional, err := parseInterspersed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		c.help(fs)
		return err
	}
	if err != nil {
		return usagef("%s", strings.ReplaceAll(err.Error(), "flag provided but not defined", "there is no flag"))
	}
	if err := c.place(positional, values); err != nil {
		return err
	}
	if c.cmd.columns != nil && c.x.limit < 1 {
		return usagef("--limit must be 1 or more")
	}
	if c.cmd.loses && !c.x.yes {
		return usagef("%s cannot be undone; add --yes to do it", c.cmd.name())
	}
	c.client, err = s.connect(env)
	return err
}

// place puts arguments and flags where the request carries them.
func (c *call) place(positional []string, values map[option]*value) error {
	if len(positional) != len(c.cmd.args) {
		return usagef("%s takes %s, got %d", c.cmd.name(), countArgs(c.cmd), len(positional))
	}
	c.args, c.query, c.body = map[string]string{}, url.Values{}, map[string]any{}
	for name, v := range c.cmd.body {
		c.body[name] = v
	}
	for i, name := range c.cmd.args {
		if positional[i] == "" {
			return usagef("<%s> must not be empty", name)
		}
		c.args[name] = positional[i]
		if c.cmd.special == nil && !strings.Contains(c.cmd.path, "{"+name+"}") {
			c.body[name] = positional[i]
		}
	}
	for _, o := range c.cmd.query {
		if v := values[o]; v.set {
			c.query.Set(o.key(), v.String())
		}
	}
	for _, o := range c.cmd.fields {
		if v := values[o]; v.set {
			c.body[o.key()] = v.decoded()
		}
	}
	return nil
}

func countArgs(c command) string {
	switch len(c.args) {
	case 0:
		return "no argument"
	case 1:
		return "one argument," + c.placeholders()
	}
	return strconv.Itoa(len(c.args)) + " arguments," + c.placeholders()
}

// parseInterspersed reads flags before, between and after arguments; after -- everything
// is an argument.
func parseInterspersed(fs *flag.FlagSet, args []string) ([]string, error) {
	var literal []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, literal = args[:i], args[i+1:]
	}
	var positional []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return append(positional, literal...), nil
		}
		positional, args = append(positional, fs.Arg(0)), fs.Args()[1:]
	}
}

func (c *call) help(fs *flag.FlagSet) {
	fmt.Fprintf(c.out, "Usage: vigilo %s%s [flags]\n\n%s.\n", c.cmd.name(), c.cmd.placeholders(), upperFirst(c.cmd.summary))
	if c.cmd.about != "" {
		fmt.Fprintf(c.out, "%s\n", c.cmd.about)
	}
	fmt.Fprint(c.out, "\nFlags:\n")
	fs.SetOutput(c.out)
	fs.PrintDefaults()
	fmt.Fprintf(c.out, "\nInstead of flags: %s, %s and %s.\nA server with a certificate of your own CA is trusted when SSL_CERT_FILE names a file with its root.\n",
		EnvURL, EnvWorkspace, EnvToken)
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// value is a flag that remembers whether it was given.
type value struct {
	kind kind
	text string
	set  bool
}

func (v *value) String() string { return v.text }

// Set implements flag.Value.
func (v *value) Set(s string) error {
	switch v.kind {
	case number:
		if _, err := strconv.Atoi(s); err != nil {
			return fmt.Errorf("must be a whole number")
		}
	case isTrue:
		if _, err := strconv.ParseBool(s); err != nil {
			return fmt.Errorf("must be true or false")
		}
	case text, words:
	}
	v.text, v.set = s, true
	return nil
}

// IsBoolFlag lets the flag stand without a value.
func (v *value) IsBoolFlag() bool { return v.kind == isTrue }

// decoded returns the value as it stands in a JSON body.
func (v *value) decoded() any {
	switch v.kind {
	case number:
		n, _ := strconv.Atoi(v.text) // Set has refused anything else
		return n
	case isTrue:
		b, _ := strconv.ParseBool(v.text)
		return b
	case words:
		out := []string{}
		for _, w := range strings.Split(v.text, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
		return out
	case text:
	}
	return v.text
}
