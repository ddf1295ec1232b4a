package cli

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// completing bounds how long a person waits for a completion.
const completing = 2 * time.Second

type (
	completion = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)
	// names asks a running Tidemill for names; none are known when it doesn't answer.
	names = func(ctx context.Context) []string
)

func fixed(values ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// beginning keeps what begins as typed; where names are lists, what was typed before the last comma stays.
func beginning(all []string, typed string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, typed) })
}

// completeOne completes one argument.
func (a *app) completeOne(of names) completion {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(of(c.Context()), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeThenFile completes a name, and then a file.
func (a *app) completeThenFile(of names) completion {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return beginning(of(c.Context()), typed), cobra.ShellCompDirectiveNoFileComp
		case 1:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeKindThenName completes a kind, and then a name of that kind.
func (a *app) completeKindThenName(kinds []string) completion {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return beginning(slices.Clone(kinds), typed), cobra.ShellCompDirectiveNoFileComp
		case 1:
			path, ok := declarable(args[0])
			if !ok {
				path = map[string]string{"cycle": "cycles", "cycles": "cycles", "trials": "cycles", "trial": "cycles"}[args[0]]
			}
			return beginning(a.namesOf(path)(c.Context()), typed), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// namesOf lists the names of a kind, by the word that paths have for it.
func (a *app) namesOf(path string) names {
	switch path {
	case "datasets":
		return a.datasetNames
	case "models":
		return a.modelNames
	case "policies":
		return func(ctx context.Context) []string {
			return listNames(ctx, a, "/api/v1/resources/policies", nil, func(r api.Resource) string { return r.Name })
		}
	case "cycles":
		return a.cycleNames
	}
	return func(context.Context) []string { return nil }
}

func (a *app) datasetNames(ctx context.Context) []string {
	return listNames(ctx, a, "/api/v1/datasets", nil, func(d api.Dataset) string { return d.Name })
}

func (a *app) modelNames(ctx context.Context) []string {
	return listNames(ctx, a, "/api/v1/models", nil, func(m api.Model) string { return m.Name })
}

func (a *app) cycleNames(ctx context.Context) (out []string) {
	for _, m := range a.modelNames(ctx) {
		out = append(out, listNames(ctx, a, "/api/v1/models/"+m+"/cycles", url.Values{"limit": {"20"}}, func(c api.Cycle) string { return c.Cycle })...)
	}
	return out
}

// completeVersions completes a flag with the versions of the model that is the first argument.
func (a *app) completeVersions(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all := listNames(c.Context(), a, "/api/v1/models/"+url.PathEscape(args[0])+"/versions", nil, func(v api.Version) string { return v.Version.Version })
	return beginning(all, typed), cobra.ShellCompDirectiveNoFileComp
}

// completeFlag completes a flag with names.
func (a *app) completeFlag(c *cobra.Command, flag string, of names) {
	// Fails for a flag that isn't there.
	_ = c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return beginning(of(c.Context()), typed), cobra.ShellCompDirectiveNoFileComp
	})
}

func listNames[T any](ctx context.Context, a *app, path string, query url.Values, name func(T) string) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completing)
	defer cancel()
	client, err := a.client()
	if err != nil {
		return nil
	}
	list, err := call.Get[api.List[T]](ctx, client, path, query)
	if err != nil {
		return nil
	}
	var out []string
	for _, x := range list.Items {
		out = append(out, name(x))
	}
	return out
}

// factTypes are the types that are in the ledger, as people call them.
func factTypes() []string {
	var out []string
	for _, t := range events.Types() {
		if t != events.PolicyEvaluatedType && t != events.TrialProgressedType {
			out = append(out, t.Short())
		}
	}
	return out
}
