package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

const applyPath = "POST /api/v1/resources"

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func applied(f *fake) {
	f.say(applyPath, listOf(
		api.Applied{Kind: "Dataset", Name: "visits", Action: "created", Revision: 1, Changes: []api.Change{{New: map[string]any{"kind": "Dataset", "spec": map[string]any{"columns": []any{"a"}}}}}},
		api.Applied{Kind: "Model", Name: "buyers", Action: "configured", Revision: 2, Changes: []api.Change{{Path: "spec.split.test", Old: "7d", New: "14d"}, {Path: "spec.seed", New: 7}, {Path: "metadata.description", Old: "old one"}}},
		api.Applied{Kind: "RetrainingPolicy", Name: "buyers", Action: "unchanged", Revision: 1}))
}

func TestApplyAndDiff(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	applied(f)
	file := write(t, t.TempDir(), "p.yaml", policyYAML)
	text := session(t, f, []string{"apply", "-f", file}, []string{"apply", "-f", file, "--dry-run"}, []string{"diff", "-f", file}, []string{"diff", "-f", file, "-o", "yaml"})
	golden(t, "apply.txt", strings.ReplaceAll(text, file, "p.yaml"))
	asks := f.asks(applyPath)
	require.Len(t, asks, 4)
	require.Equal(t, policyYAML, asks[0].body, "what a person wrote is sent as it is")
	require.Equal(t, "application/yaml", asks[0].contentType)
	require.NotContains(t, asks[0].query, "dryRun")
	for _, a := range asks[1:] {
		require.Contains(t, a.query, "dryRun=true")
	}
	r := runWith(t, f, policyYAML, "apply", "-f", "-")
	require.Zero(t, r.code, r.err)
	require.Contains(t, f.asks(applyPath)[4].query, "file=stdin")
}

// stores lets a fake store code, and tells what it has.
func stores(f *fake) {
	f.onAny("HEAD /api/v1/code/", func(w http.ResponseWriter, r *http.Request) {
		if len(f.asks("PUT "+r.URL.Path)) == 0 {
			problem(w, api.Problem{Status: http.StatusNotFound})
		}
	})
	f.onAny("PUT /api/v1/code/", func(w http.ResponseWriter, _ *http.Request) { reply(w, events.Blob{}) })
}

// codeOf is the code of the only candidate in what was sent.
func codeOf(t *testing.T, r request) events.Blob {
	t.Helper()
	require.Equal(t, "application/json", r.contentType)
	declared, err := resource.ParseJSON([]byte(r.body))
	require.NoError(t, err)
	c := declared[0].Model.Candidates[0]
	require.NotNil(t, c.Code)
	return *c.Code
}

// TestSourceFoldersArePacked in whatever way they are written: a changed file is a change of the model, and what is stored is not
// sent again.
func TestSourceFoldersArePacked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	train := write(t, filepath.Join(dir, "the trainer's"), "train.py", "print(1)")
	f := newFake(t)
	applied(f)
	stores(f)
	var first events.Blob
	for i, written := range []string{"./the trainer's", `"./the trainer's"`, `'./the trainer''s'`} {
		file := write(t, dir, fmt.Sprintf("m%d.yaml", i), strings.Replace(modelYAML, "SOURCE", written, 1))
		r := run(t, f, "apply", "-f", file)
		require.Zero(t, r.code, "%s: %s", written, r.err)
		code := codeOf(t, f.asks(applyPath)[i])
		if i == 0 {
			first = code
		}
		require.Equal(t, first, code)
		require.Equal(t, "code/"+code.SHA256+".tar.gz", code.Key)
	}
	put := f.asks("PUT /api/v1/code/" + first.SHA256)
	require.Len(t, put, 1, "what is stored is not sent again")
	require.Equal(t, first.SHA256, events.SHA256([]byte(put[0].body)))
	require.EqualValues(t, len(put[0].body), first.Bytes)

	write(t, filepath.Dir(train), "train.py", "print(2)")
	file := filepath.Join(dir, "m0.yaml")
	r := run(t, f, "diff", "-f", file)
	require.Zero(t, r.code, r.err)
	changed := codeOf(t, f.asks(applyPath)[3])
	require.NotEqual(t, first.SHA256, changed.SHA256)
	require.Empty(t, f.asks("PUT /api/v1/code/"+changed.SHA256), "a comparison stores nothing")
	require.Zero(t, run(t, f, "apply", "-f", file).code)
	require.Len(t, f.asks("PUT /api/v1/code/"+changed.SHA256), 1)
}

