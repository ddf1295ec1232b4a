package lake_test

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

const day = 24 * time.Hour

func days(n float64) events.Duration { return events.Duration(n * float64(day)) }

var jan = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// daily is n segments, one a day, of 1,000 rows.
func daily(n int) []lake.Part {
	var out []lake.Part
	for i := range n {
		out = append(out, lake.Part{Ordinal: uint64(i + 1), Rows: 1000, MinTime: jan.Add(time.Duration(i) * day), MaxTime: jan.Add(time.Duration(i+1)*day - time.Microsecond)})
	}
	return out
}

func ordinals(s lake.Selection) (out []uint64) {
	for _, p := range s.Parts {
		out = append(out, p.Ordinal)
	}
	return out
}

func TestPlanByTime(t *testing.T) {
	t.Parallel()
	split := resource.Split{Validation: days(3), Test: days(7), Gap: days(1)}
	at := func(d int) time.Time { return jan.Add(time.Duration(d) * day) }
	p, err := lake.MakePlan(daily(28), events.Window{}, split)
	require.NoError(t, err)
	require.Equal(t, lake.Range{From: at(21), To: at(28)}, p.Test.Range)
	require.Equal(t, lake.Range{From: at(17), To: at(20)}, p.Validation.Range)
	require.Equal(t, lake.Range{From: at(0), To: at(16)}, p.Train.Range)
	require.Equal(t, []uint64{22, 23, 24, 25, 26, 27, 28}, ordinals(p.Test))
	require.Equal(t, []uint64{18, 19, 20}, ordinals(p.Validation))

	for w, want := range map[events.Window]struct {
		r     lake.Range
		first uint64
	}{
		{Duration: days(7)}:   {lake.Range{From: at(9), To: at(16)}, 10},
		{Duration: days(99)}:  {lake.Range{From: at(0), To: at(16)}, 1},
		{Rows: 2500}:          {lake.Range{From: at(13), To: at(16), Newest: 2500}, 14},
		{Rows: 99_000}:        {lake.Range{From: at(0), To: at(16), Newest: 99_000}, 1},
		{Segments: 4}:         {lake.Range{From: at(12), To: at(16)}, 13},
		{Segments: 1_000_000}: {lake.Range{From: at(0), To: at(16)}, 1},
	} {
		p, err := lake.MakePlan(daily(28), w, split)
		require.NoError(t, err)
		require.Equal(t, want.r, p.Train.Range, w)
		require.Equal(t, want.first, p.Train.Parts[0].Ordinal, w)
		require.Equal(t, uint64(16), p.Train.Parts[len(p.Train.Parts)-1].Ordinal, w)
	}

	p, err = lake.MakePlan(daily(10), events.Window{}, resource.Split{Test: days(2)})
	require.NoError(t, err)
	require.True(t, p.Validation.Range.Empty())
	require.Empty(t, p.Validation.Parts)
	require.Equal(t, at(8), p.Train.Range.To)

	_, err = lake.MakePlan(daily(10), events.Window{}, resource.Split{Validation: days(3), Test: days(7)})
	require.ErrorIs(t, err, lake.ErrTooLittle)
	require.ErrorContains(t, err, "the hold-out of 10d leaves nothing to train on")
	_, err = lake.MakePlan(nil, events.Window{}, split)
	require.ErrorIs(t, err, lake.ErrTooLittle)
}

