package runtime

import (
	"net/url"
	"strings"
)

// packages names what a requirements.txt asks for, for a person.
func packages(requirements []byte) string {
	var names []string
	for line := range strings.Lines(string(requirements)) {
		line, _, _ = strings.Cut(line, " #")
		line, _, _ = strings.Cut(line, ";")
		line, _, _ = strings.Cut(line, " --")
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "-") || strings.Contains(line, "://") {
			continue // comments, options, and addresses, which may hold passwords
		}
		names = append(names, strings.TrimSuffix(line, " \\"))
	}
	if len(names) == 0 {
		return RequirementsFile
	}
	return shorten(strings.Join(names, ", "), 200)
}

// passwords are those in the addresses that pip is given.
func passwords(environ []string) []string {
	var out []string
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if !ofPip(name) {
			continue
		}
		for address := range strings.FieldsSeq(value) {
			if u, err := url.Parse(address); err == nil && u.User != nil {
				if password, ok := u.User.Password(); ok {
					out = append(out, password)
				}
			}
		}
	}
	return out
}
