package search_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
)

func whole(low, high int64) resource.Range   { return resource.Range{Int: &[2]int64{low, high}} }
func logInt(low, high int64) resource.Range  { return resource.Range{LogInt: &[2]int64{low, high}} }
func float(low, high float64) resource.Range { return resource.Range{Float: &[2]float64{low, high}} }
func logs(low, high float64) resource.Range  { return resource.Range{Log: &[2]float64{low, high}} }
func choice(values ...any) resource.Range    { return resource.Range{Choice: values} }

func stepped(r resource.Range, step float64) resource.Range { r.Step = step; return r }
func steps(r resource.Range, n int) resource.Range          { r.Steps = n; return r }

// trial is what running a proposal gives.
type trial func(p search.Proposal) search.Result

// scored is a trial that succeeds with a figure of its params.
func scored(f func(params map[string]any) float64) trial {
	return func(p search.Proposal) search.Result {
		return search.Result{Number: p.Number, Params: p.Params, Value: f(p.Params), OK: true}
	}
}

// run carries a whole search out.
func run(t testing.TB, s *resource.Search, seed int64, better evaluation.Direction, f trial) ([]search.Proposal, []search.Result) {
	t.Helper()
	var proposed []search.Proposal
	var done []search.Result
	for {
		next, err := search.Next(s, seed, better, done)
		require.NoError(t, err)
		if len(next) == 0 {
			return proposed, done
		}
		for _, p := range next {
			require.Equal(t, len(proposed)+1, p.Number)
			proposed = append(proposed, p)
			done = append(done, f(p))
		}
		require.LessOrEqual(t, len(done), resource.MaxTrials)
	}
}

func num(v any) float64 { f, _ := v.(float64); return f }
