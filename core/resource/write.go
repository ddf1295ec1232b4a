package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// ToYAML writes a resource with its defaults filled in and the fields in their usual order; Parse reads it back to the same
// digest.
func ToYAML(r Resource) ([]byte, error) {
	b, err := r.plain()
	if err != nil {
		return nil, err
	}
	w := writer{dec: json.NewDecoder(bytes.NewReader(b))}
	w.dec.UseNumber()
	if err := w.value(0, ""); err != nil {
		return nil, fmt.Errorf("write %s %s as YAML: %w", r.Kind, r.Metadata.Name, err)
	}
	return w.out.Bytes(), nil
}

// writer turns a stream of JSON tokens into block YAML, so that the order of fields stays.
type writer struct {
	dec *json.Decoder
	out bytes.Buffer
}

// value writes the next value. before is what stands on the line already, less its space: "key:", "-", or "" at the top.
func (w *writer) value(indent int, before string) error {
	t, err := w.dec.Token()
	if err != nil {
		return err
	}
	d, isDelim := t.(json.Delim)
	switch {
	case !isDelim:
		w.out.WriteString(" " + scalar(t, indent) + "\n")
		return nil
	case !w.dec.More():
		w.out.WriteString(map[json.Delim]string{'{': " {}\n", '[': " []\n"}[d])
	case d == '{':
		err = w.mapping(indent, before)
	default:
		w.out.WriteString("\n")
		for w.dec.More() && err == nil {
			w.out.WriteString(strings.Repeat(" ", indent) + "-")
			err = w.value(indent+2, "-")
		}
	}
	if err != nil {
		return err
	}
	_, err = w.dec.Token()
	return err
}

func (w *writer) mapping(indent int, before string) error {
	// The first field of a list's entry stands beside the dash.
	lead := strings.Repeat(" ", indent)
	switch before {
	case "-":
		lead = " "
	case "":
	default:
		w.out.WriteString("\n")
	}
	for w.dec.More() {
		k, err := w.dec.Token()
		if err != nil {
			return err
		}
		key := scalar(k, -1) + ":"
		w.out.WriteString(lead + key)
		lead = strings.Repeat(" ", indent)
		if err := w.value(indent+2, key); err != nil {
			return err
		}
	}
	return nil
}

var (
	// plainText is what no reader takes for anything but text; looksTyped is what some reader does.
	plainText  = regexp.MustCompile(`^[\p{L}_./(][\p{L}\p{N}_./()<>=+*%,;&@$^~|'" -]*$`)
	looksTyped = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|[.](inf|nan)|[.0-9].*)$`)
	withUnit   = regexp.MustCompile(`^([0-9]+(ns|us|ms|[smhdw%]))+$`) // 7d, 1h0m0s, 3%
)

// scalar writes a token. indent is that of a block's lines, or -1 where only one line is possible.
func scalar(t json.Token, indent int) string {
	s, isText := t.(string)
	if !isText {
		return fmt.Sprint(t) // null doesn't occur: what isn't set isn't written
	}
	plain := plainText.MatchString(s) && !looksTyped.MatchString(s) || withUnit.MatchString(s)
	if plain && !strings.HasSuffix(s, " ") && !strings.Contains(s, " #") && len(s) < 500 {
		return s
	}
	if block, ok := literal(s, indent); ok {
		return block
	}
	quoted, err := encode(s)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return string(quoted)
}

// literal writes SQL and other texts of several lines as a block, when that keeps every byte.
func literal(s string, indent int) (string, bool) {
	body, ended := strings.CutSuffix(s, "\n")
	if indent < 0 || !strings.Contains(s, "\n") || strings.HasPrefix(s, " ") || strings.TrimSpace(body) == "" {
		return "", false
	}
	head := "|-"
	if ended {
		head = "|"
	}
	lines := strings.Split(body, "\n")
	for i, l := range lines {
		if l == "" && (i == 0 || i == len(lines)-1) || strings.TrimRight(l, " ") != l || strings.ContainsFunc(l, func(r rune) bool {
			return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff
		}) {
			return "", false
		}
		if l != "" {
			lines[i] = strings.Repeat(" ", indent) + l
		}
	}
	return head + "\n" + strings.Join(lines, "\n"), true
}
