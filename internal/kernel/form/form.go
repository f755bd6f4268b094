// Package form turns what a browser sent into a struct and collects what is wrong with
// it, so that a page can show every problem beside its field and keep what was typed.
package form

import (
	"fmt"
	"net/mail"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// MaxFields is how many fields a form may have (security.md, limits).
const MaxFields = 200

// Decode fills the struct that dst points to from fields tagged form:"name". It knows
// string (trimmed; tag option raw keeps blanks), int, bool (present and not "false"),
// []string. A value that does not parse is reported as a field error; the rest is filled.
func Decode(values url.Values, dst any) error {
	if len(values) > MaxFields {
		return fault.NewInvalid("too_many_fields", fmt.Sprintf("A form may have at most %d fields.", MaxFields))
	}
	v := reflect.ValueOf(dst).Elem()
	var details []fault.Detail
	for i := range v.NumField() {
		name, opt, _ := strings.Cut(v.Type().Field(i).Tag.Get("form"), ",")
		if name == "" {
			continue
		}
		if d := set(v.Field(i), values, name, opt); d != nil {
			details = append(details, *d)
		}
	}
	return fault.InvalidDetails(details)
}

func set(f reflect.Value, values url.Values, name, opt string) *fault.Detail {
	text := values.Get(name)
	if bad := unprintable(values[name]); bad {
		return &fault.Detail{Field: name, Code: "invalid_text", Message: "This contains characters that cannot be stored."}
	}
	if opt != "raw" {
		text = strings.TrimSpace(text)
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
	case reflect.Bool:
		f.SetBool(values.Has(name) && text != "false" && text != "0")
	case reflect.Int, reflect.Int64:
		if text == "" {
			return nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return &fault.Detail{Field: name, Code: "not_a_number", Message: "Use a whole number, such as 30."}
		}
		f.SetInt(n)
	case reflect.Slice:
		for _, s := range values[name] {
			if s = strings.TrimSpace(s); s != "" {
				f.Set(reflect.Append(f, reflect.ValueOf(s).Convert(f.Type().Elem())))
			}
		}
	default:
		panic("form: field " + name + " has a type that forms cannot fill")
	}
	return nil
}

// unprintable finds what PostgreSQL refuses (NUL, broken UTF-8), so that it is a message
// beside the field and never a failure of the database.
func unprintable(values []string) bool {
	return slices.ContainsFunc(values, func(s string) bool {
		return strings.ContainsRune(s, 0) || !utf8.ValidString(s)
	})
}

// Check collects problems of a form or an API body.
type Check struct{ details []fault.Detail }

// Add reports a problem of a field.
func (c *Check) Add(field, code, message string) {
	c.details = append(c.details, fault.Detail{Field: field, Code: code, Message: message})
}

// Merge takes over the field problems of an error, and returns the error when it is of
// another kind.
func (c *Check) Merge(err error) error {
	if err == nil {
		return nil
	}
	e := fault.Find(err)
	if e == nil || e.Kind != fault.Invalid || len(e.Details) == 0 {
		return err
	}
	c.details = append(c.details, e.Details...)
	return nil
}

// Has reports whether the field has a problem already.
func (c *Check) Has(field string) bool {
	return slices.ContainsFunc(c.details, func(d fault.Detail) bool { return d.Field == field })
}

// Err returns fault.Invalid with every problem, or nil.
func (c *Check) Err() error { return fault.InvalidDetails(c.details) }

// Text checks that a text is present and at most limit characters long.
func (c *Check) Text(field, value, label string, limit int) {
	switch {
	case value == "":
		c.Add(field, "required", label+" is needed.")
	default:
		c.Longest(field, value, label, limit)
	}
}

// Longest checks that a text is at most limit characters long, and storable.
func (c *Check) Longest(field, value, label string, limit int) {
	if n := utf8.RuneCountInString(value); n > limit {
		c.Add(field, "too_long", fmt.Sprintf("%s has %d characters; at most %d fit.", label, n, limit))
	}
	if unprintable([]string{value}) {
		c.Add(field, "invalid_text", "This contains characters that cannot be stored.")
	}
}

// Range checks that a number lies between two bounds, both included.
func (c *Check) Range(field string, n, low, high int, label string) {
	if n < low || n > high {
		c.Add(field, "out_of_range", fmt.Sprintf("%s must be between %d and %d.", label, low, high))
	}
}

// OneOf checks that a value is among the allowed ones.
func (c *Check) OneOf(field, value, label string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.Add(field, "not_allowed", fmt.Sprintf("%s must be one of: %s.", label, strings.Join(allowed, ", ")))
	}
}

// Email checks a plain e-mail address and returns it in lower case.
func (c *Check) Email(field, value string) string {
	value = strings.ToLower(strings.TrimSpace(value))
	a, err := mail.ParseAddress(value)
	_, domain, _ := strings.Cut(value, "@")
	if err != nil || a.Address != value || len(value) > 254 || !strings.Contains(domain, ".") {
		c.Add(field, "invalid_email", "Use a full e-mail address, such as mara@example.com.")
	}
	return value
}

// Zone checks an IANA time zone name.
func (c *Check) Zone(field, value string) {
	if _, err := time.LoadLocation(value); err != nil || value == "" || value == "Local" {
		c.Add(field, "invalid_time_zone", "Choose a time zone from the list, such as Europe/Oslo.")
	}
}

// Messages returns the first message of each field of an Invalid error, for templates.
func Messages(err error) map[string]string {
	out := map[string]string{}
	if e := fault.Find(err); e != nil && e.Kind == fault.Invalid {
		for _, d := range e.Details {
			if _, ok := out[d.Field]; !ok {
				out[d.Field] = d.Message
			}
		}
		if len(e.Details) == 0 {
			out[""] = e.Message
		}
	}
	return out
}
