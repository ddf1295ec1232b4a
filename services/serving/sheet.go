package serving

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake"
	lakerows "github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/internal/rows"
)

// sheetRows are scored at once: they bound the memory, not the file.
const sheetRows = 20_000

// sheet is a file of rows that a version scores.
type sheet struct {
	engine  *lake.Engine
	version *version
	file    lake.File
	checker *lakerows.Checker
	columns []resource.Column // of the file, in its order
	place   []int             // of a column in the checker's rows
	used    []int             // in the checker's rows, of a column that the features use
	list    []string          // of CREATE TABLE
	parts   []string

	n       int
	values  []lakerows.Value // of the file's columns, row by row
	bound   []lakerows.Value // of the columns that the features use
	answers []float32
}

// newSheet looks at the file's columns. Those of the dataset must have its types; others are taken along.
func newSheet(ctx context.Context, e *lake.Engine, v *version, f lake.File) (*sheet, error) {
	s := &sheet{engine: e, version: v, file: f}
	found, err := lake.ColumnsOf(ctx, e, f)
	if err != nil {
		return nil, err
	}
	spec := *v.raw.spec
	spec.Columns = append([]resource.Column(nil), spec.Columns...)
	for _, c := range found {
		if _, known := spec.Column(c.Name); !known {
			spec.Columns = append(spec.Columns, c)
		}
	}
	checker, err := lakerows.Compile(&spec)
	if err != nil {
		return nil, fail(http.StatusUnprocessableEntity, "%v", err)
	}
	s.checker = checker.Unruled()
	for _, c := range found {
		i, _ := s.checker.Index(c.Name)
		s.columns, s.place = append(s.columns, spec.Columns[i]), append(s.place, i)
		s.list = append(s.list, lake.Ident(c.Name)+" "+lake.SQLType(spec.Columns[i].Type))
	}
	for _, name := range v.raw.features.Used {
		i, _ := s.checker.Index(name)
		s.used = append(s.used, i)
	}
	return s, s.addPredictions()
}

// addPredictions appends the columns that the answer has besides the file's.
func (s *sheet) addPredictions() error {
	names := []string{"prediction"}
	classes := s.version.manifest.Classes
	if s.version.manifest.Task != resource.TaskRegression {
		names = []string{"probability"}
		if len(classes) != 2 {
			names = names[:0]
			for _, class := range classes {
				names = append(names, "probability_"+class)
			}
		}
	}
	for _, name := range names {
		s.list = append(s.list, lake.Ident(name)+" FLOAT")
	}
	if len(classes) > 0 {
		names = append(names, "predicted")
		s.list = append(s.list, "predicted VARCHAR")
	}
	for _, c := range s.columns {
		for _, name := range names {
			if strings.EqualFold(c.Name, name) {
				return fail(http.StatusUnprocessableEntity, "the file has a column %q already, which the answer needs for itself; rename it", c.Name)
			}
		}
	}
	return nil
}

// score reads the file and writes the answer.
func (s *sheet) score(ctx context.Context, now time.Time, path, format string) error {
	reader, err := lake.OpenFile(ctx, s.engine, s.file, s.checker, 0)
	if err != nil {
		return err
	}
	defer reader.Close()
	row := s.checker.NewRow()
	for {
		refused, err := reader.Next(ctx, now, row)
		switch {
		case errors.Is(err, io.EOF):
			return s.finish(ctx, path, format)
		case err != nil:
			return err
		case refused != nil:
			column := ""
			if refused.Refusal.Column != "" {
				column = fmt.Sprintf(", column %q", refused.Refusal.Column)
			}
			return fail(http.StatusUnprocessableEntity, "row %d%s: %s", refused.Offset+1, column, refused.Refusal.Detail)
		}
		s.add(row)
		if s.n == sheetRows {
			if err := s.part(ctx); err != nil {
				return err
			}
		}
	}
}

func (s *sheet) add(row *lakerows.Row) {
	for _, i := range s.place {
		s.values = append(s.values, row.Values[i])
	}
	for _, i := range s.used {
		s.bound = append(s.bound, row.Values[i])
	}
	s.n++
}

// part scores what was gathered and puts it aside.
func (s *sheet) part(ctx context.Context) error {
	path := fmt.Sprintf("%s/part-%d.parquet", filepath.Dir(s.file.Path), len(s.parts))
	if err := s.write(ctx, path, lake.FormatParquet); err != nil {
		return err
	}
	s.parts = append(s.parts, path)
	s.n, s.values, s.bound = 0, s.values[:0], s.bound[:0]
	return nil
}

func (s *sheet) finish(ctx context.Context, path, format string) error {
	if len(s.parts) == 0 {
		return s.write(ctx, path, format)
	}
	if s.n > 0 {
		if err := s.part(ctx); err != nil {
			return err
		}
	}
	return lake.JoinTables(ctx, s.engine, s.parts, path, format)
}

func (s *sheet) write(ctx context.Context, path, format string) error {
	width := len(s.used)
	bound := make([][]lakerows.Value, s.n)
	for i := range bound {
		bound[i] = s.bound[i*width : (i+1)*width]
	}
	m, err := s.version.raw.online.Compute(ctx, bound)
	if err != nil {
		return computing(err)
	}
	if s.answers, err = s.version.scorer.Score(ctx, rows.ToBatch(m)); err != nil {
		var nan *model.NotFinite
		if errors.As(err, &nan) { // rows of a file are counted from 1
			err = &model.NotFinite{Row: len(s.parts)*sheetRows + nan.Row + 1, Value: nan.Value}
		}
		return scoring(err)
	}
	return lake.WriteTable(ctx, s.engine, s.list, s.n, s.fill, path, format)
}

// fill sets the values of one row of the answer.
func (s *sheet) fill(i int, dst []driver.Value) {
	for k, c := range s.columns {
		dst[k] = s.values[i*len(s.columns)+k].Any(c.Type)
	}
	width := s.version.scorer.Width()
	classes, row, rest := s.version.manifest.Classes, s.answers[i*width:(i+1)*width], dst[len(s.columns):]
	if len(classes) == 2 {
		rest[0], rest[1] = row[1], classes[likeliest(row)]
		return
	}
	for k, p := range row {
		rest[k] = p
	}
	if len(classes) > 0 {
		rest[width] = classes[likeliest(row)]
	}
}
