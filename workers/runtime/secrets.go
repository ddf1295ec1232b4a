package runtime

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// minSecret is how short a secret may be to be masked: shorter ones are in every text.
const minSecret = 4

const mask = "***"

// secrets reads the candidate's secrets from the worker's environment, as variables for the trainer's.
func secrets(names []string, getenv func(string) string) (env []string, m masker, err error) {
	var values []string
	for _, name := range names {
		if reserved(name) {
			return nil, m, failed("the secret %s is not for trainers: it is a variable of Tidemill's own; remove it from the candidate's secrets", name)
		}
		value := getenv(name)
		if value == "" {
			return nil, m, failed("the secret %s is not in this worker's environment: start the worker with %s set, or remove it from the candidate's secrets", name, name)
		}
		env = append(env, name+"="+value)
		values = append(values, value)
	}
	return env, newMasker(values), nil
}

// reserved are variables that the contract or the worker itself uses. A worker's tokens are no candidate's to name.
func reserved(name string) bool {
	return strings.HasPrefix(name, "TIDEMILL_") || strings.HasPrefix(name, "SM_") ||
		slices.Contains([]string{"PATH", "HOME", "TMPDIR", "LANG", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "VIRTUAL_ENV"}, name)
}

// masker hides secrets in texts. The zero value hides nothing.
type masker struct {
	replace *strings.Replacer
	longest int
}

// newMasker hides values as they are, each line of them, and as JSON and URLs write them.
func newMasker(values []string) masker {
	var all []string
	add := func(s string) {
		if len(s) >= minSecret && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, value := range values {
		for _, s := range append([]string{value, strings.TrimSpace(value)}, strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })...) {
			add(s)
			add(url.QueryEscape(s))
			add(url.PathEscape(s))
			if b, err := json.Marshal(s); err == nil {
				add(string(b[1 : len(b)-1]))
			}
		}
	}
	if len(all) == 0 {
		return masker{}
	}
	// Of two that begin alike the longer one must win.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	m := masker{longest: len(all[0])}
	for _, s := range all {
		pairs = append(pairs, s, mask)
	}
	m.replace = strings.NewReplacer(pairs...)
	return m
}

// hide replaces all secrets in a text.
func (m masker) hide(s string) string {
	if m.replace == nil {
		return s
	}
	return m.replace.Replace(s)
}