// TestPinnedCodeNeedsNoFolder applies on another machine what was got from the platform.
func TestPinnedCodeNeedsNoFolder(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("a", 64)
	text := strings.Replace(modelYAML, "source: SOURCE", "source: ./gone, code: {key: code/"+sum+".tar.gz, sha256: "+sum+", bytes: 7}", 1)
	f := newFake(t)
	applied(f)
	r := run(t, f, "apply", "-f", write(t, t.TempDir(), "m.yaml", text))
	require.Zero(t, r.code, r.err)
	require.Equal(t, text, f.asks(applyPath)[0].body)
}

// TestFindingsAboutPackedModels are told where they were written, though something else was sent.
func TestFindingsAboutPackedModels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "own"), "train.py", "print(1)")
	file := write(t, dir, "m.yaml", strings.Replace(modelYAML, "SOURCE", "own", 1))
	f := newFake(t)
	stores(f)
	f.refuse(applyPath, api.Problem{Status: 422, Detail: "one thing is wrong", Errors: []api.ErrorDetail{{Message: "there is no Dataset", Location: "[0].spec.dataset"}}})
	r := run(t, f, "apply", "-f", file)
	require.Equal(t, result{1, "", "error: there is no Dataset\n  " + file + ":5:12\n"}, r)
}

func TestUnusableSourceFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	write(t, dir, "file", "x")
	require.NoError(t, os.Truncate(write(t, filepath.Join(dir, "big"), "rows.bin", ""), 65<<20))
	for source, says := range map[string]string{"./empty": "holds no files", "./file": "is not a folder", "./big": "more than 64 MiB"} {
		f := newFake(t)
		file := write(t, dir, "m-"+filepath.Base(source)+".yaml", strings.Replace(modelYAML, "SOURCE", source, 1))
		r := run(t, f, "apply", "-f", file)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, says)
		require.Contains(t, r.err, file+":11:")
		require.Empty(t, f.asks(applyPath), "nothing is sent")
	}
}

func TestMissingSourceFolderSaysWhere(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	file := write(t, t.TempDir(), "m.yaml", strings.Replace(modelYAML, "SOURCE", "./nowhere", 1))
	r := run(t, f, "apply", "-f", file)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "nowhere can't be read")
	require.Contains(t, r.err, file+":11:")
	require.Empty(t, f.asks(applyPath), "nothing is sent")
}

// TestFolderIsOneBundle sends all files of a folder as one, and puts the API's findings back where they were written.
func TestFolderIsOneBundle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := write(t, dir, "a.yaml", policyYAML)
	second := write(t, dir, "b.yml", strings.Replace(modelYAML, "trainer: process, source: SOURCE, command: [python3, train.py]", "trainer: builtin/linear", 1))
	write(t, dir, "c.txt", "no YAML")
	f := newFake(t)
	line := strings.Count(policyYAML, "\n") + 2
	f.refuse(applyPath, api.Problem{Status: 422, Detail: "the resources were not applied: 2 things are wrong", Errors: []api.ErrorDetail{
		{Message: "there is no Model", Location: "declarations:5:10"}, {Message: "there is no Dataset", Location: fmt.Sprintf("declarations:%d:12", line+5), Hint: "declare it"}}})
	r := run(t, f, "apply", "-f", dir)
	require.Equal(t, 1, r.code)
	require.Equal(t, fmt.Sprintf("error: the resources were not applied: 2 things are wrong\n  %s:5:10: there is no Model\n  %s:5:12: there is no Dataset\n    declare it\n", first, second), r.err)
	declared, err := resource.Parse([]byte(f.asks(applyPath)[0].body), "")
	require.NoError(t, err)
	require.Len(t, declared, 2)
	require.Equal(t, "dataset: visits", strings.TrimSpace(strings.Split(f.asks(applyPath)[0].body, "\n")[line+4]), "the line that the API means")
}

