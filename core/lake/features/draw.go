package features

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
)

// File is a Parquet file of rows. Ordinal is its segment's: a row's place in the dataset is the ordinal and the row's number in
// the file.
type File struct {
	Path    string
	Ordinal uint64
}

// Names inside of queries that no column of a dataset has.
const (
	keyColumn   = `"#key"`
	rowColumn   = `"#row"`
	placeColumn = `"#place"`
)

// salts are two numbers below 2^32 of a file, by which its rows' keys differ from those of other files and seeds.
func salts(seed int64, ordinal uint64) (high, low uint32) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(seed))
	binary.BigEndian.PutUint64(b[8:], ordinal)
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(sum[:4]), binary.BigEndian.Uint32(sum[4:8])
}

// The steps of mix, the 32-bit hash "lowbias32" of Chris Wellons (Prospecting for Hash Functions, 2018): a bijection.
var mixSteps = []struct{ shift, factor uint32 }{{16, 0x7feb352d}, {15, 0x846ca68b}, {16, 1}}

func mix(x uint32) uint32 {
	for _, s := range mixSteps {
		x = (x ^ x>>s.shift) * s.factor
	}
	return x
}

// Key is what a row is drawn by: the rows with the lowest keys are. No two rows of a file have the same. It is here to say
// what the SQL of keyed computes.
func Key(seed int64, ordinal uint64, row uint32) uint64 {
	high, low := salts(seed, ordinal)
	return uint64(mix(row^high))<<32 | uint64(row^low)
}

// keyed adds the key to rows of files that have virtual columns.
func keyed(files []File, seed int64, columns, where string) string {
	highs, lows := make([]string, len(files)), make([]string, len(files))
	for i, f := range files {
		high, low := salts(seed, f.Ordinal)
		highs[i], lows[i] = strconv.FormatUint(uint64(high), 10), strconv.FormatUint(uint64(low), 10)
	}
	salted := func(list []string) string {
		return "xor(file_row_number::UBIGINT, ([" + strings.Join(list, ", ") + "]::UBIGINT[])[file_index::BIGINT + 1])"
	}
	q := "SELECT " + columns + ", " + salted(highs) + " AS " + keyColumn + `, ` + salted(lows) + ` AS "#low" FROM ` +
		lake.ReadParquet(paths(files)) + where
	for _, s := range mixSteps { // one query in another, since each step needs the one before it twice
		q = fmt.Sprintf("SELECT * REPLACE (xor(%[1]s, %[1]s >> %[2]d) * %[3]d & 4294967295 AS %[1]s) FROM (%[4]s)", keyColumn, s.shift, s.factor, q)
	}
	return "SELECT * EXCLUDE (\"#low\") REPLACE (" + keyColumn + " * 4294967296 + \"#low\" AS " + keyColumn + ") FROM (" + q + ")"
}

func paths(files []File) []string {
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = f.Path
	}
	return out
}

// cut is the condition that a drawn row meets, over the rows that source gives.
type cut string

// draw finds out which rows of a range are drawn; "" when all are.
func (f *Features) draw(ctx context.Context, files []File, r lake.Range) (cut, error) {
	d := r.Draw
	if d.Rows <= 0 {
		return "", nil
	}
	keys := "(SELECT " + f.labelCast("l.y") + " AS y, k FROM (SELECT " + f.labelItem() + ", " + keyColumn + " FROM " +
		f.source(files, r, "") + ") AS l(y, k) WHERE y IS NOT NULL)"
	if !d.Balanced {
		return f.lowest(ctx, keys, d.Rows)
	}
	if f.LabelKind == Number {
		return "", &declared{"a balanced sample needs classes, and a regression has none: use the method reservoir"}
	}
	classes, err := f.classes(ctx, "SELECT y, count(*), 0 FROM "+keys+" GROUP BY y")
	if err != nil {
		return "", err
	}
	have := make([]int64, len(classes))
	for i, c := range classes {
		have[i] = c.Rows
	}
	var limits []string
	for i, quota := range lake.Quotas(d.Rows, have) {
		limits = append(limits, fmt.Sprintf("WHEN %s THEN %d", f.classLiteral(classes[i].Name), quota))
	}
	if len(limits) == 0 {
		return "", nil
	}
	q := "SELECT y, max(k) FROM (SELECT y, k, row_number() OVER (PARTITION BY y ORDER BY k) AS n FROM " + keys + ") WHERE n <= CASE y " +
		strings.Join(limits, " ") + " END GROUP BY y ORDER BY y"
	var last []string
	err = f.engine.Scan(ctx, q, func(v []driver.Value) error {
		last = append(last, fmt.Sprintf("WHEN %s THEN %d", f.classLiteral(f.className(v[0])), v[1]))
		return nil
	})
	if err != nil || len(last) == 0 {
		return "", err
	}
	return cut(keyColumn + " <= CASE " + f.labelCast(f.labelItem()) + " " + strings.Join(last, " ") + " ELSE 0 END"), nil
}

// lowest finds the n-th lowest key.
func (f *Features) lowest(ctx context.Context, keys string, n int64) (c cut, err error) {
	q := fmt.Sprintf("SELECT k FROM %s ORDER BY k LIMIT 1 OFFSET %d", keys, n-1)
	err = f.engine.Scan(ctx, q, func(v []driver.Value) error {
		c = cut(fmt.Sprintf("%s <= %d AND %s IS NOT NULL", keyColumn, v[0], f.labelItem()))
		return nil
	})
	return c, err
}

// Class is a class with the number of its rows and the newest event time among them, in Unix microseconds.
type Class struct {
	Name   string
	Rows   int64
	Newest int64
}

// classes reads (label, rows, newest), sorted by the class's name.
func (f *Features) classes(ctx context.Context, query string) (out []Class, err error) {
	err = f.engine.Scan(ctx, query, func(v []driver.Value) error {
		c := Class{Name: f.className(v[0])}
		c.Rows, _ = v[1].(int64)
		c.Newest, _ = v[2].(int64)
		out = append(out, c)
		return nil
	})
	slices.SortFunc(out, func(a, b Class) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// className is the class of a label as labelCast gives it.
func (f *Features) className(label driver.Value) string {
	switch v := label.(type) {
	case string:
		return v
	case float64:
		if f.LabelKind == Boolean {
			return strconv.FormatBool(v != 0)
		}
	}
	return ""
}

// classLiteral is a class as labelCast gives it, in SQL.
func (f *Features) classLiteral(name string) string {
	switch {
	case f.LabelKind == Text:
		return lake.Literal(name)
	case name == "true":
		return "1::DOUBLE"
	}
	return "0::DOUBLE"
}
