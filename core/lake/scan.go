package lake

import (
	"database/sql/driver"
	"errors"
	"io"
)

// Drain gives every row of a driver's result to yield and stops at its first error. The slice is reused between rows.
func Drain(r driver.Rows, yield func(row []driver.Value) error) error {
	row := make([]driver.Value, len(r.Columns()))
	for {
		err := r.Next(row)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := yield(row); err != nil {
			return err
		}
	}
}

// ReadParquet is the SQL table expression that reads the files in the order given, their rows in order. A column that some
// files lack, since it was added to the dataset later, is null there.
func ReadParquet(paths []string) string {
	return "read_parquet(" + literalList(paths) + ", union_by_name = true)"
}
