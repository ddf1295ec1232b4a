// Command flights makes examples/flights/flights.parquet: every tenth row of the
// three million US flights of vega-datasets, in file order and otherwise as they
// came. infra/dev/flights-data.sh fetches the source, checks it and calls this.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the database/sql driver
)

const (
	step     = 10
	wantRows = 300_000
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("flights: ")
	from := flag.String("from", "", "source Parquet `file` (flights-3m.parquet)")
	to := flag.String("to", "examples/flights/flights.parquet", "Parquet `file` to write")
	flag.Parse()
	if *from == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := sample(context.Background(), *from, *to); err != nil {
		log.Fatal(err)
	}
}

// sample writes rows 0, step, 2·step, … of from to the file to, in that order.
// The bytes are the same for the same source and DuckDB version: one thread
// writes, so row groups do not depend on timing.
func sample(ctx context.Context, from, to string) error {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return fmt.Errorf("open DuckDB: %w", err)
	}
	defer func() { _ = db.Close() }() // in memory: nothing is lost
	db.SetMaxOpenConns(1)             // SET holds for a connection

	tmp := to + ".tmp"
	for _, statement := range []string{
		`SET threads = 1`,
		`SET TimeZone = 'UTC'`,
		fmt.Sprintf(`COPY (
			SELECT date::TIMESTAMP AS date, delay, distance, origin, destination
			FROM read_parquet(%s, file_row_number = true)
			WHERE file_row_number %% %d = 0
			ORDER BY file_row_number
		) TO %s (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 19, ROW_GROUP_SIZE 122880)`,
			literal(from), step, literal(tmp)),
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("sample %s: %w", from, err)
		}
	}

	var rows int
	var sorted bool
	err = db.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*), bool_and(ok) FROM (
		SELECT date >= coalesce(lag(date) OVER (ORDER BY file_row_number), date) AS ok
		FROM read_parquet(%s, file_row_number = true))`, literal(tmp))).Scan(&rows, &sorted)
	if err != nil {
		return fmt.Errorf("check %s: %w", tmp, err)
	}
	if rows != wantRows || !sorted {
		return fmt.Errorf("%s has %d rows (sorted by date: %t), expected %d sorted ones: is %s the pinned file?",
			tmp, rows, sorted, wantRows, from)
	}
	if err := os.Rename(tmp, to); err != nil {
		return fmt.Errorf("put %s in place: %w", to, err)
	}
	log.Printf("%s: %d rows", to, rows)
	return nil
}

// literal quotes a path as an SQL string.
func literal(path string) string { return "'" + strings.ReplaceAll(path, "'", "''") + "'" }
