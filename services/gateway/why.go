package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/gateway/projection"
	"github.com/tidemill/tidemill/services/internal/narrate"
)

// maxChain bounds how far causes are followed.
const maxChain = 100

// why explains a version; "" is the champion.
func (s *Service) why(ctx context.Context, name, version string) (api.Why, error) {
	r, err := s.find(resource.KindModel, name)
	if err != nil {
		return api.Why{}, err
	}
	out := api.Why{Model: name, Chain: []api.WhyStep{}}
	if version == "" {
		m := s.model(r)
		if m.Champion == nil {
			out.Text = fmt.Sprintf("%s has no live version. %s", name, s.waits(m))
			return out, nil
		}
		version = m.Champion.Version.Version
	}
	v, origin, ok := s.projection.Version(name, version)
	if !ok {
		return out, unknown("version", version, s.versionNames(name))
	}
	facts, err := s.chain(ctx, origin)
	if err != nil {
		return out, err
	}
	for _, f := range facts {
		out.Chain = append(out.Chain, api.WhyStep{Seq: f.Seq, ID: f.ID, Type: f.Type.Short(), At: f.Time, Text: narrate.Text(f)})
	}
	out.Version = &v
	if c, ok := s.projection.Cycle(name, v.Cycle); ok {
		out.Cycle = &c
	}
	if p, ok := s.projection.Request(name, v.Cycle); ok {
		out.Policy = p.Reasons
	}
	out.Text = paragraph(r.Model, out, origin, facts)
	return out, nil
}

// chain reads the facts that led to a version, newest first. A version that was put back has two: the rollback, and how it came to be.
func (s *Service) chain(ctx context.Context, o projection.Origin) ([]events.Fact, error) {
	starts := []uint64{o.Ready, o.Promoted}
	if o.Ready == 0 {
		starts = []uint64{max(o.Judged, o.Trained)}
	}
	var out []events.Fact
	seen := map[uint64]bool{}
	for _, seq := range starts {
		for seq != 0 && !seen[seq] && len(out) < maxChain {
			seen[seq] = true
			f, err := s.host.Ledger.Get(ctx, seq)
			if errors.Is(err, bus.ErrNoFact) {
				break
			}
			if err != nil {
				return nil, err
			}
			out = append(out, f)
			seq = f.CausationSeq
		}
	}
	return out, nil
}

// paragraph tells the story of a version.
func paragraph(m *resource.ModelSpec, w api.Why, o projection.Origin, facts []events.Fact) string {
	v := w.Version
	text := []string{standing(w, o, facts)}
	if c := w.Cycle; c != nil {
		text = append(text, fmt.Sprintf("It was trained in cycle %s, which was requested because %s.", c.Cycle, lower(narrate.Causes(c.Causes))))
		learned := fmt.Sprintf("It learned from the rows of %s up to segment %d (%s in all, %s)", c.Snapshot.Dataset, c.Snapshot.Through,
			narrate.Rows(c.Snapshot.Rows), c.Snapshot.Window)
		if v.Candidate != "" {
			learned += ", as candidate " + v.Candidate
		}
		text = append(text, fmt.Sprintf("%s; the newest it saw is of %s.", learned, narrate.Moment(v.TrainedThrough)))
	}
	if v.Verdict != nil {
		text = append(text, judgement(m, v.Verdict, w.Cycle))
	}
	return strings.Join(text, " ")
}

// standing is how the version stands now.
func standing(w api.Why, o projection.Origin, facts []events.Fact) string {
	v := w.Version
	name := fmt.Sprintf("Version %s of %s", v.Version.Version, w.Model)
	switch v.State {
	case "champion":
		if o.Ready == o.Promoted {
			return fmt.Sprintf("%s is live since %s UTC.", name, narrate.Moment(v.PromotedAt))
		}
		return fmt.Sprintf("%s is live again since %s UTC%s.", name, narrate.Moment(v.PromotedAt), rolledBack(facts))
	case "retired":
		return fmt.Sprintf("%s was live from %s UTC on and has been replaced.", name, narrate.Moment(v.PromotedAt))
	case "refitted":
		return fmt.Sprintf("%s passed its gates; the same recipe trained again on all rows took its place.", name)
	case "rejected":
		reason := ""
		if w.Cycle != nil && w.Cycle.Reason != "" {
			reason = ": " + strings.TrimSuffix(w.Cycle.Reason, ".")
		}
		return fmt.Sprintf("%s never went live%s.", name, reason)
	}
	return fmt.Sprintf("%s is a candidate that is not decided on yet.", name)
}

