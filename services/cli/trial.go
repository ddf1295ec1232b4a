package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
	"github.com/tidemill/tidemill/workers/runtime"
)

func (a *app) trial() *cobra.Command {
	return family(&cobra.Command{Use: "trial", Short: "Try a trainer before it is deployed",
		Example: "  tidemill trial run flight-delay --candidate lightgbm --local"}, a.trialRun())
}

// trialRun is one trial run command.
type trialRun struct {
	*app
	model  string
	wish   trialWish
	file   string
	params map[string]any
	keep   string
	format string
}

func (a *app) trialRun() *cobra.Command {
	t := trialRun{app: a}
	var here bool
	var params []string
	c := &cobra.Command{Use: "run MODEL --local", Short: "Run one trial here, and check what it leaves", Args: needs("MODEL"),
		Long: "Run one trial of a candidate on this machine, as a worker would: with the rows that a cycle would train on now, within the\n" +
			"limits of the candidate, and with the same checks of the model that it leaves. It is scored on the validation rows. Nothing\n" +
			"changes on the platform. With --file the declaration and the source folder are those of a file, applied or not.",
		Example: "  tidemill trial run flight-delay --candidate lightgbm --local\n" +
			"  tidemill trial run flight-delay --candidate forest --local -f model.yaml --param trees=50 --keep out",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := format(c)
	t.wish.flags(a, c)
	c.Flags().BoolVar(&here, "local", false, "run it on this machine")
	c.Flags().StringVarP(&t.file, "file", "f", "", "take the candidate from this declaration instead of the one that is applied")
	c.Flags().StringArrayVar(&params, "param", nil, "a hyperparameter as NAME=VALUE; may be given several times")
	c.Flags().StringVar(&t.keep, "keep", "", "folder for the model, the log and trial.json")
	_ = c.MarkFlagFilename("file", "yaml", "yml") // these fail for flags that aren't there
	_ = c.MarkFlagDirname("keep")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if !here {
			return wrongly("give --local; on the workers 'tidemill retrain' runs trials", "where shall the trial run?")
		}
		t.model, t.format = args[0], *f
		if t.params, err = parameters(params); err != nil {
			return err
		}
		return t.run(c.Context())
	}
	return c
}

// parameters reads NAME=VALUE; a value is what it would be in YAML.
func parameters(given []string) (map[string]any, error) {
	out := map[string]any{}
	for _, p := range given {
		name, text, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, wrongly("write --param trees=50", "--param %q is not NAME=VALUE", p)
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			value = text
		}
		out[name] = value
	}
	return out, nil
}

func (t *trialRun) run(ctx context.Context) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	task, err := t.task(ctx, client)
	if err != nil {
		return err
	}
	ran, err := t.runLocally(ctx, client, task, t.keep)
	if err != nil {
		return err
	}
	return t.show(t.format, ran.summary(), func(g *render.Grid) { ran.fields(g) })
}

// task is the trial that is asked for.
func (t *trialRun) task(ctx context.Context, client *call.Client) (out task, err error) {
	query, err := t.wish.query()
	if err != nil {
		return out, err
	}
	var own *declaredHere
	if t.file != "" {
		if own, err = t.declared(ctx, client); err != nil {
			return out, err
		}
		query.Set("candidate", own.stand)
	}
	if out, err = planned(ctx, client, t.model, query); err != nil {
		return out, err
	}
	if own != nil {
		out.code = own.code
		own.into(&out.spec)
	}
	if len(t.params) > 0 && out.spec.Params == nil {
		out.spec.Params = map[string]any{}
	}
	for name, value := range t.params {
		out.spec.Params[name] = value
	}
	return out, nil
}

// task is a trial that is to run here.
type task struct {
	spec runtime.Spec
	keys string
	code *packedSource // that the platform may not have
}

// planned asks for a trial.
func planned(ctx context.Context, client *call.Client, model string, query url.Values) (out task, err error) {
	plan, err := call.Get[api.Plan](ctx, client, "/api/v1/models/"+url.PathEscape(model)+"/trial", query)
	if err != nil {
		return out, err
	}
	out.keys = plan.Keys
	if err := json.Unmarshal(plan.Spec, &out.spec); err != nil {
		return out, fmt.Errorf("read the trial of %s: %w", model, err)
	}
	return out, nil
}

// declaredHere is a model as a file declares it.
type declaredHere struct {
	model     resource.Resource
	candidate resource.Candidate
	code      *packedSource
	stand     string // a candidate that the platform knows, to ask by
}

// declared reads the model from the file.
func (t *trialRun) declared(ctx context.Context, client *call.Client) (*declaredHere, error) {
	text, err := t.read(t.file)
	if err != nil {
		return nil, err
	}
	all, packed, err := checked(text, t.file, filepath.Dir(t.file))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r resource.Resource) bool { return r.Model != nil && r.Metadata.Name == t.model })
	if i < 0 {
		return nil, failed("", "%s declares no model %s", t.file, t.model)
	}
	own := &declaredHere{model: all[i]}
	if own.candidate, err = chosen(all[i].Model.Candidates, t.wish.candidate); err != nil {
		return nil, err
	}
	for _, p := range packed {
		if own.candidate.Code != nil && p.SHA256 == own.candidate.Code.SHA256 {
			own.code = &p
		}
	}
	applied, err := call.Get[api.Resource](ctx, client, "/api/v1/resources/models/"+url.PathEscape(t.model), nil)
	if err != nil {
		return nil, err
	}
	old, err := resource.FromJSON(applied.Document)
	if err != nil {
		return nil, fmt.Errorf("read the declaration of %s: %w", t.model, err)
	}
	if old.Model.Dataset != all[i].Model.Dataset || !reflect.DeepEqual(old.Model.Split, all[i].Model.Split) {
		at := all[i].At("spec.split", "the dataset or the split is another one than that of the model that is applied", "apply it first: rows are split by the platform")
		return nil, at
	}
	own.stand = old.Model.Candidates[0].Name
	if slices.ContainsFunc(old.Model.Candidates, func(c resource.Candidate) bool { return c.Name == own.candidate.Name }) {
		own.stand = own.candidate.Name
	}
	return own, nil
}

func chosen(all []resource.Candidate, name string) (resource.Candidate, error) {
	var names []string
	for _, c := range all {
		if c.Name == name || name == "" && len(all) == 1 {
			return c, nil
		}
		names = append(names, c.Name)
	}
	if name == "" {
		return resource.Candidate{}, wrongly("--candidate is one of "+strings.Join(names, ", "), "which candidate?")
	}
	return resource.Candidate{}, wrongly(cmp.Or(resource.Suggest(name, names), "there are: "+strings.Join(names, ", ")), "there is no candidate %q", name)
}

// into replaces what the file declares.
func (d *declaredHere) into(spec *runtime.Spec) {
	m := d.model.Model
	spec.Candidate, spec.Code, spec.Params = d.candidate, d.candidate.Code, nil
	spec.Task, spec.Features, spec.Label, spec.Seed = m.Task, m.Features, m.Label, m.Seed
	spec.Weight, spec.ClassWeights = m.Weight, m.ClassWeights
	spec.Trial = spec.Cycle + "-" + d.candidate.Name + "-1"
}