func TestWrongFilesAreNotSent(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := t.TempDir()
	typo := write(t, dir, "typo.yaml", strings.Replace(policyYAML, "when:", "whem:", 1))
	r := run(t, f, "apply", "-f", typo)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, typo+":6:")
	require.Contains(t, r.err, `did you mean "when"?`)

	one, two := write(t, dir, "one.yaml", policyYAML), write(t, dir, "two.yaml", policyYAML)
	r = run(t, f, "apply", "-f", one, "-f", two)
	require.Equal(t, 1, r.code)
	require.Equal(t, "error: RetrainingPolicy flight-delay is declared twice\n  "+two+":3:18\n  the first is at "+one+":3:18\n", r.err)

	r = run(t, f, "apply", "-f", write(t, dir, "empty.yaml", "# nothing\n"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "no resource in this file")
	require.Empty(t, f.asks(applyPath))
}

func TestDelete(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.say("DELETE /api/v1/resources/policies/buyers", api.Applied{Kind: "RetrainingPolicy", Name: "buyers", Action: "deleted"})
	r := run(t, f, "delete", "RetrainingPolicy", "buyers")
	require.Equal(t, result{0, "RetrainingPolicy buyers deleted\n", ""}, r)
}

func rowsCSV() string {
	var b strings.Builder
	b.WriteString("at,id,pages,source,spent\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "2024-03-%02dT%02d:00:00Z,%d,%d,%s,%d\n", 1+i/300, i%24, i, i%20, []string{"ad", "mail"}[i%2], i%7%3)
	}
	return b.String()
}

// TestInit infers declarations that can be applied as they are.
func TestInit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "my visits.csv", rowsCSV())
	r := run(t, nil, "init", file, "--time", "at", "--label", "spent > 0")
	require.Zero(t, r.code, r.err)
	golden(t, "init.yaml", r.out)
	declared, err := resource.Parse([]byte(r.out), "init.yaml")
	require.NoError(t, err)
	require.NoError(t, resource.CrossCheck(declared))

	classes := run(t, nil, "init", file, "--label", "spent", "--name", "classes")
	require.Zero(t, classes.code, "the only timestamp is the time: %s", classes.err)
	require.Contains(t, classes.out, "task: multiclassClassification")
	require.Contains(t, classes.out, "metadata: {name: classes}")

	out := filepath.Join(dir, "visits.yaml")
	r = run(t, nil, "init", file, "--time", "at", "--label", "spent > 0", "--out", out)
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.out, "tidemill apply -f "+out)
	r = run(t, nil, "init", file, "--time", "at", "--label", "spent > 0", "--out", out)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "exists already")
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "visits.csv", rowsCSV())
	timeless := write(t, dir, "timeless.ndjson", "{\"a\":1}\n{\"a\":2}\n")
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, `"paces"`, []string{file, "--time", "paces", "--label", "spent > 0"}},
		{1, `the label "spend > 0" can't be computed`, []string{file, "--time", "at", "--label", "spend > 0"}},
		{1, "can't be computed", []string{file, "--time", "at", "--label", "read_text('/etc/passwd')"}},
		{2, "its timestamps: none", []string{timeless, "--label", "a"}},
		{1, "csv", []string{write(t, dir, "rows.docx", "x"), "--label", "a"}},
	} {
		r := run(t, nil, append([]string{"init"}, c.args...)...)
		require.Equal(t, c.code, r.code, "%s%s", r.out, r.err)
		require.Contains(t, r.err, c.says)
		require.Empty(t, r.out)
	}
}
