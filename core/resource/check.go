package resource

import (
	"fmt"
	"strings"
)

// checker collects what the schema of a kind can't say: how fields must fit together.
type checker struct {
	doc  *document
	errs Errors
}

func (c *checker) fail(p pointer, hint, format string, args ...any) {
	c.errs = append(c.errs, c.doc.error(p, fmt.Sprintf(format, args...), hint))
}

// unique refuses the second of two equal names. same tells which names count as equal.
func (c *checker) unique(p pointer, what string, seen map[string]int, key, name string, index int) {
	if first, twice := seen[key]; twice {
		c.fail(p, "", "%s: the %s %q is also entry %d of the list", p, what, name, first+1)
		return
	}
	seen[key] = index
}

// metric refuses a name that is no metric of the task.
func (c *checker) metric(p pointer, name, task string) {
	if message, hint := metricProblem(name, task); message != "" {
		c.fail(p, hint, "%s: %s", p, message)
	}
}

// an is a word with its article.
func an(word string) string {
	if strings.HasPrefix(word, "i") {
		return "an " + word
	}
	return "a " + word
}