// rolledBack says who was put away for this version, and why.
func rolledBack(facts []events.Fact) string {
	text := ""
	for _, f := range facts {
		switch f.Type {
		case events.ModelReadyType:
			if p, err := events.PayloadOf[events.ModelReady](f); err == nil && p.Reason == events.ReadyRolledBack && text == "" {
				text = fmt.Sprintf(", because version %s was rolled back", p.Previous)
			}
		case events.RollbackAskedType:
			if p, err := events.PayloadOf[events.RollbackAsked](f); err == nil && p.Reason != "" {
				return text + " (" + strings.TrimSuffix(p.Reason, ".") + ")"
			}
		}
	}
	return text
}

// judgement says how the version did on the rows that judged it.
func judgement(m *resource.ModelSpec, v *events.Verdict, c *api.Cycle) string {
	primary := m.Evaluation.Primary
	text := fmt.Sprintf("It was judged on %s", narrate.Rows(v.Rows))
	if !v.From.IsZero() {
		text += fmt.Sprintf(" from %s to %s", narrate.Moment(v.From), narrate.Moment(v.To))
	}
	if own, ok := v.Metrics[primary]; ok {
		text += fmt.Sprintf(": %s %s", primary, narrate.Figure(own))
		if theirs, ok := v.ChampionMetrics[primary]; ok {
			champion := "the champion"
			if c != nil && c.Champion != "" {
				champion = "version " + c.Champion
			}
			text += fmt.Sprintf(" against %s of %s", narrate.Figure(theirs), champion)
		}
	}
	if v.Reason != "" {
		text += "; " + strings.TrimSuffix(v.Reason, ".")
	}
	return text + "."
}

// lower begins a sentence as the middle of another; a word of capitals or figures stays.
func lower(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// whyNot explains why no cycle runs now.
func (s *Service) whyNot(name string) (api.WhyNot, error) {
	r, err := s.find(resource.KindModel, name)
	if err != nil {
		return api.WhyNot{}, err
	}
	m := s.model(r)
	out := api.WhyNot{Model: name, Text: s.waits(m), Now: s.host.Clock(), Reasons: []events.Reason{}}
	if m.Evaluation != nil {
		out.Now = m.Evaluation.Now
		if m.Evaluation.Reasons != nil {
			out.Reasons = m.Evaluation.Reasons
		}
	}
	return out, nil
}

// waits says what a model's next cycle waits for.
func (s *Service) waits(m api.Model) string {
	e := m.Evaluation
	switch {
	case m.Cycle != nil:
		return fmt.Sprintf("Cycle %s is under way (%s), requested because %s.", m.Cycle.Cycle, m.Cycle.State, lower(narrate.Causes(m.Cycle.Causes)))
	case m.Paused:
		return fmt.Sprintf("Automatic retraining is paused; 'tidemill resume %s' lets it go on.", m.Name)
	case m.Policy == "":
		return fmt.Sprintf("It has no policy, so cycles run only when somebody asks: 'tidemill retrain %s'.", m.Name)
	case e == nil:
		return fmt.Sprintf("Its policy has seen no rows of %s yet.", m.Dataset)
	case e.Fired && !e.Requested:
		return "The policy wants a cycle, but something holds it back: " + unmet(e.Reasons, true)
	case e.Requested:
		return fmt.Sprintf("The last evaluation requested cycle %s, which has ended; nothing new has been decided since.", e.Cycle)
	}
	return "Nothing calls for a cycle yet: " + unmet(e.Reasons, false)
}

// guardrails is the rule whose children hold cycles back; everything beside it is a trigger.
const guardrails = "guardrails"

// unmet tells which rules do not hold: guardrails when the triggers fired, else triggers.
func unmet(reasons []events.Reason, fired bool) string {
	var texts []string
	var visit func(r events.Reason)
	visit = func(r events.Reason) {
		for _, child := range r.Children {
			visit(child)
		}
		if len(r.Children) == 0 && !r.Holds && r.Text != "" {
			texts = append(texts, strings.TrimSuffix(r.Text, "."))
		}
	}
	for _, r := range reasons {
		if (r.Rule == guardrails) == fired {
			visit(r)
		}
	}
	if len(texts) == 0 {
		return "see its reasons."
	}
	return strings.Join(texts, "; ") + "."
}
