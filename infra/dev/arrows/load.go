package arrows

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// Patterns name every package of the four modules, from the root of the repository.
var Patterns = []string{"./...", "./schemas/...", "./events/...", "./e2e/..."}

// listed is what we read of `go list -json`.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	CgoFiles     []string
	Standard     bool
	Error        *struct{ Err string }
}

// Load lists the packages that patterns name and all that they depend on, as seen from dir. The standard library's own
// cgo does not count: it has pure Go in its place.
func Load(ctx context.Context, dir string, patterns ...string) ([]Package, error) {
	args := append([]string{"list", "-e", "-deps", "-json=ImportPath,Imports,TestImports,XTestImports,CgoFiles,Standard,Error"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}

	var packages []Package
	for dec := json.NewDecoder(bytes.NewReader(stdout)); ; {
		var l listed
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read go list: %w", err)
		}
		if l.Standard {
			continue
		}
		packages = append(packages, Package{
			Path: l.ImportPath, Imports: l.Imports, Tests: append(l.TestImports, l.XTestImports...), Cgo: len(l.CgoFiles) > 0,
		})
	}
}
