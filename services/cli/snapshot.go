package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/cli/render"
)

// trialWish are the flags that say of which trial somebody wants to see what a trainer sees.
type trialWish struct{ candidate, window, cycle string }

func (w *trialWish) flags(a *app, c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.candidate, "candidate", "", "candidate whose trial it is (default: the only one)")
	f.StringVar(&w.window, "window", "", "rows to train on instead of the policy's: expanding, 'sliding 7d' …")
	f.StringVar(&w.cycle, "cycle", "", "the rows as this cycle saw them (default: as a cycle would see them now)")
	_ = c.RegisterFlagCompletionFunc("window", fixed("expanding", "sliding 7d", "sliding 28d")) // fails for a flag that isn't there
}

func (w *trialWish) query() (url.Values, error) {
	out := url.Values{}
	if w.window != "" {
		if _, err := events.ParseWindow(w.window); err != nil {
			return nil, wrongly("", "--window: %s", err)
		}
	}
	for name, value := range map[string]string{"candidate": w.candidate, "window": w.window, "cycle": w.cycle} {
		if value != "" {
			out.Set(name, value)
		}
	}
	return out, nil
}

func (a *app) snapshot() *cobra.Command {
	return family(&cobra.Command{Use: "snapshot", Short: "See the rows that a trainer sees",
		Example: "  tidemill snapshot export flight-delay --to rows"}, a.snapshotExport())
}

func (a *app) snapshotExport() *cobra.Command {
	var wish trialWish
	var to string
	var force bool
	c := &cobra.Command{Use: "export MODEL --to DIR", Short: "Write exactly what a trainer would see into a folder", Args: needs("MODEL"),
		Long: "Write exactly what a trainer of a model would see into a folder: train and validation with their rows and schema.json,\n" +
			"hyperparameters.json, and trial.json, which says where it all comes from. The rows that would judge the candidate are not in it.",
		Example:           "  tidemill snapshot export flight-delay --to rows\n  tidemill snapshot export flight-delay --to rows --window 'sliding 28d' --candidate lightgbm",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	wish.flags(a, c)
	c.Flags().StringVar(&to, "to", "", "folder to write, new or empty")
	c.Flags().BoolVar(&force, "force", false, "write into a folder that holds files; those of the same names are replaced")
	_ = c.MarkFlagDirname("to") // fails for a flag that isn't there
	c.RunE = func(c *cobra.Command, args []string) error {
		query, err := wish.query()
		if err != nil {
			return err
		}
		if to == "" {
			return wrongly("--to DIR", "where shall the rows go?")
		}
		return a.exportTo(c.Context(), args[0], query, to, force)
	}
	return c
}

func (a *app) exportTo(ctx context.Context, model string, query url.Values, to string, force bool) error {
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 && !force {
		return failed("name another folder, or give --force", "the folder %s is not empty", to)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return failed("", "can't write into %s: %s", to, cause(err))
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	if a.IsTerminal(a.Err) {
		a.note("the platform prepares the rows …")
	}
	resp, err := client.Do(ctx, http.MethodGet, "/api/v1/models/"+url.PathEscape(model)+"/snapshot", query, nil, "application/x-tar")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	if bar := a.bar(resp.ContentLength, "receiving", true); bar != nil {
		defer finish(bar)
		from = io.TeeReader(from, bar)
	}
	files, bytes, err := untar(from, to)
	if err != nil {
		return fmt.Errorf("%s is incomplete: %w", to, err)
	}
	fmt.Fprintf(a.Out, "wrote %d files (%s) into %s\n", files, render.Bytes(bytes), to)
	return nil
}

// untar writes the files of a tar into a folder, and nowhere else.
func untar(from io.Reader, to string) (files int, bytes int64, err error) {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return 0, 0, err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return 0, 0, err
	}
	defer root.Close()
	for archive := tar.NewReader(from); ; files++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, bytes, nil
		}
		if err != nil {
			return files, bytes, err
		}
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
			return files, bytes, fmt.Errorf("what arrived holds %q, which is no file inside it", header.Name)
		}
		if err := root.MkdirAll(path.Dir(header.Name), 0o755); err != nil {
			return files, bytes, err
		}
		f, err := root.Create(header.Name)
		if err != nil {
			return files, bytes, err
		}
		n, err := io.Copy(f, archive)
		if err = errors.Join(err, f.Close()); err != nil {
			return files, bytes, err
		}
		bytes += n
	}
}
