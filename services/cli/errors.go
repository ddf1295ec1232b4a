package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// usageError is a command used wrongly.
type usageError struct {
	error
	hint string
}

func (e usageError) Unwrap() error { return e.error }

// wrongly makes the error of a command used wrongly; hint says what to do and may be empty.
func wrongly(hint, format string, args ...any) error {
	return usageError{error: fmt.Errorf(format, args...), hint: hint}
}

// WrongUse marks an error of Up or Worker as a command used wrongly: exit code 2.
func WrongUse(err error) error { return usageError{error: err} }

// failure is an error with what to do about it.
type failure struct {
	error
	hint string
}

func (e failure) Unwrap() error { return e.error }

func failed(hint, format string, args ...any) error {
	return failure{error: fmt.Errorf(format, args...), hint: hint}
}

// silent is an error of which everything was said already.
type silent struct{ error }

// fail tells a person what went wrong, where and what to do, and returns the exit code.
func (a *app) fail(root *cobra.Command, err error) int {
	err = unknownCommand(root, err)
	var said silent
	if errors.As(err, &said) {
		return ExitFailed
	}
	what, more := explain(err)
	fmt.Fprintf(a.Err, "%s %s\n", a.style(a.Err).Bad("error:"), what)
	for _, line := range more {
		fmt.Fprintf(a.Err, "  %s\n", line)
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		return ExitUsedWrongly
	}
	return ExitFailed
}

// explain splits an error into what is wrong and the lines below: where, and what to do.
func explain(err error) (what string, more []string) {
	var refused *call.Error
	var found resource.Errors
	var one resource.Error
	var wrong usageError
	var known failure
	switch {
	case errors.As(err, &refused):
		return explainProblem(refused.Problem)
	case errors.As(err, &found):
		p := api.Problem{Detail: fmt.Sprintf("%d things are wrong", len(found))}
		for _, e := range found {
			p.Errors = append(p.Errors, api.ErrorDetail{Message: e.Message, Location: e.Where(), Hint: e.Hint})
		}
		return explainProblem(p)
	case errors.As(err, &one):
		return explainProblem(api.Problem{Errors: []api.ErrorDetail{{Message: one.Message, Location: one.Where(), Hint: one.Hint}}})
	case errors.As(err, &wrong):
		return lines(wrong.Error(), wrong.hint)
	case errors.As(err, &known):
		return lines(err.Error(), known.hint)
	}
	return lines(err.Error(), "")
}

// lines begins with the first line of a text.
func lines(text, hint string) (first string, rest []string) {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for _, l := range all[1:] {
		rest = append(rest, strings.TrimRight(l, " "))
	}
	if hint != "" {
		rest = append(rest, hint)
	}
	return all[0], rest
}

func explainProblem(p api.Problem) (what string, more []string) {
	what = p.Detail
	if what == "" {
		what = strings.TrimSpace(fmt.Sprintf("%d %s", p.Status, http.StatusText(p.Status)))
	}
	hint := p.Hint
	if hint == "" && p.Status == http.StatusUnauthorized {
		hint = "give the token with --token or TIDEMILL_TOKEN"
	}
	if len(p.Errors) == 1 {
		e := p.Errors[0]
		what, more = lines(e.Message, "")
		more = appendText(more, e.Location, e.Hint, hint)
		return what, more
	}
	for _, e := range p.Errors {
		text := e.Message
		if e.Location != "" {
			text = e.Location + ": " + text
		}
		more = appendText(more, text)
		if e.Hint != "" {
			more = append(more, "  "+e.Hint)
		}
	}
	first, rest := lines(what, hint)
	return first, append(more, rest...)
}

func appendText(list []string, texts ...string) []string {
	for _, t := range texts {
		if t != "" {
			list = append(list, strings.Split(t, "\n")...)
		}
	}
	return list
}

// unknownCommand puts cobra's complaint, which has no type, in our form.
func unknownCommand(root *cobra.Command, err error) error {
	var name, of string
	if n, _ := fmt.Sscanf(err.Error(), "unknown command %q for %q", &name, &of); n != 2 {
		return err
	}
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := resource.Suggest(name, names)
	if hint == "" {
		hint = "'tidemill --help' lists the commands"
	}
	return wrongly(hint, "unknown command %q", name)
}

// flagError puts a complaint about flags in our form.
func flagError(c *cobra.Command, err error) error {
	hint := "see: " + c.CommandPath() + " --help"
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if s := resource.Suggest(name, names); s != "" {
			hint = strings.Replace(s, `"`, `"--`, 1)
		}
	}
	return usageError{error: err, hint: hint}
}
