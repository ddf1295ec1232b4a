package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

var contentTypes = map[string]string{"parquet": events.ContentParquet, "csv": events.ContentCSV, "ndjson": events.ContentNDJSON}

// input is a file of rows to send.
type input struct {
	io.ReadCloser
	name, contentType string
	size              int64
}

func (a *app) open(path, format string) (input, error) {
	if format == "" {
		if path == "-" {
			format = "ndjson"
		} else {
			var err error
			if format, err = lake.FormatOf(path); err != nil {
				return input{}, err
			}
		}
	}
	contentType, ok := contentTypes[format]
	if !ok {
		return input{}, wrongly("unknown format %q: use parquet, csv or ndjson", format)
	}
	if path == "-" {
		return input{ReadCloser: io.NopCloser(a.In), name: "stdin." + format, contentType: contentType, size: -1}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return input{}, fmt.Errorf("read rows: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return input{}, fmt.Errorf("read rows: %w", err)
	}
	return input{ReadCloser: f, name: filepath.Base(path), contentType: contentType, size: info.Size()}, nil
}

func (a *app) bar(total int64, what string) *progressbar.ProgressBar {
	w := a.Err
	if !a.Terminal {
		w = io.Discard
	}
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
}

func (a *app) publish() *cobra.Command {
	var format, id string
	var noWait, again bool
	c := &cobra.Command{Use: "publish DATASET FILE", Short: "Send a file of rows (.parquet, .csv, .ndjson, or - for NDJSON on standard input)", Args: args("DATASET", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := a.open(args[1], format)
			if err != nil {
				return err
			}
			defer in.Close()
			client, err := a.api()
			if err != nil {
				return err
			}
			query := url.Values{"name": {in.name}}
			if id != "" {
				query.Set("id", id)
			}
			if again {
				query.Set("again", "true")
			}
			bar := a.bar(in.size, "sending")
			reader := progressbar.NewReader(in, bar)
			published, err := call.PostBody[api.Published](c.Context(), client, "/api/v1/datasets/"+url.PathEscape(args[0])+"/files", query,
				call.Body{Type: in.contentType, Reader: &reader, Length: in.size})
			_ = bar.Finish()
			if err != nil {
				return err
			}
			if noWait {
				a.printf("stored as batch %s\n", published.Batch)
				return nil
			}
			return a.await(c.Context(), client, args[0], published)
		}}
	f := c.Flags()
	f.StringVar(&format, "format", "", "parquet, csv or ndjson (default: by the file's name)")
	f.StringVar(&id, "id", "", "a name of your own that makes sending the same file again another batch")
	f.BoolVar(&again, "again", false, "send it though the same file was sent before")
	f.BoolVar(&noWait, "no-wait", false, "don't wait until the rows are ingested")
	return c
}

// await follows a batch until all of it is in segments or in quarantine.
func (a *app) await(ctx context.Context, client *call.Client, dataset string, p api.Published) error {
	bar := a.bar(p.Rows, "ingesting")
	for {
		b, err := call.Get[api.Batch](ctx, client, "/api/v1/datasets/"+url.PathEscape(dataset)+"/batches/"+url.PathEscape(p.Batch), nil)
		if err != nil {
			return err
		}
		_ = bar.Set64(b.Accepted + b.Quarantined)
		if b.Done {
			_ = bar.Finish()
			a.printf("sent %s  accepted %s  quarantined %s", count(b.Accepted+b.Quarantined), count(b.Accepted), count(b.Quarantined))
			if b.Quarantined > 0 {
				a.printf("  (%s; look with: tidemill quarantine list %s)", reasons(b.Reasons), dataset)
			}
			a.printf("\n")
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (a *app) predict() *cobra.Command {
	var version, out, format string
	c := &cobra.Command{Use: "predict MODEL FILE -o out.parquet", Short: "Score a file of rows with the champion, or another version", Args: args("MODEL", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := a.open(args[1], format)
			if err != nil {
				return err
			}
			defer in.Close()
			accept := events.ContentNDJSON
			if out != "" {
				outFormat, err := lake.FormatOf(out)
				if err != nil {
					return WrongUse(err)
				}
				accept = contentTypes[outFormat]
			}
			client, err := a.api()
			if err != nil {
				return err
			}
			query := url.Values{}
			if version != "" {
				query.Set("version", version)
			}
			bar := a.bar(in.size, "sending")
			reader := progressbar.NewReader(in, bar)
			resp, err := client.Do(c.Context(), http.MethodPost, "/api/v1/models/"+url.PathEscape(args[0])+"/predict", query,
				&call.Body{Type: in.contentType, Reader: &reader, Length: in.size}, accept)
			_ = bar.Finish()
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			return a.save(out, resp.Body)
		}}
	c.Flags().StringVarP(&out, "out", "o", "", "file to write: .parquet, .csv or .ndjson (default: NDJSON on standard output)")
	c.Flags().StringVar(&version, "version", "", "version to score with (default: the champion)")
	c.Flags().StringVar(&format, "format", "", "format of FILE (default: by its name)")
	return c
}

// save writes a whole answer or nothing.
func (a *app) save(out string, body io.Reader) error {
	if out == "" {
		_, err := io.Copy(a.Out, body)
		return err
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, body); err != nil {
		return fmt.Errorf("receive predictions: %w", err)
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write predictions: %w", err)
	}
	return nil
}

func splitVersion(arg string) (model, version string) {
	model, version, _ = strings.Cut(arg, "@")
	return model, strings.TrimPrefix(version, "v")
}
