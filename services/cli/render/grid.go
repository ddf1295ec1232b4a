package render

import (
	"strings"
	"unicode/utf8"
)

// Grid is a table with aligned columns: numbers to the right, everything else to the left, "-" where there is nothing.
type Grid struct {
	lines []line
}

type line struct {
	cells []string
	head  bool
	text  bool // one cell that takes part in no column
}

const gap = "  "

// Head adds a line of column names.
func (g *Grid) Head(names ...string) { g.lines = append(g.lines, line{cells: names, head: true}) }

// Row adds a line.
func (g *Grid) Row(cells ...string) {
	for i, c := range cells {
		// A cell is one line: what has several would break the columns.
		if cells[i] = strings.Join(strings.Fields(c), " "); cells[i] == "" {
			cells[i] = "-"
		}
	}
	g.lines = append(g.lines, line{cells: cells})
}

// Field adds a name with its value, unless there is no value.
func (g *Grid) Field(name, value string) {
	if value != "" {
		g.Row(name, value)
	}
}

// Text adds a line that stands by itself.
func (g *Grid) Text(s string) { g.lines = append(g.lines, line{cells: []string{s}, text: true}) }

// String is the table. Nothing but a head gives "none".
func (g *Grid) String() string {
	var b strings.Builder
	for start := 0; start < len(g.lines); {
		end := start + 1
		// A head, or a text, ends the columns before it.
		for end < len(g.lines) && !g.lines[end].head && g.lines[end].text == g.lines[start].text {
			end++
		}
		writeBlock(&b, g.lines[start:end])
		start = end
	}
	return b.String()
}

func writeBlock(b *strings.Builder, lines []line) {
	switch {
	case lines[0].text:
		for _, l := range lines {
			b.WriteString(l.cells[0] + "\n")
		}
		return
	case lines[0].head && len(lines) == 1:
		b.WriteString("none\n")
		return
	}
	width, number := measure(lines)
	for _, l := range lines {
		var out strings.Builder
		for i, c := range l.cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i > 0 {
				out.WriteString(gap)
			}
			if number[i] {
				out.WriteString(pad + c)
			} else {
				out.WriteString(c + pad)
			}
		}
		b.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
}

// measure gives the width of each column, and which hold numbers and no text.
func measure(lines []line) (width []int, number []bool) {
	var text []bool
	for _, l := range lines {
		for i, c := range l.cells {
			if i == len(width) {
				width, number, text = append(width, 0), append(number, false), append(text, !lines[0].head)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c))
			switch {
			case l.head || c == "-":
			case isNumber(c):
				number[i] = true
			default:
				text[i] = true
			}
		}
	}
	for i := range number {
		number[i] = number[i] && !text[i]
	}
	return width, number
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789.,%+-") == "" && strings.ContainsAny(s, "0123456789")
}
