package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/tidemill/tidemill/services/cli/render"
)

// screen keeps a few lines at the end of a terminal up to date while others scroll by above them. Where no person looks it writes
// the others alone.
type screen struct {
	out   io.Writer
	live  bool
	width func() int
	drawn []string
}

// log adds lines above.
func (s *screen) log(lines ...string) {
	below := s.drawn
	s.clear()
	for _, l := range lines {
		fmt.Fprintln(s.out, l)
	}
	s.draw(below)
}

// draw replaces the lines at the end.
func (s *screen) draw(lines []string) {
	if !s.live {
		return
	}
	s.clear()
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(render.Cut(l, s.width()-1) + "\n")
	}
	fmt.Fprint(s.out, b.String())
	s.drawn = lines
}

// clear takes the lines at the end away.
func (s *screen) clear() {
	if len(s.drawn) > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", len(s.drawn))
	}
	s.drawn = nil
}

func (a *app) screen() *screen {
	return &screen{out: a.Out, live: a.IsTerminal(a.Out), width: a.width}
}
