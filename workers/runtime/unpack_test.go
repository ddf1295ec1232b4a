package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Whatever a source is, unpacking it ends well or is the candidate's failure, and touches nothing outside of its folder.
func FuzzUnpackSource(f *testing.F) {
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "train.py"), []byte("print()"), 0o644); err != nil {
		f.Fatal(err)
	}
	packed, err := PackSource(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, b []byte) {
		home := t.TempDir()
		code := filepath.Join(home, "code")
		if err := os.Mkdir(code, 0o755); err != nil {
			t.Fatal(err)
		}
		var failure *Failure
		if err := unpackSource(b, code); err != nil && !errors.As(err, &failure) {
			t.Logf("%v", err) // names that no file system takes
		}
		entries, err := os.ReadDir(home)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v beside the source: %v", entries, err)
		}
	})
}
