package render

// Style colours text, or leaves it as it is.
type Style struct{ Color bool }

func (s Style) with(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold is for what a line is about.
func (s Style) Bold(text string) string { return s.with("1", text) }

// Dim is for what matters less.
func (s Style) Dim(text string) string { return s.with("2", text) }

// Good is for what went well.
func (s Style) Good(text string) string { return s.with("32", text) }

// Bad is for what did not.
func (s Style) Bad(text string) string { return s.with("31", text) }

// Warn is for what lies between.
func (s Style) Warn(text string) string { return s.with("33", text) }
