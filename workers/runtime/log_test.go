package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLongLogKeepsItsBeginningAndItsEnd(t *testing.T) {
	t.Parallel()
	write := func(lines, max int) string {
		path := filepath.Join(t.TempDir(), "trial", "log")
		l, err := newLogFile(path, max)
		require.NoError(t, err)
		for i := range lines {
			_, err := fmt.Fprintf(l, "line %06d\n", i)
			require.NoError(t, err)
		}
		require.NoError(t, l.Close())
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	const line, room = len("line 000000\n"), 1000
	for _, lines := range []int{0, 1, room / line, room/line - 1} {
		require.Equal(t, lines, strings.Count(write(lines, room), "\n"), "what fits is whole")
		require.NotContains(t, write(lines, room), "left out")
	}
	for _, lines := range []int{room/line + 1, 200, 10_000} {
		text := write(lines, room)
		before, rest, found := strings.Cut(text, "tidemill: the log was too long, ")
		require.True(t, found, "%d lines", lines)
		var lost int
		_, err := fmt.Sscan(rest, &lost)
		require.NoError(t, err)
		_, after, _ := strings.Cut(rest, "\n")
		require.Equal(t, lines*line, len(before)+lost+len(after), "every byte is there or counted")
		require.LessOrEqual(t, len(before)+len(after), room)
		require.True(t, strings.HasPrefix(before, "line 000000\n"))
		require.True(t, strings.HasPrefix(after, "line ") && strings.HasSuffix(after, fmt.Sprintf("line %06d\n", lines-1)), after)
		require.Greater(t, len(after), room/2-2*line)
	}
}