// Every row is in at most one of the three parts, a part's rows lie in its segments, nothing of the expanding window is left
// out but the gaps, and training never sees a row as late as the hold-out.
func TestPlanPartsNeverOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		type row struct {
			at   time.Time
			part int
		}
		var all []row
		var parts []lake.Part
		for i := range rapid.IntRange(1, 12).Draw(t, "segments") {
			p := lake.Part{Ordinal: uint64(i + 1), Rows: rapid.Int64Range(0, 20).Draw(t, "rows")}
			for j := range p.Rows { // late rows: segments overlap in time
				at := jan.Add(time.Duration(i)*day + time.Duration(rng.Int64N(int64(3*day)))).Truncate(time.Hour)
				if j == 0 || at.Before(p.MinTime) {
					p.MinTime = at
				}
				if j == 0 || at.After(p.MaxTime) {
					p.MaxTime = at
				}
				all = append(all, row{at, i})
			}
			parts = append(parts, p)
		}
		w := rapid.SampledFrom([]events.Window{{}, {Duration: days(2)}, {Rows: 15}, {Segments: 2}}).Draw(t, "window")
		split := resource.Split{Validation: days(rapid.Float64Range(0, 3).Draw(t, "validation")),
			Test: days(rapid.Float64Range(0, 3).Draw(t, "test")), Gap: days(rapid.Float64Range(0, 1).Draw(t, "gap"))}
		shuffled := slices.Clone(parts)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		plan, err := lake.MakePlan(shuffled, w, split)
		if err != nil {
			require.ErrorIs(t, err, lake.ErrTooLittle)
			return
		}
		again, err := lake.MakePlan(parts, w, split)
		require.NoError(t, err)
		require.Equal(t, again, plan)

		in := func(s lake.Selection, r row) bool {
			inside := s.Range.Contains(r.at)
			has := slices.ContainsFunc(s.Parts, func(p lake.Part) bool { return p.Ordinal == uint64(r.part+1) })
			if w.Segments == 0 || s.Range != plan.Train.Range {
				require.True(t, !inside || has, "a row of the range %v lies in a segment that is not read", s.Range)
			}
			return inside && has
		}
		eligible := 0
		var newest, trained []time.Time
		for _, r := range all {
			n := 0
			for _, s := range []lake.Selection{plan.Train, plan.Validation, plan.Test} {
				if in(s, r) {
					n++
				}
			}
			require.LessOrEqual(t, n, 1)
			if n == 0 && w.Expanding() {
				require.Positive(t, int64(split.Gap), "a row is lost without a gap: %v", r.at)
			}
			if r.at.Before(plan.Train.Range.To) {
				eligible++
				newest = append(newest, r.at)
				if in(plan.Train, r) {
					trained = append(trained, r.at)
				}
			}
		}
		if w.Rows > 0 {
			want := min(int(w.Rows), eligible)
			sort.Slice(newest, func(i, j int) bool { return newest[i].After(newest[j]) })
			require.GreaterOrEqual(t, len(trained), want, "the range holds the newest rows")
			for _, at := range newest[:want] {
				require.True(t, plan.Train.Range.Contains(at))
			}
		}
		require.False(t, plan.Train.Range.To.After(plan.Validation.Range.From))
		require.False(t, plan.Validation.Range.To.After(plan.Test.Range.From))
	})
}

// A sample is drawn from all rows before the hold-out.
func TestPlanOfASample(t *testing.T) {
	t.Parallel()
	split := resource.Split{Validation: days(3), Test: days(7)}
	all, err := lake.MakePlan(daily(28), events.Window{}, split)
	require.NoError(t, err)
	for method, balanced := range map[string]bool{events.SampleReservoir: false, events.SampleBalanced: true} {
		p, err := lake.MakePlan(daily(28), events.Window{Sample: 5000, Method: method}, split)
		require.NoError(t, err)
		require.Equal(t, lake.Draw{Rows: 5000, Balanced: balanced}, p.Train.Range.Draw)
		p.Train.Range.Draw = lake.Draw{}
		require.Equal(t, all, p)
	}
}

// Shares are as even as the classes allow, and nothing is left over.
func TestQuotas(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int64{4, 3, 3}, lake.Quotas(10, []int64{9, 9, 9}))
	require.Equal(t, []int64{5, 1, 4}, lake.Quotas(10, []int64{9, 1, 9}))
	require.Equal(t, []int64{2, 0, 3}, lake.Quotas(10, []int64{2, 0, 3}))
	rapid.Check(t, func(t *rapid.T) {
		have := rapid.SliceOfN(rapid.Int64Range(0, 50), 0, 6).Draw(t, "have")
		n := rapid.Int64Range(0, 200).Draw(t, "n")
		got := lake.Quotas(n, have)
		require.Len(t, got, len(have))
		total, there, most := int64(0), int64(0), int64(0)
		for i := range got {
			require.True(t, got[i] >= 0 && got[i] <= have[i])
			total, there, most = total+got[i], there+have[i], max(most, got[i])
		}
		require.Equal(t, min(n, there), total)
		for i := range got {
			require.True(t, got[i] == have[i] || got[i] >= most-1, "class %d of %v has %v, though it has more", i, have, got)
		}
	})
}
