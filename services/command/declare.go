package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// document is one file of declarations: what the API gets and what a person calls it.
type document struct {
	name      string
	src       []byte
	resources []resource.Resource
}

// documents reads files, folders and standard input ("-"), and checks them as far as that needs no platform.
func (a *app) documents(paths []string) ([]document, error) {
	var out []document
	for _, path := range paths {
		if path == "-" {
			src, err := io.ReadAll(a.In)
			if err != nil {
				return nil, err
			}
			d, err := parse("stdin", ".", src)
			if err != nil {
				return nil, err
			}
			out = append(out, d)
			continue
		}
		files, err := yamlFiles(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("read declarations: %w", err)
			}
			d, err := parse(file, filepath.Dir(file), src)
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	return out, nil
}

func yamlFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read declarations: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no *.yaml", path)
	}
	sort.Strings(files)
	return files, nil
}

// parse checks a file and makes the source folders of candidates absolute: the platform runs elsewhere.
func parse(name, dir string, src []byte) (document, error) {
	resources, err := resource.Parse(src, name)
	if err != nil {
		return document{}, err
	}
	d := document{name: name, src: src, resources: resources}
	for _, r := range resources {
		if r.Model == nil {
			continue
		}
		for i, c := range r.Model.Candidates {
			if c.Source == "" || filepath.IsAbs(c.Source) {
				continue
			}
			path, err := filepath.Abs(filepath.Join(dir, c.Source))
			if err != nil {
				return d, err
			}
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				return d, r.At(fmt.Sprintf("spec.candidates[%d].source", i), fmt.Sprintf("%s is not a folder", path), "name the folder with the trainer, relative to this file")
			}
			d.src = bytes.ReplaceAll(d.src, []byte("source: "+c.Source), []byte("source: "+path))
		}
	}
	return d, nil
}

func (a *app) send(ctx context.Context, client *call.Client, d document, dry bool) ([]api.Applied, error) {
	query := url.Values{"file": {d.name}}
	if dry {
		query.Set("dryRun", "true")
	}
	out, err := call.PostBody[api.List[api.Applied]](ctx, client, "/api/v1/resources", query,
		call.Body{Type: "application/yaml", Reader: bytes.NewReader(d.src), Length: int64(len(d.src))})
	return out.Items, err
}

func (a *app) apply() *cobra.Command {
	var files []string
	var dry bool
	c := &cobra.Command{Use: "apply -f FILE", Short: "Declare datasets, models and policies from YAML", Args: args(),
		Example: "  tidemill apply -f flights.yaml\n  tidemill apply -f declarations/",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.eachDocument(c.Context(), files, dry, func(x api.Applied) {
				a.printf("%s %s %s\n", x.Kind, x.Name, x.Action)
			})
		}}
	c.Flags().StringSliceVarP(&files, "file", "f", nil, "file or folder with declarations, - for standard input")
	c.Flags().BoolVar(&dry, "dry-run", false, "only say what would happen")
	_ = c.MarkFlagRequired("file")
	return c
}

func (a *app) eachDocument(ctx context.Context, files []string, dry bool, tell func(api.Applied)) error {
	documents, err := a.documents(files)
	if err != nil {
		return err
	}
	client, err := a.api()
	if err != nil {
		return err
	}
	for _, d := range documents {
		applied, err := a.send(ctx, client, d, dry)
		if err != nil {
			return err
		}
		for _, x := range applied {
			tell(x)
		}
	}
	return nil
}

func (a *app) diff() *cobra.Command {
	var files []string
	c := &cobra.Command{Use: "diff -f FILE", Short: "Show what apply would change", Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.eachDocument(c.Context(), files, true, func(x api.Applied) {
				a.printf("%s %s %s\n", x.Kind, x.Name, x.Action)
				for _, change := range x.Changes {
					a.printf("  %s: %s → %s\n", change.Path, short(change.Old), short(change.New))
				}
			})
		}}
	c.Flags().StringSliceVarP(&files, "file", "f", nil, "file or folder with declarations, - for standard input")
	_ = c.MarkFlagRequired("file")
	return c
}

func short(v any) string {
	if v == nil {
		return "(none)"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// kinds are the words for resource kinds in paths.
var kinds = map[string]string{"dataset": "datasets", "datasets": "datasets", "model": "models", "models": "models",
	"policy": "policies", "policies": "policies", "retrainingpolicy": "policies"}

func (a *app) delete() *cobra.Command {
	return &cobra.Command{Use: "delete KIND NAME", Short: "Delete a dataset, model or policy", Args: args("KIND", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			kind, ok := kinds[strings.ToLower(args[0])]
			if !ok {
				return wrongly("unknown kind %q: use dataset, model or policy", args[0])
			}
			client, err := a.api()
			if err != nil {
				return err
			}
			x, err := call.Delete[api.Applied](c.Context(), client, "/api/v1/resources/"+kind+"/"+url.PathEscape(args[1]))
			if err != nil {
				return err
			}
			a.printf("%s %s %s\n", x.Kind, x.Name, x.Action)
			return nil
		}}
}
