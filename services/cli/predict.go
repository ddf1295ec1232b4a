package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) predict() *cobra.Command {
	var form, out, to, version string
	c := &cobra.Command{Use: "predict MODEL FILE|-", Short: "Score a file of rows", Args: needs("MODEL", "FILE"),
		Long: "Score a file of rows with the champion of a model, or with --version. The answer has the rows with the model's scores, as the\n" +
			"ending of the output file says (.parquet, .csv or .ndjson); without --out NDJSON goes to standard output.",
		Example:           "  tidemill predict flight-delay today.csv -o scored.parquet\n  tidemill predict flight-delay rows.ndjson --version 3 | jq .probability",
		ValidArgsFunction: a.completeThenFile(a.modelNames),
	}
	f := c.Flags()
	f.StringVarP(&out, "out", "o", "", "file to write, - for standard output (default)")
	f.StringVar(&to, "to", "", "format of the output: parquet, csv or ndjson (default: by the ending of the output file)")
	f.StringVar(&form, "format", "", "format of the rows: parquet, csv or ndjson (default: by the file's ending)")
	f.StringVar(&version, "version", "", "version to score with (default: the champion)")
	// These fail for flags that aren't there.
	_ = c.RegisterFlagCompletionFunc("format", fixed(fileFormats...))
	_ = c.RegisterFlagCompletionFunc("to", fixed(fileFormats...))
	_ = c.RegisterFlagCompletionFunc("version", a.completeVersions)
	c.RunE = func(c *cobra.Command, args []string) error {
		if out == "-" {
			out = ""
		}
		if to == "" && out == "" {
			to = lake.FormatNDJSON
		}
		accept, err := formatOf(out, to)
		if err != nil {
			return err
		}
		return a.predictFile(c.Context(), args[0], version, args[1], form, out, contentType(accept))
	}
	return c
}

// predictFile sends rows and writes what comes back. The output file is there whole or not at all.
func (a *app) predictFile(ctx context.Context, model, version, path, form, out, accept string) (err error) {
	up, err := a.open(path, form)
	if err != nil {
		return err
	}
	defer up.close()
	client, err := a.client()
	if err != nil {
		return err
	}
	query := url.Values{"name": {up.name}}
	if version != "" {
		query.Set("version", plain(version))
	}
	resp, err := client.Do(ctx, http.MethodPost, "/api/v1/models/"+url.PathEscape(model)+"/predict", query, &up.body, accept)
	finish(up.bar)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == "" {
		if _, err := io.Copy(a.Out, resp.Body); err != nil {
			return fmt.Errorf("read the predictions: %w", err)
		}
		return nil
	}
	n, err := writeWhole(out, resp.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "wrote %s (%s)\n", out, render.Bytes(n))
	return nil
}

// writeWhole writes beside the file first, and then puts it in its place.
func writeWhole(path string, from io.Reader) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return 0, failed("", "can't write %s: %s", path, cause(err))
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	n, err = io.Copy(f, from)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return n, fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return n, fmt.Errorf("write %s: %w", path, err)
	}
	return n, nil
}
