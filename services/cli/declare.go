package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) apply() *cobra.Command {
	var files []string
	var dry bool
	c := &cobra.Command{Use: "apply -f FILE", Short: "Declare datasets, models and policies from YAML", Args: needs(),
		Long: "Declare datasets, models and policies from YAML files. Everything that is given is applied, or, when one thing is wrong,\n" +
			"nothing. Applying what is there already changes nothing. The source folder of a trainer is relative to its file; it is packed as it is\n" +
			"now and stored, so that a changed file is a change of the model.",
		Example: "  tidemill apply -f flights.yaml\n  tidemill apply -f declarations/\n  tidemill init trips.csv --time at --label 'tip > 0' | tidemill apply -f -"}
	f := format(c)
	filesFlag(c, &files)
	c.Flags().BoolVar(&dry, "dry-run", false, "check everything and say what would be done")
	c.RunE = func(c *cobra.Command, _ []string) error {
		applied, err := a.send(c.Context(), files, dry)
		if err != nil {
			return err
		}
		return a.show(*f, applied, func(g *render.Grid) {
			for _, x := range applied.Items {
				if dry {
					x.Action += " (dry run)"
				}
				g.Text(x.Kind + " " + x.Name + " " + x.Action)
			}
		})
	}
	return c
}

func filesFlag(c *cobra.Command, files *[]string) {
	c.Flags().StringArrayVarP(files, "file", "f", nil, "file or folder of declarations, - for standard input; may be given several times")
	_ = c.MarkFlagFilename("file", "yaml", "yml") // fails for a flag that isn't there
}

// send applies files, or only compares them.
func (a *app) send(ctx context.Context, files []string, dry bool) (api.List[api.Applied], error) {
	var out api.List[api.Applied]
	b, err := a.bundleOf(files)
	if err != nil {
		return out, err
	}
	client, err := a.client()
	if err != nil {
		return out, err
	}
	return a.sendTo(ctx, client, b, dry)
}

// sendTo applies a bundle, or only compares it.
func (a *app) sendTo(ctx context.Context, client *call.Client, b bundle, dry bool) (out api.List[api.Applied], err error) {
	query := url.Values{"file": {b.name}}
	if dry {
		query.Set("dryRun", "true")
	} else if err := a.sendCode(ctx, client, b.code); err != nil {
		return out, err
	}
	body, err := b.body()
	if err != nil {
		return out, err
	}
	out, err = call.PostBody[api.List[api.Applied]](ctx, client, "/api/v1/resources", query, body)
	return out, b.locate(err)
}

func (a *app) diff() *cobra.Command {
	var files []string
	c := &cobra.Command{Use: "diff -f FILE", Short: "Show what apply would change", Args: needs(),
		Example: "  tidemill diff -f flights.yaml"}
	f := format(c)
	filesFlag(c, &files)
	c.RunE = func(c *cobra.Command, _ []string) error {
		applied, err := a.send(c.Context(), files, true)
		if err != nil {
			return err
		}
		style := a.style(a.Out)
		return a.show(*f, applied, func(g *render.Grid) {
			for _, x := range applied.Items {
				g.Text(style.Bold(x.Kind+" "+x.Name) + " " + x.Action)
				for _, change := range x.Changes {
					for _, l := range changeLines(change, style) {
						g.Text("  " + l)
					}
				}
			}
		})
	}
	return c
}

// changeLines are one difference: + what is new, - what is gone, ~ what is different.
func changeLines(c api.Change, style render.Style) []string {
	switch {
	case c.Path == "": // the whole document
		y, err := yaml.Marshal(c.New)
		if err != nil {
			return []string{style.Good("+ " + render.Value(c.New))}
		}
		var out []string
		for l := range strings.SplitSeq(strings.TrimRight(string(y), "\n"), "\n") {
			out = append(out, style.Good("+ "+l))
		}
		return out
	case c.Old == nil:
		return []string{style.Good("+ " + c.Path + ": " + render.Value(c.New))}
	case c.New == nil:
		return []string{style.Bad("- " + c.Path + ": " + render.Value(c.Old))}
	}
	return []string{style.Warn("~ " + c.Path + ": " + render.Value(c.Old) + " → " + render.Value(c.New))}
}

func (a *app) delete() *cobra.Command {
	return &cobra.Command{Use: "delete KIND NAME", Short: "Delete a dataset, a model or a policy that nothing uses", Args: needs("KIND", "NAME"),
		Example:           "  tidemill delete policy flight-delay\n  tidemill delete model flight-delay",
		ValidArgsFunction: a.completeKindThenName([]string{"dataset", "model", "policy"}),
		RunE: func(c *cobra.Command, args []string) error {
			kind, ok := declarable(args[0])
			if !ok {
				return wrongly("use dataset, model or policy", "%q can't be deleted", args[0])
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			x, err := call.Delete[api.Applied](c.Context(), client, "/api/v1/resources/"+kind+"/"+url.PathEscape(args[1]))
			if err != nil {
				return err
			}
			fmt.Fprintln(a.Out, x.Kind, x.Name, x.Action)
			return nil
		}}
}

// declarable is the word that paths have for a kind of resource.
func declarable(word string) (path string, ok bool) {
	path, ok = map[string]string{"dataset": "datasets", "datasets": "datasets", "model": "models", "models": "models",
		"policy": "policies", "policies": "policies", "retrainingpolicy": "policies", "retrainingpolicies": "policies"}[strings.ToLower(word)]
	return path, ok
}

// declaration is a stored resource as YAML that can be edited and applied.
func declaration(document json.RawMessage) (string, error) {
	r, err := resource.FromJSON(document)
	if err != nil {
		return "", fmt.Errorf("read a stored declaration: %w", err)
	}
	b, err := resource.ToYAML(r)
	return string(b), err
}
