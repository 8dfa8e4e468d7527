package dev_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/dev"
)

func TestFolderThatOthersWriteTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o720, 0o702, 0o777} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		_, err := dev.Start(t.Context(), dev.Options{Dir: dir, Now: time.Now})
		if _, ok := errors.AsType[*dev.OpenFolderError](err); !ok {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
