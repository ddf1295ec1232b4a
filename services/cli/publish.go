package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

// lookEvery is how often a command that waits looks.
const lookEvery = 100 * time.Millisecond

type publishFlags struct {
	form, id      string
	again         bool
	wait, noWait  bool
	output        *string
	dataset, path string
	client        *call.Client
}

func (a *app) publish() *cobra.Command {
	p := publishFlags{}
	c := &cobra.Command{Use: "publish DATASET FILE|-", Short: "Publish a file of rows: .parquet, .csv or .ndjson", Args: needs("DATASET", "FILE"),
		Long: "Publish a file of rows, or standard input (-, NDJSON by default). When the command has sent it, it is on disk; by default it\n" +
			"then waits until every row is accepted or quarantined, and says why rows were refused. Publishing the same bytes again\n" +
			"changes nothing, unless --again is given.",
		Example: "  tidemill publish flights flights.parquet\n" +
			"  zcat week-*.ndjson.gz | tidemill publish flights -\n" +
			"  tidemill publish flights more.csv --no-wait",
		ValidArgsFunction: a.completeThenFile(a.datasetNames),
	}
	p.output = format(c)
	f := c.Flags()
	f.StringVar(&p.form, "format", "", "parquet, csv or ndjson (default: by the file's ending)")
	f.StringVar(&p.id, "id", "", "an identity of the file besides its bytes: the same bytes with another id are another file")
	f.BoolVar(&p.again, "again", false, "publish it though the same bytes were published before")
	f.BoolVar(&p.wait, "wait", true, "wait until every row is accepted or quarantined")
	f.BoolVar(&p.noWait, "no-wait", false, "return when the file is on disk, and print its batch")
	_ = c.RegisterFlagCompletionFunc("format", fixed(fileFormats...)) // fails for a flag that isn't there
	c.RunE = func(c *cobra.Command, args []string) error {
		p.dataset, p.path = args[0], args[1]
		p.wait = p.wait && !p.noWait
		return a.publishFile(c.Context(), p)
	}
	return c
}

func (a *app) publishFile(ctx context.Context, p publishFlags) error {
	up, err := a.open(p.path, p.form)
	if err != nil {
		return err
	}
	defer up.close()
	if p.client, err = a.client(); err != nil {
		return err
	}
	query := url.Values{"name": {up.name}}
	if p.id != "" {
		query.Set("id", p.id)
	}
	if p.again {
		query.Set("again", "true")
	}
	done, err := call.PostBody[api.Published](ctx, p.client, "/api/v1/datasets/"+url.PathEscape(p.dataset)+"/files", query, up.body)
	finish(up.bar)
	if err != nil {
		return err
	}
	if !p.wait {
		return a.show(*p.output, done, func(g *render.Grid) {
			g.Text(fmt.Sprintf("sent %s rows as batch %s", countOrSome(done.Rows), done.Batch))
			g.Text("see: tidemill get batch " + done.Batch + " --dataset " + p.dataset)
		})
	}
	batch, err := a.follow(ctx, p, done)
	if err != nil {
		return err
	}
	return a.account(p, batch)
}

// countOrSome is a number of rows that may be unknown.
func countOrSome(n int64) string {
	if n <= 0 {
		return "some"
	}
	return render.Count(n)
}

// follow waits until ingestion is done with a batch.
func (a *app) follow(ctx context.Context, p publishFlags, done api.Published) (api.Batch, error) {
	most := done.Rows
	if most <= 0 {
		most = -1
	}
	bar := a.bar(most, "ingesting", false)
	defer finish(bar)
	path := "/api/v1/datasets/" + url.PathEscape(p.dataset) + "/batches/" + url.PathEscape(done.Batch)
	for {
		batch, err := call.Get[api.Batch](ctx, p.client, path, nil)
		var refused *call.Error
		switch {
		case errors.As(err, &refused) && refused.Status == http.StatusNotFound && ctx.Err() == nil:
			// Another gateway took the file: this one has not heard of it yet.
		case err != nil:
			return batch, fmt.Errorf("the file is on disk as batch %s, but how far it is can't be seen: %w", done.Batch, err)
		case batch.Done || batch.Error != "":
			return batch, nil
		case bar != nil:
			_ = bar.Set64(batch.Accepted + batch.Quarantined) // nothing but the terminal can fail
		}
		if err := lifecycle.Pause(ctx, lookEvery); err != nil {
			return batch, err
		}
	}
}

// account says what became of every row.
func (a *app) account(p publishFlags, b api.Batch) error {
	sent := b.Rows
	if sent <= 0 {
		sent = b.Accepted + b.Quarantined
	}
	err := a.show(*p.output, b, func(g *render.Grid) {
		text := fmt.Sprintf("sent %s  accepted %s  quarantined %s", render.Count(sent), render.Count(b.Accepted), render.Count(b.Quarantined))
		if len(b.Reasons) > 0 {
			text += " (" + render.Reasons(b.Reasons) + ")"
		}
		g.Text(text)
		if b.Quarantined > 0 && b.Error == "" {
			g.Text("see: tidemill quarantine list " + p.dataset)
		}
	})
	if err == nil && b.Error != "" {
		err = failed("mend the file and publish it again", "%s was refused: %s", p.path, b.Error)
	}
	return err
}
