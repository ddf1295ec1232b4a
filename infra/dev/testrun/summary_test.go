package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	require.Equal(t, [][]string{{"-v", "./..."}, {"-p", "1", "./e2e/..."}},
		split([]string{"--", "-v", "./...", "--", "-p", "1", "./e2e/...", "--"}))
	require.Empty(t, split(nil))
}

func TestSummary(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		events string
		want   counts
		ok     bool
		says   []string
		hides  []string
	}{
		{
			name: "passing tests are counted and stay quiet",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
				{"Action":"pass","Package":"p","Test":"TestA/sub"}
				{"Action":"pass","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p","Elapsed":1.5}`,
			want: counts{passed: 2}, ok: true,
			says: []string{"ok    p  1.5s", "\n2 passed, 0 failed\n"}, hides: []string{"chatter"},
		},
		{
			name: "a failed test shows its output, and its package adds nothing",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"want 1, got 2\n"}
				{"Action":"fail","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p","Test":"TestB"}
				{"Action":"output","Package":"p","Output":"FAIL\n"}
				{"Action":"fail","Package":"p"}`,
			want: counts{passed: 1, failed: 1}, says: []string{"want 1, got 2", "failed: p TestA", "\n1 passed, 1 failed\n"},
		},
		{
			name: "a package that does not build is a failure with the compiler's words",
			events: `{"Action":"build-output","ImportPath":"p [p.test]","Output":"p.go:3: undefined: x\n"}
				{"Action":"build-fail","ImportPath":"p [p.test]"}
				{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
			want: counts{failed: 1}, says: []string{"undefined: x", "failed: p (build)"},
		},
		{
			name: "a package that dies without a failed test is a failure",
			events: `{"Action":"pass","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Output":"panic: test timed out after 1s\n"}
				{"Action":"fail","Package":"p"}`,
			want: counts{passed: 1, failed: 1}, says: []string{"test timed out", "failed: p\n"},
		},
		{
			name: "skipped tests are named",
			events: `{"Action":"skip","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p","Test":"TestB"}`,
			want: counts{passed: 1, skipped: 1}, ok: true,
			says: []string{"skipped: p TestA", "\n1 passed, 0 failed, 1 skipped\n"},
		},
		{
			name: "no test at all is not a success", events: `{"Action":"skip","Package":"p"}`,
			says: []string{"no test ran", "\n0 passed, 0 failed\n"},
		},
		{
			name: "what is no event is passed on", events: "warning: \"./x\" matched no packages\n{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"T\"}",
			want: counts{passed: 1}, ok: true, says: []string{"matched no packages"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out)
			require.NoError(t, s.read(strings.NewReader(tc.events)))
			s.print(0)
			require.Equal(t, tc.want, s.counts)
			require.Equal(t, tc.ok, s.ok())
			for _, text := range tc.says {
				require.Contains(t, out.String(), text)
			}
			for _, text := range tc.hides {
				require.NotContains(t, out.String(), text)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := newSummary(&out)
	require.NoError(t, command(t.Context(), []string{"sh", "-c", "echo quiet"}, s, &out))
	require.NoError(t, command(t.Context(), []string{"sh", "-c", "echo loud; exit 3"}, s, &out))
	require.Error(t, command(t.Context(), nil, s, &out))
	require.Equal(t, counts{passed: 1, failed: 1}, s.counts)
	require.NotContains(t, out.String(), "quiet\n--")
	require.Contains(t, out.String(), "loud\nexit status 3\n")
}
