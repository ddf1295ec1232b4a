// Package archive packs a folder into a gzipped tar whose bytes depend on nothing but the files, and unpacks it again without ever
// leaving the folder it was told.
package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// ErrTooLarge marks a folder or an archive that holds more than it may.
var ErrTooLarge = errors.New("too large")

// ErrUnsafe marks an archive that would write outside of its folder, or holds more than files and folders.
var ErrUnsafe = errors.New("not an archive of plain files and folders")

// maxFiles is how many files are unpacked: empty ones take room, too.
const maxFiles = 20_000

// Options say what is packed.
type Options struct {
	Limit int64                                  // bytes of files
	Skip  func(name string, folder bool) bool    // leaves out a file, or a folder with all that is in it; nil leaves out nothing
	Check func(name string, f fs.FileInfo) error // refuses a file, and with it the folder; nil refuses nothing
}

// Pack packs the regular files under a folder and tells how many there are. The same files give the same bytes: names in order,
// permissions reduced to executable or not, no times and no owners. Links and other special files are left out; none is followed.
// More than o.Limit bytes of files is [ErrTooLarge].
func Pack(root *os.Root, o Options) (packed []byte, files int, err error) {
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	p := packer{root: root, o: o, left: o.Limit, archive: tar.NewWriter(zip)}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case o.Skip != nil && o.Skip(name, entry.IsDir()):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		if err := p.add(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files++
		return nil
	})
	if err = errors.Join(err, p.archive.Close(), zip.Close()); err != nil {
		return nil, 0, fmt.Errorf("pack %s: %w", root.Name(), err)
	}
	return out.Bytes(), files, nil
}

type packer struct {
	root    *os.Root
	o       Options
	left    int64
	archive *tar.Writer
}

func (p *packer) add(name string) error {
	// What would block is not opened to be read, should it have taken the file's place.
	f, err := p.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it changes while it is packed")
	}
	if p.o.Check != nil {
		if err := p.o.Check(name, info); err != nil {
			return err
		}
	}
	if p.left -= info.Size(); p.left < 0 {
		return fmt.Errorf("with it the folder is %w", ErrTooLarge)
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := p.archive.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(p.archive, f)
	return err
}

// Unpack writes what [Pack] packed into dir, which must exist. Folders of their own are made too. A name that leads out of dir, a
// link or anything else that is no plain file is [ErrUnsafe]; files of more than limit bytes together, or more than 20,000 of them, are [ErrTooLarge].
func Unpack(packed []byte, dir string, limit int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("unpack: %w: %w", ErrUnsafe, err)
	}
	archive := tar.NewReader(zip)
	for n := 0; ; n++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if n >= maxFiles {
			return fmt.Errorf("unpack: the archive is %w: it holds more than %d files", ErrTooLarge, maxFiles)
		}
		if err != nil {
			return fmt.Errorf("unpack: %w: %w", ErrUnsafe, err)
		}
		folder := header.Typeflag == tar.TypeDir
		if !folder && header.Typeflag != tar.TypeReg || !filepath.IsLocal(filepath.FromSlash(header.Name)) {
			return fmt.Errorf("unpack: %w: %q", ErrUnsafe, header.Name)
		}
		if folder {
			if err := root.MkdirAll(path.Clean(header.Name), 0o755); err != nil {
				return fmt.Errorf("unpack: %s: %w", header.Name, err)
			}
			continue
		}
		if limit -= header.Size; limit < 0 {
			return fmt.Errorf("unpack: %s: the archive is %w", header.Name, ErrTooLarge)
		}
		if err := unpackFile(root, header, archive); err != nil {
			return fmt.Errorf("unpack: %s: %w", header.Name, err)
		}
	}
}

// Each reads the files of what [Pack] packed, in order, without unpacking it. More than limit bytes of files are [ErrTooLarge].
func Each(packed []byte, limit int64, do func(name string, content []byte)) error {
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("read archive: %w: %w", ErrUnsafe, err)
	}
	files := tar.NewReader(zip)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w: %w", ErrUnsafe, err)
		}
		if limit -= header.Size; limit < 0 {
			return fmt.Errorf("read archive: %s: it is %w", header.Name, ErrTooLarge)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return fmt.Errorf("read archive: %s: %w", header.Name, err)
		}
		do(header.Name, content)
	}
}

func unpackFile(root *os.Root, header *tar.Header, from io.Reader) error {
	if folder := path.Dir(header.Name); folder != "." {
		if err := root.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o644)
	if header.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := root.OpenFile(header.Name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
