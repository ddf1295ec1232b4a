package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
)

// profileBatch is how many rows go to the builder at once.
const profileBatch = 8192

// Profile summarises the columns of segments (local Parquet files).
func Profile(ctx context.Context, e *Engine, c *rows.Checker, paths ...string) (*profile.Profile, error) {
	columns := c.Columns()
	list := make([]string, len(columns))
	batch := make([]profileColumn, len(columns))
	for i, col := range columns {
		list[i] = Ident(col.Name) + "::" + SQLType(col.Type)
		batch[i].Column = col
	}
	b, n := profile.NewBuilder(), 0
	flush := func() {
		b.Rows(n)
		for i := range batch {
			batch[i].flush(b)
		}
		n = 0
	}
	if len(paths) > 0 {
		q := "SELECT " + strings.Join(list, ", ") + " FROM " + ReadParquet(paths)
		err := e.Scan(ctx, q, func(v []driver.Value) error {
			for i := range batch {
				batch[i].add(v[i])
			}
			if n++; n == profileBatch {
				flush()
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("profile segments: %w", err)
		}
	}
	flush()
	p, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("profile segments: %w", err)
	}
	return p, nil
}

// profileColumn gathers a batch of one column.
type profileColumn struct {
	resource.Column
	valid   []bool
	numbers []float64
	texts   []string
	bools   []bool
	micros  []int64
}

func (p *profileColumn) add(v driver.Value) {
	p.valid = append(p.valid, v != nil)
	switch p.Type {
	case resource.TypeFloat64:
		x, _ := v.(float64)
		p.numbers = append(p.numbers, x)
	case resource.TypeInt64:
		x, _ := v.(int64)
		p.numbers = append(p.numbers, float64(x))
	case resource.TypeBoolean:
		x, _ := v.(bool)
		p.bools = append(p.bools, x)
	case resource.TypeTimestamp:
		t, ok := v.(time.Time)
		micros := int64(0)
		if ok {
			micros = t.UnixMicro()
		}
		p.micros = append(p.micros, micros)
	default:
		x, _ := v.(string)
		p.texts = append(p.texts, x)
	}
}

func (p *profileColumn) flush(b *profile.Builder) {
	switch p.Type {
	case resource.TypeFloat64, resource.TypeInt64:
		b.Numeric(p.Name, p.numbers, p.valid)
	case resource.TypeBoolean:
		b.Boolean(p.Name, p.bools, p.valid)
	case resource.TypeTimestamp:
		b.Timestamp(p.Name, p.micros, p.valid)
		if p.EventTime { // required, so never null
			b.EventTimes(p.micros)
		}
	default:
		b.String(p.Name, p.texts, p.valid)
	}
	p.valid, p.numbers, p.texts, p.bools, p.micros = p.valid[:0], p.numbers[:0], p.texts[:0], p.bools[:0], p.micros[:0]
}
