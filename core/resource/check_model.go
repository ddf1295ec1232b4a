package resource

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/events"
)

// Trainers.
const (
	TrainerLinear  = "builtin/linear"
	TrainerProcess = "process"
)

// Defaults that depend on other fields, so that the schema can't hold them.
const (
	defaultFormat     = "parquet" // of a process trainer
	poolGPU           = "gpu"     // of a candidate that wants some and names no pool
	defaultConfidence = 0.95      // of a gate against the champion
)

func (c *checker) model(m *ModelSpec) {
	seen := map[string]int{}
	for i := range m.Candidates {
		p := path("spec", "candidates", i)
		c.unique(p.with("name"), "candidate", seen, m.Candidates[i].Name, m.Candidates[i].Name, i)
		if m.Candidates[i].Name == events.ImportedCandidate {
			c.fail(p.with("name"), "choose another name", "%s: %q is what an imported model is called", p.with("name"), events.ImportedCandidate)
		}
		c.candidate(p, &m.Candidates[i])
		c.search(p.with("search"), &m.Candidates[i])
	}
	c.classWeights(path("spec", "classWeights"), m)
	if m.Evaluation.Primary == "" {
		m.Evaluation.Primary = "logloss"
		if m.Task == TaskRegression {
			m.Evaluation.Primary = "rmse"
		}
	}
	c.metric(path("spec", "evaluation", "primary"), m.Evaluation.Primary, m.Task)
	for i := range m.Evaluation.Gates {
		c.gate(path("spec", "evaluation", "gates", i), &m.Evaluation.Gates[i], m.Task)
	}
}

func (c *checker) candidate(p pointer, k *Candidate) {
	if k.Trainer != TrainerProcess {
		for _, name := range []string{"command", "source", "format", "metrics", "secrets", "predict", "code"} {
			if _, given := c.field(p.with(name)); given {
				c.fail(p.with(name), "remove it, or write trainer: process", "%s: %s takes no %s", p.with(name), k.Trainer, name)
			}
		}
		return
	}
	if k.Format == "" {
		k.Format = defaultFormat
	}
	if _, given := c.field(p.with("pool")); !given && k.Resources.GPU > 0 {
		k.Pool = poolGPU
	}
	if _, given := c.field(p.with("predict")); given && (len(k.Predict) == 0 || strings.TrimSpace(k.Predict[0]) == "") {
		c.fail(p.with("predict"), "for example predict: [python3, predict.py]", "%s: the program to run is empty", p.with("predict"))
	}
	c.secrets(p.with("secrets"), k.Secrets)
	if len(k.Command) == 0 {
		c.fail(p, "for example command: [python3, train.py]", "%s: a process needs a command", p)
	} else if strings.TrimSpace(k.Command[0]) == "" {
		c.fail(p.with("command"), "", "%s: the program to run is empty", p.with("command"))
	}
	if _, given := c.field(p.with("source")); given {
		c.source(p.with("source"), k.Source)
	}
	for i, m := range k.Metrics {
		at := p.with("metrics").with(strconv.Itoa(i)).with("regex")
		re, err := regexp.Compile(m.Regex)
		switch {
		case err != nil:
			c.fail(at, "expressions are RE2: https://github.com/google/re2/wiki/Syntax", "%s: %v", at, err)
		case re.NumSubexp() == 0:
			c.fail(at, "put the number into a group, for example 'loss: ([0-9.]+)'", "%s: the expression has no group", at)
		}
	}
}

// secrets refuses names that the platform itself gives a trial.
func (c *checker) secrets(p pointer, names []string) {
	seen := map[string]int{}
	for i, name := range names {
		at := p.with(strconv.Itoa(i))
		c.unique(at, "secret", seen, name, name, i)
		if strings.HasPrefix(name, "SM_") || strings.HasPrefix(name, "TIDEMILL_") || slices.Contains([]string{"PATH", "HOME", "LANG", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH"}, name) {
			c.fail(at, "give the variable another name", "%s: %s is the platform's own variable", at, name)
		}
	}
}

// classWeights only mean something for classes.
func (c *checker) classWeights(p pointer, m *ModelSpec) {
	if m.ClassWeights == nil {
		return
	}
	if m.Task == TaskRegression {
		c.fail(p, "use weight", "%s: a regression has no classes", p)
	}
	if m.Task == TaskBinary {
		for name := range m.ClassWeights.Each {
			if name != "true" && name != "false" {
				c.fail(p.with(name), "", "%s: the classes of a %s are true and false", p.with(name), m.Task)
			}
		}
	}
}

// source keeps a trainer's folder beside its YAML file, or takes an absolute one: that is what the command line makes of it when
// it sends the file to the platform.
func (c *checker) source(p pointer, source string) {
	slashed := strings.ReplaceAll(source, `\`, "/")
	drive := len(slashed) > 1 && slashed[1] == ':'
	switch {
	case strings.TrimSpace(source) == "":
		c.fail(p, "source: . is this file's own folder", "%s is empty", p)
	case filepath.IsAbs(source):
	case strings.HasPrefix(slashed, "/") || strings.HasPrefix(slashed, "~") || drive || strings.Contains(slashed, "://"):
		c.fail(p, "for example source: ./lightgbm", "%s: %q must be a folder relative to this file", p, source)
	case !filepath.IsLocal(filepath.FromSlash(slashed)):
		c.fail(p, "move the folder beside this file", "%s: %q leads out of this file's folder", p, source)
	}
}

func (c *checker) gate(p pointer, g *Gate, task string) {
	c.metric(p.with("metric"), g.Metric, task)
	if g.Min == nil && g.Max == nil && g.Versus == "" {
		c.fail(p, "for example min: 0.6, or versus: champion", "%s checks nothing: it needs min, max or versus", p)
	}
	if g.Min != nil && g.Max != nil && *g.Min > *g.Max {
		c.fail(p.with("min"), "", "%s is %v; it must not be above max, which is %v", p.with("min"), *g.Min, *g.Max)
	}
	if g.Versus == "" {
		for _, name := range []string{"nonInferiority", "confidence"} {
			if _, given := c.field(p.with(name)); given {
				c.fail(p.with(name), "add versus: champion", "%s only means something with versus", p.with(name))
			}
		}
		return
	}
	if g.Confidence == 0 {
		g.Confidence = defaultConfidence
	}
}
