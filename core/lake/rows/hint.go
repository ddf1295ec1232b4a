package rows

import (
	"fmt"
	"iter"
	"strings"
)

// hint is "; did you mean …?" with the closest name, or "" when none is close.
func hint(name string, names iter.Seq[string]) string {
	// Two swapped letters are a distance of two.
	best, distance := "", min(max(2, len(name)/3), 3)+1
	if len(name) <= 3 {
		distance = 2
	}
	for n := range names {
		if d := editDistance(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's distance in bytes; long inputs count as far.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// unknown is the refusal of a column name that the dataset does not have.
func (c *Checker) unknown(name string) *Refusal {
	return &Refusal{UnknownColumn, short(name), "the dataset has no such column" + hint(name, func(yield func(string) bool) {
		for i := range c.columns {
			if !yield(c.columns[i].Name) {
				return
			}
		}
	})}
}
