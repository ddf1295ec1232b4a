package command

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.Out, format, args...) }

// output adds -o to a reading command.
func output(c *cobra.Command) *string {
	return c.Flags().StringP("output", "o", "table", "table, json or yaml")
}

// show writes v as the format says; table writes the table.
func (a *app) show(format string, v any, table func(w *tabwriter.Writer)) error {
	switch format {
	case "json":
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		a.printf("%s\n", b)
		return nil
	case "yaml":
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		y, err := yaml.JSONToYAML(b)
		if err != nil {
			return err
		}
		a.printf("%s", y)
		return nil
	case "table":
		w := tabwriter.NewWriter(a.Out, 2, 4, 2, ' ', 0)
		table(w)
		return w.Flush()
	}
	return wrongly("unknown output %q: use table, json or yaml", format)
}

// checkOutput refuses an unknown format before anything is asked.
func checkOutput(format string) error {
	switch format {
	case "table", "json", "yaml":
		return nil
	}
	return wrongly("unknown output %q: use table, json or yaml", format)
}

func row(w *tabwriter.Writer, cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// count groups digits: 300,000.
func count[T ~int | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// reasons writes "belowMin 100, future 2".
func reasons(m map[string]int64) string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		return m[names[i]] > m[names[j]] || m[names[i]] == m[names[j]] && names[i] < names[j]
	})
	for i, name := range names {
		names[i] = name + " " + count(m[name])
	}
	return strings.Join(names, ", ")
}

func figures(m map[string]float64, first string) string {
	names := make([]string, 0, len(m))
	for name := range m {
		if name != first {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if _, ok := m[first]; ok {
		names = append([]string{first}, names...)
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.4g", name, m[name])
	}
	return strings.Join(names, ", ")
}
