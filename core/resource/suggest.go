package resource

import (
	"fmt"
	"slices"
	"strings"
)

// suggest is `did you mean "x"?` for the candidate nearest to got, or "" when none is near.
func suggest(got string, candidates []string) string {
	best, distance := "", len([]rune(got))/3+1
	for _, c := range candidates {
		d := editDistance(strings.ToLower(got), strings.ToLower(c))
		// "binary" for "binaryClassification": what people leave out is usually the end.
		if len(got) >= 3 && d > 1 && strings.HasPrefix(strings.ToLower(c), strings.ToLower(got)) {
			d = min(d, len([]rune(got))/3)
		}
		if d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// suggestOr is suggest, or the list of what would do.
func suggestOr(got string, candidates []string, what string) string {
	if s := suggest(got, candidates); s != "" {
		return s
	}
	if len(candidates) == 0 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(candidates))
	return what + ": " + strings.Join(sorted, ", ")
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	// Nobody mistypes so long a word; the table would grow with the square.
	if len(x) > 64 || len(y) > 64 {
		return max(len(x), len(y))
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}

// Suggest is `did you mean "x"?` for the candidate nearest to what somebody typed, or "" when none is near.
func Suggest(got string, candidates []string) string { return suggest(got, candidates) }
