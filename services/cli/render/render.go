// Package render writes what commands answer: tables for people, JSON and YAML for programs.
package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Format is how an answer is written.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Formats lists the names of all formats.
func Formats() []string { return []string{string(Table), string(JSON), string(YAML)} }

// ParseFormat knows a format by its name; the error lists them.
func ParseFormat(name string) (Format, error) {
	if !slices.Contains(Formats(), name) {
		return "", fmt.Errorf("unknown output %q: use %s", name, strings.Join(Formats(), ", "))
	}
	return Format(name), nil
}

// Write writes v as JSON or YAML, or what table fills in.
func Write(w io.Writer, f Format, v any, table func(*Grid)) error {
	switch f {
	case JSON:
		b, err := encode(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	case YAML:
		b, err := encode(v)
		if err != nil {
			return err
		}
		// By way of JSON, so that both have the same fields in the same order.
		if b, err = yaml.JSONToYAML(b); err != nil {
			return fmt.Errorf("write as YAML: %w", err)
		}
		_, err = w.Write(b)
		return err
	}
	g := &Grid{}
	table(g)
	_, err := io.WriteString(w, g.String())
	return err
}

func encode(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write as JSON: %w", err)
	}
	return []byte(b.String()), nil
}
