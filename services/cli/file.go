package cli

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api/call"
)

// fileFormats are the forms in which a file holds rows.
var fileFormats = []string{lake.FormatParquet, lake.FormatCSV, lake.FormatNDJSON}

func contentType(form string) string {
	switch form {
	case lake.FormatParquet:
		return events.ContentParquet
	case lake.FormatCSV:
		return events.ContentCSV
	}
	return events.ContentNDJSON
}

// formatOf is a file's format: what a flag says, or its ending.
func formatOf(path, flag string) (string, error) {
	if flag == "" {
		return lake.FormatOf(path)
	}
	if !slices.Contains(fileFormats, flag) {
		return "", wrongly("use "+strings.Join(fileFormats, ", "), "unknown --format %q", flag)
	}
	return flag, nil
}

// fileOf is a file on this machine that can be read.
func fileOf(path, flag string) (lake.File, error) {
	if flag != "" {
		if _, err := formatOf(path, flag); err != nil {
			return lake.File{}, err
		}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return lake.File{}, failed("", "can't read %s: %s", path, cause(err))
	case info.IsDir():
		return lake.File{}, failed("give one file of rows", "%s is a folder", path)
	}
	form, err := formatOf(path, flag)
	if err != nil {
		return lake.File{}, err
	}
	abs, err := filepath.Abs(path)
	return lake.File{Path: abs, Name: filepath.Base(path), Format: form}, err
}

// upload is a file of rows, or standard input, on its way to the API.
type upload struct {
	name   string
	body   call.Body
	bar    *progressbar.ProgressBar
	closer io.Closer
}

func (u *upload) close() {
	finish(u.bar)
	if u.closer != nil {
		_ = u.closer.Close() // it was only read
	}
}

// open begins an upload with a progress bar for a person. Standard input is NDJSON unless a flag says otherwise.
func (a *app) open(path, flag string) (*upload, error) {
	if path == "-" {
		if flag == "" {
			flag = lake.FormatNDJSON
		}
		form, err := formatOf("", flag)
		if err != nil {
			return nil, err
		}
		u := &upload{name: "stdin." + form, bar: a.bar(-1, "sending", true)}
		u.body = call.Body{Type: contentType(form), Reader: u.through(a.In), Length: -1}
		return u, nil
	}
	file, err := fileOf(path, flag)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file.Path)
	if err != nil {
		return nil, failed("", "can't read %s: %s", path, cause(err))
	}
	info, err := f.Stat()
	if err != nil {
		return nil, failed("", "can't read %s: %s", path, cause(err))
	}
	u := &upload{name: file.Name, closer: f, bar: a.bar(info.Size(), "sending "+file.Name, true)}
	u.body = call.Body{Type: contentType(file.Format), Reader: u.through(f), Length: info.Size()}
	return u, nil
}

// through counts what is read. The reader has no Close, so that the HTTP client leaves the file to its owner.
func (u *upload) through(r io.Reader) io.Reader {
	if u.bar == nil {
		return struct{ io.Reader }{r}
	}
	return struct{ io.Reader }{io.TeeReader(r, u.bar)}
}

// bar is a progress bar on the terminal, nil where no person looks. most is -1 when the end is unknown.
func (a *app) bar(most int64, what string, bytes bool) *progressbar.ProgressBar {
	if !a.IsTerminal(a.Err) {
		return nil
	}
	return progressbar.NewOptions64(most, progressbar.OptionSetWriter(a.Err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(bytes), progressbar.OptionShowCount(), progressbar.OptionSetWidth(28),
		progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(a.style(a.Err).Color))
}

// finish takes a progress bar away.
func finish(bar *progressbar.ProgressBar) {
	if bar != nil {
		_ = bar.Finish() // nothing but the terminal can fail
	}
}
