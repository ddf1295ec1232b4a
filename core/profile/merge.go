package profile

import "fmt"

// Merge gives the profile of both sets of rows together and leaves a and b as
// they are. A column that only one has is kept. It is an error when a column
// has different kinds.
func Merge(a, b *Profile) (*Profile, error) {
	out := &Profile{
		Version: Version, Rows: a.Rows + b.Rows,
		MinTime: earlier(a.MinTime, b.MinTime), MaxTime: later(a.MaxTime, b.MaxTime),
		Columns: make([]Column, 0, max(len(a.Columns), len(b.Columns))),
	}
	i, j := 0, 0
	for i < len(a.Columns) || j < len(b.Columns) {
		switch {
		case j == len(b.Columns) || (i < len(a.Columns) && a.Columns[i].Name < b.Columns[j].Name):
			out.Columns = append(out.Columns, a.Columns[i])
			i++
		case i == len(a.Columns) || b.Columns[j].Name < a.Columns[i].Name:
			out.Columns = append(out.Columns, b.Columns[j])
			j++
		default:
			c, err := a.Columns[i].merge(b.Columns[j])
			if err != nil {
				return nil, fmt.Errorf("merge column %s: %w", a.Columns[i].Name, err)
			}
			out.Columns = append(out.Columns, c)
			i, j = i+1, j+1
		}
	}
	return out, nil
}

// MergeAll merges any number of profiles; of none, it is the empty profile.
func MergeAll(profiles ...*Profile) (*Profile, error) {
	out := &Profile{Version: Version, Columns: []Column{}}
	for _, p := range profiles {
		var err error
		if out, err = Merge(out, p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c Column) merge(o Column) (Column, error) {
	if c.Kind != o.Kind {
		return Column{}, fmt.Errorf("it is %s in one profile and %s in the other", c.Kind, o.Kind)
	}
	c.Count, c.Nulls, c.NonFinite = c.Count+o.Count, c.Nulls+o.Nulls, c.NonFinite+o.NonFinite
	switch {
	case c.Numbers != nil:
		numbers := c.Numbers.merge(*o.Numbers)
		c.Numbers = &numbers
	case c.Categories != nil:
		categories, err := c.Categories.merge(*o.Categories)
		if err != nil {
			return Column{}, err
		}
		c.Categories = &categories
	case c.Times != nil:
		times := c.Times.merge(*o.Times)
		c.Times = &times
	}
	return c, nil
}
