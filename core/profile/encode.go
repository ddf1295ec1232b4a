package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/axiomhq/hyperloglog"
)

// Encode gives the profile as JSON. Equal profiles give equal bytes.
func (p *Profile) Encode() ([]byte, error) {
	data, err := json.Marshal(p) // maps come out sorted by key
	if err != nil {
		return nil, fmt.Errorf("encode profile: %w", err)
	}
	return data, nil
}

// Decode reads what [Profile.Encode] wrote, and refuses what could not have
// been: another version, columns out of order, negative counts, buckets that do
// not add up.
func Decode(data []byte) (*Profile, error) {
	// The version first: a newer one may well have other fields.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("decode profile: %w", err)
	}
	if head.Version != Version {
		return nil, fmt.Errorf("decode profile: version %d, this program reads version %d", head.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	p := &Profile{}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("decode profile: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode profile: something follows the profile")
	}
	if p.Columns == nil {
		p.Columns = []Column{}
	}
	if p.Rows < 0 {
		return nil, errors.New("decode profile: negative number of rows")
	}
	for i := range p.Columns {
		if i > 0 && p.Columns[i].Name <= p.Columns[i-1].Name {
			return nil, fmt.Errorf("decode profile: column %s is not in order of names", p.Columns[i].Name)
		}
		if err := p.Columns[i].check(); err != nil {
			return nil, fmt.Errorf("decode profile: column %s: %w", p.Columns[i].Name, err)
		}
	}
	return p, nil
}

func (c *Column) check() error {
	if c.Count < 0 || c.Nulls < 0 || c.NonFinite < 0 {
		return errors.New("negative count")
	}
	numbers, categories, times := c.Numbers != nil, c.Categories != nil, c.Times != nil
	switch c.Kind {
	case KindNumeric:
		if !numbers || categories || times {
			return errors.New("a numeric column has numbers and nothing else")
		}
		return c.Numbers.check(c.Count)
	case KindString, KindBoolean:
		if !categories || numbers || times {
			return fmt.Errorf("a %s column has categories and nothing else", c.Kind)
		}
		return c.Categories.check(c.Count)
	case KindTimestamp:
		if !times || numbers || categories {
			return errors.New("a timestamp column has times and nothing else")
		}
		return nil
	default:
		return fmt.Errorf("unknown kind %q", c.Kind)
	}
}

// maxIndex bounds bucket indices: at our accuracy the whole float range lies
// within 36,000 buckets either side of one.
const maxIndex = 1 << 16

func (n *Numbers) check(count int64) error {
	total := n.Zero
	if n.Zero < 0 {
		return errors.New("negative count")
	}
	for _, buckets := range [][]Bucket{n.Positive, n.Negative} {
		for i, b := range buckets {
			if b.Count <= 0 || b.Count > count || b.Index > maxIndex || b.Index < -maxIndex || (i > 0 && b.Index <= buckets[i-1].Index) {
				return fmt.Errorf("bucket %d with %d values is out of place", b.Index, b.Count)
			}
			total += b.Count
		}
	}
	if n.Count != count || total != count {
		return fmt.Errorf("%d values, but %d in the moments and %d in buckets", count, n.Count, total)
	}
	if n.M2 < 0 || n.Min > n.Max {
		return errors.New("impossible moments")
	}
	return nil
}

func (c *Categories) check(count int64) error {
	if c.Counts == nil {
		c.Counts = map[string]int64{}
	}
	if len(c.Counts) > CategoryCap || c.Undercount < 0 {
		return fmt.Errorf("%d categories, at most %d are kept", len(c.Counts), CategoryCap)
	}
	total := int64(0)
	for k, n := range c.Counts {
		if n <= 0 || n > count {
			return fmt.Errorf("category %q has the count %d", k, n)
		}
		total += n
	}
	if total > count || (c.Exact && (total != count || c.Registers != nil || c.Hashed != nil || c.Undercount != 0)) {
		return fmt.Errorf("%d values, but %d in categories", count, total)
	}
	if c.Exact {
		return nil
	}
	if err := checkHashed(c.Hashed, count); err != nil {
		return err
	}
	if len(c.Registers) < 2 || c.Registers[1] != distinctPrecision {
		return errors.New("distinct counts of another precision")
	}
	if err := new(hyperloglog.Sketch).UnmarshalBinary(c.Registers); err != nil {
		return fmt.Errorf("distinct counts: %w", err)
	}
	return nil
}

func checkHashed(hashed []int64, count int64) error {
	if len(hashed) != HashBuckets {
		return fmt.Errorf("%d hash buckets, expected %d", len(hashed), HashBuckets)
	}
	total := int64(0)
	for _, n := range hashed {
		if n < 0 || n > count {
			return fmt.Errorf("a hash bucket has the count %d", n)
		}
		total += n
	}
	if total != count {
		return fmt.Errorf("%d values, but %d in hash buckets", count, total)
	}
	return nil
}
