package directory_test

import (
	"errors"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestEndedKey(t *testing.T) {
	for _, end := range []directory.State{directory.Revoked, directory.Compromised} {
		w, ctx := filled(t), t.Context()
		key := p256(t)
		first, err := w.RegisterCertificate(ctx, "op", "self", made(t, key, nil, nil, nil))
		must(t, err)
		if w.Current().Client("self").EndedKey(key.Public()) {
			t.Error("a key in use counts as ended")
		}
		must(t, w.SetCredentialState(ctx, "op", first.ID, end))
		if !w.Current().Client("self").EndedKey(key.Public()) || w.Current().Client("self").EndedKey(p256(t).Public()) || w.Current().Client("self").EndedKey("no key") {
			t.Errorf("%s: the key of a certificate is not told", end)
		}
		if _, err := w.RegisterCertificate(ctx, "op", "self", made(t, key, nil, nil, nil)); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("a certificate with the same key: %v", err)
		}
	}
}
