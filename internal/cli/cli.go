// Package cli is the command-line client of the HTTP API. Its commands are rows of one
// table (commands.go): a method, a path, the flags that become parameters or fields, and
// the columns of the answer. What the table does not name is reached with `vigilo api`.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The exit codes. A wrong command line is told apart from a call that was refused, so that
// a script can stop at its own mistakes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Group is a first word of the client's commands, for the help of the program.
type Group struct {
	Name    string
	Summary string
}

// Groups returns the first words that Run understands, in the order of the help.
func Groups() []Group {
	return []Group{
		{"me", "show who you are to the API and what you may do"},
		{"hosts", "list, add, scan, import, export, pause, resume and delete hosts"},
		{"certificates", "list certificates"},
		{"alerts", "list and acknowledge alerts"},
		{"alert-rules", "list alert rules"},
		{"webhooks", "list and test webhooks"},
		{"audit", "list and export the audit log"},
		{"events", "list and follow events"},
		{"members", "list members"},
		{"api", "call any endpoint of the API"},
	}
}

// Has reports whether name is the first word of a command of the client.
func Has(name string) bool {
	return slices.ContainsFunc(Groups(), func(g Group) bool { return g.Name == name })
}

// usageError is a command line that cannot be carried out as it was written.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// Run carries out one command and returns the exit code of the process: 0 when it
// succeeded, 1 when the API refused it or could not be reached, 2 when the command line is
// wrong. args starts with the first word, such as hosts; env holds lines NAME=value.
func Run(ctx context.Context, args, env []string, in io.Reader, out, errOut io.Writer) int {
	cmd, rest, code := find(args, out, errOut)
	if cmd == nil {
		return code
	}
	c := &call{ctx: ctx, cmd: *cmd, in: in, out: out, errOut: errOut}
	err := c.parse(rest, env)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err == nil {
		err = c.cmd.run(c)
	}
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "vigilo: %s\nvigilo %s --help shows how it is used.\n", usage.message, c.cmd.name())
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errOut, "vigilo: stopped")
		return exitFailed
	}
	c.printError(err)
	return exitFailed
}

// find returns the command that args begin with, or the exit code after it has printed
// which commands there are.
func find(args []string, out, errOut io.Writer) (cmd *command, rest []string, code int) {
	if len(args) == 0 || !Has(args[0]) {
		fmt.Fprintln(errOut, "vigilo: name a command:")
		listGroups(errOut)
		return nil, nil, exitUsage
	}
	group := args[0]
	var inGroup []command
	for _, c := range commands() {
		switch {
		case c.group != group:
		case c.verb == "":
			return &c, args[1:], exitOK
		case len(args) > 1 && c.verb == args[1]:
			return &c, args[2:], exitOK
		default:
			inGroup = append(inGroup, c)
		}
	}
	if len(args) > 1 && isHelp(args[1]) {
		listCommands(out, group, inGroup)
		return nil, nil, exitOK
	}
	if len(args) > 1 {
		fmt.Fprintf(errOut, "vigilo: there is no command %q of %s\n\n", args[1], group)
	}
	listCommands(errOut, group, inGroup)
	return nil, nil, exitUsage
}

func isHelp(arg string) bool { return slices.Contains([]string{"help", "--help", "-help", "-h"}, arg) }

func listGroups(w io.Writer) {
	for _, g := range Groups() {
		fmt.Fprintf(w, "  %-13s %s\n", g.Name, g.Summary)
	}
}

func listCommands(w io.Writer, group string, cmds []command) {
	fmt.Fprintf(w, "Usage: vigilo %s <command> [flags]\n\nCommands:\n", group)
	for _, c := range cmds {
		fmt.Fprintf(w, "  %-24s %s\n", strings.TrimPrefix(c.name(), group+" ")+c.placeholders(), c.summary)
	}
	fmt.Fprintf(w, "\nvigilo %s <command> --help shows its flags.\n", group)
}
