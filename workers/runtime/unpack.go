package runtime

import (
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/core/model/archive"
)

// unpackSource unpacks what PackSource made into dir. A [*Failure] says what is wrong with the archive: a name that leads out of
// dir, anything but files, or more than a source may hold, however well it is packed.
func unpackSource(b []byte, dir string) error {
	err := archive.Unpack(b, dir, MaxSource)
	switch {
	case errors.Is(err, archive.ErrTooLarge):
		return failed("the candidate's source holds more than a source may, %d MiB: %v; keep data out of the source folder", MaxSource>>20, err)
	case errors.Is(err, archive.ErrUnsafe):
		return failed("the candidate's source can't be used: %v; apply the model again", err)
	case err != nil:
		return fmt.Errorf("the candidate's source: %w", err)
	}
	return nil
}
