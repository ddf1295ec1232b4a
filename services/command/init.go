package command

import (
	"context"
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
	var timeColumn, label, name, out string
	c := &cobra.Command{Use: "init FILE --time COL --label EXPR", Short: "Infer declarations from a file of rows, as YAML to edit", Args: args("FILE"),
		Example: "  tidemill init rides.parquet --time pickup_at --label 'tip > 0' > rides.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			if name == "" {
				base := filepath.Base(args[0])
				name = strings.TrimSuffix(base, filepath.Ext(base))
			}
			text, err := infer(c.Context(), args[0], name, timeColumn, label)
			if err != nil {
				return err
			}
			if out != "" {
				return os.WriteFile(out, []byte(text), 0o644)
			}
			a.printf("%s", text)
			return nil
		}}
	f := c.Flags()
	f.StringVar(&timeColumn, "time", "", "column with the time of the event")
	f.StringVar(&label, "label", "", "SQL expression of what to predict, for example 'delay >= 15'")
	f.StringVar(&name, "name", "", "name of the dataset, the model and the policy (default: the file's)")
	f.StringVar(&out, "out", "", "file to write instead of standard output")
	_ = c.MarkFlagRequired("time")
	_ = c.MarkFlagRequired("label")
	return c
}

// infer looks at the file here; nothing is uploaded.
func infer(ctx context.Context, path, name, timeColumn, label string) (string, error) {
	format, err := lake.FormatOf(path)
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	engine, err := lake.OpenEngine(ctx, lake.EngineOptions{Dirs: []string{filepath.Dir(abs)}})
	if err != nil {
		return "", err
	}
	defer engine.Close()
	columns, rows, err := lake.Infer(ctx, engine, lake.File{Path: abs, Name: filepath.Base(path), Format: format})
	if err != nil {
		return "", err
	}
	in := resource.InferInput{Rows: rows}
	for _, x := range columns {
		column := resource.InferColumn{Name: x.Name, Type: x.Type, Distinct: x.Distinct, Nulls: x.Nulls}
		if x.Type == resource.TypeFloat64 || x.Type == resource.TypeInt64 {
			column.Min, column.Max = parsed(x.Min), parsed(x.Max)
		}
		if x.Name == timeColumn {
			in.From, in.To = moment(x.Min), moment(x.Max)
		}
		in.Columns = append(in.Columns, column)
	}
	return resource.Infer(in, name, timeColumn, label)
}

func parsed(text string) *float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &x
}

func moment(text string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04:05.999999", time.RFC3339Nano, "2006-01-02 15:04:05-07", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
