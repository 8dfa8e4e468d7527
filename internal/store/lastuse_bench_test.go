package store_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// BenchmarkAddLastUsed is one transaction of a flush: how long the writer is busy.
func BenchmarkAddLastUsed(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "holdfast.db"))
	uses := make([]directory.LastUse, 1000)
	for i := range uses {
		uses[i] = directory.LastUse{ClientID: directory.ClientID(fmt.Sprintf("app-%026d", i)), CredentialID: directory.CredentialID(fmt.Sprintf("cred-%026d", i)), At: time.Unix(0, 0)}
	}
	for b.Loop() {
		for i := range uses {
			uses[i].At = uses[i].At.Add(time.Second)
		}
		if err := s.AddLastUsed(b.Context(), uses); err != nil {
			b.Fatal(err)
		}
	}
}
