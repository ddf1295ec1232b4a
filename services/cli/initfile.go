package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
)

func (a *app) initFile() *cobra.Command {
	var at, label, name, out, form string
	c := &cobra.Command{Use: "init FILE --time COL --label EXPR", Short: "Write declarations for a file of rows", Args: needs("FILE"),
		Long: "Read a file of rows (.parquet, .csv or .ndjson) on this machine and write a dataset, a model and a policy for it, as YAML\n" +
			"to be read, edited and applied. Nothing is uploaded.",
		Example: "  tidemill init trips.parquet --time picked_up_at --label 'tip > 0' > trips.yaml\n" +
			"  tidemill init trips.csv --time at --label fare --name fares --out fares.yaml\n  tidemill apply -f trips.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			text, err := inferred(c.Context(), args[0], form, at, label, name)
			if err != nil {
				return err
			}
			return a.writeNew(out, text)
		}}
	f := c.Flags()
	f.StringVar(&at, "time", "", "the column with the event time (needed when several columns are timestamps)")
	f.StringVar(&label, "label", "", "what is to be predicted: a column, or an SQL expression such as 'delay >= 15'")
	f.StringVar(&name, "name", "", "name of dataset, model and policy (default: that of the file)")
	f.StringVar(&out, "out", "", "file to write (default: standard output)")
	f.StringVar(&form, "format", "", "parquet, csv or ndjson (default: by the file's ending)")
	_ = c.RegisterFlagCompletionFunc("format", fixed(fileFormats...)) // fails for a flag that isn't there
	return c
}

func (a *app) writeNew(out, text string) error {
	if out == "" {
		fmt.Fprint(a.Out, text)
		return nil
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return failed("remove it, or give another --out", "%s exists already", out)
	}
	if err != nil {
		return failed("", "can't write %s: %s", out, cause(err))
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	fmt.Fprintf(a.Out, "wrote %s; read it, then: tidemill apply -f %s\n", out, out)
	return nil
}

// inferred looks at the file and writes its declarations.
func inferred(ctx context.Context, path, form, at, label, name string) (string, error) {
	if label == "" {
		return "", wrongly("tidemill init "+path+" --time COL --label 'delay >= 15'", "init needs --label: the column or the SQL expression to predict")
	}
	file, err := fileOf(path, form)
	if err != nil {
		return "", err
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	scratch, err := os.MkdirTemp("", "tidemill-init-")
	if err != nil {
		return "", fmt.Errorf("make a scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	engine, err := lake.OpenEngine(ctx, lake.EngineOptions{Dirs: []string{filepath.Dir(file.Path)}, Scratch: scratch})
	if err != nil {
		return "", err
	}
	defer engine.Close()
	columns, rows, err := lake.Infer(ctx, engine, file)
	if err != nil {
		return "", err
	}
	in := resource.InferInput{Rows: rows}
	var times []string
	for _, c := range columns {
		if c.Type == resource.TypeTimestamp {
			times = append(times, c.Name)
		}
		in.Columns = append(in.Columns, resource.InferColumn{Name: c.Name, Type: c.Type, Min: number(c.Min), Max: number(c.Max),
			Distinct: c.Distinct, Nulls: c.Nulls})
	}
	if at == "" {
		if len(times) != 1 {
			return "", wrongly("its timestamps: "+orNone(times), "init needs --time: the column with the event time")
		}
		at = times[0]
	}
	for _, c := range columns {
		if c.Name == at {
			in.From, in.To = moment(c.Min), moment(c.Max)
		}
	}
	result, err := lake.InferLabel(ctx, engine, file, columns, label)
	if err != nil {
		return "", failure{error: err, hint: "a label is a column, or an SQL expression over the columns of one row such as 'delay >= 15'"}
	}
	in.LabelType, in.LabelDistinct = result.Type, result.Distinct
	return resource.Infer(in, name, at, label)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func number(s string) *float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return &f
}

// moment reads a time as the engine writes it; the zero time when it is none.
func moment(s string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999", time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
