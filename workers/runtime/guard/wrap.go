package guard

import (
	"fmt"
	"strings"
)

// blocks are what a shell counts the size of a file in, in bytes.
const blocks = 512

// Wrap makes a command of another user's set its own limits and mark before it does anything else, by a shell: root may not
// change those of another user's process unless it has CAP_SYS_RESOURCE, which containers seldom give. Errors show in the
// command's own output. name is the command's path, args its arguments.
func (g *Group) Wrap(l Limits, name string, args []string) (path string, wrapped []string) {
	var script strings.Builder
	script.WriteString("ulimit -c 0\n")
	if l.OpenFiles > 0 {
		fmt.Fprintf(&script, "ulimit -n %d\n", l.OpenFiles)
	}
	if l.FileSize > 0 {
		fmt.Fprintf(&script, "ulimit -f %d\n", (l.FileSize+blocks-1)/blocks)
	}
	if tag := g.mark.tag(); tag != 0 {
		// The limit of file locks: -w of dash and BusyBox, -x of bash.
		fmt.Fprintf(&script, "ulimit -w %d 2>&- || ulimit -x %d 2>&-\n", tag, tag)
	}
	script.WriteString(`exec "$@"`)
	return "/bin/sh", append([]string{"sh", "-c", script.String(), "sh", name}, args...)
}
