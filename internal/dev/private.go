package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// OpenFolderError is a folder in which others could put files of theirs in place
// of ours.
type OpenFolderError struct{ Dir string }

func (e *OpenFolderError) Error() string {
	return fmt.Sprintf("others may write to the folder %s", e.Dir)
}

// private refuses such a folder; one that does not exist yet is made by us.
func private(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Perm()&0o022 != 0:
		return &OpenFolderError{dir}
	}
	return nil
}
