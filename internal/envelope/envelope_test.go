package envelope_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/envelope"
)

const hexKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string) *envelope.Key {
	t.Helper()
	k, err := envelope.LoadKeyFile(write(t, text, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealAndOpen(t *testing.T) {
	k := load(t, hexKey+"\n")
	other := load(t, strings.Repeat("ab", 32)+"\n")
	secret := []byte("a private key")
	sealed, err := k.Seal("root/1", secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("what was sealed opens under its name", func(t *testing.T) {
		got, err := k.Open("root/1", sealed)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%q, %v", got, err)
		}
	})
	t.Run("the same key read again opens it", func(t *testing.T) {
		if _, err := load(t, strings.ToUpper(hexKey)+"\r\n").Open("root/1", sealed); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("an empty value is sealed too", func(t *testing.T) {
		empty, err := k.Seal("n", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open("n", empty); err != nil || len(got) != 0 {
			t.Fatalf("%q, %v", got, err)
		}
	})
	t.Run("another name does not open it", func(t *testing.T) {
		if _, err := k.Open("root/2", sealed); !errors.Is(err, envelope.ErrOpen) {
			t.Fatal(err)
		}
	})
	t.Run("another key does not open it", func(t *testing.T) {
		if _, err := other.Open("root/1", sealed); !errors.Is(err, envelope.ErrOpen) {
			t.Fatal(err)
		}
	})
	t.Run("another key does not open it under the first one's id", func(t *testing.T) {
		theirs, err := other.Seal("root/1", secret)
		if err != nil {
			t.Fatal(err)
		}
		copy(theirs[1:9], sealed[1:9])
		if _, err := k.Open("root/1", theirs); !errors.Is(err, envelope.ErrOpen) {
			t.Fatal(err)
		}
	})
	t.Run("a change of any byte is found", func(t *testing.T) {
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			if _, err := k.Open("root/1", changed); !errors.Is(err, envelope.ErrOpen) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	})
	t.Run("every shorter value is refused", func(t *testing.T) {
		for i := range sealed {
			if _, err := k.Open("root/1", sealed[:i]); !errors.Is(err, envelope.ErrOpen) {
				t.Errorf("%d bytes: %v", i, err)
			}
		}
	})
	t.Run("a value is never sealed the same way twice", func(t *testing.T) {
		again, err := k.Seal("root/1", secret)
		if err != nil || bytes.Equal(again, sealed) {
			t.Fatalf("same: %v, %v", bytes.Equal(again, sealed), err)
		}
	})
	t.Run("version and key id stand in front", func(t *testing.T) {
		// SHA-256 of the 32 bytes 00 to 1f begins with these.
		if want := []byte{1, 0x63, 0x0d, 0xcd, 0x29, 0x66, 0xc4, 0x33, 0x66}; !bytes.Equal(sealed[:9], want) {
			t.Fatalf("%x, want %x", sealed[:9], want)
		}
	})
	t.Run("no key seals and opens nothing", func(t *testing.T) {
		for _, none := range []*envelope.Key{nil, {}} {
			if _, err := none.Seal("n", secret); err == nil {
				t.Error("sealed")
			}
			if _, err := none.Open("n", sealed); err == nil {
				t.Error("opened")
			}
			if _, err := none.Open("n", append([]byte{1}, make([]byte, 40)...)); err == nil {
				t.Error("opened under the id of no key")
			}
		}
	})
}

func TestLoadKeyFile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		says       string
	}{
		{"a file that others may read is refused", hexKey + "\n", 0o644, "mode 0644"},
		{"a file that the group may read is refused", hexKey + "\n", 0o640, "mode 0640"},
		{"a file that may be executed is refused", hexKey + "\n", 0o700, "mode 0700"},
		{"an empty file is refused", "", 0o600, "64 hexadecimal"},
		{"a missing line end is refused", hexKey, 0o600, "64 hexadecimal"},
		{"one character less is refused", hexKey[1:] + "\n", 0o600, "64 hexadecimal"},
		{"two characters less are refused", hexKey[2:] + "\n", 0o600, "64 hexadecimal"},
		{"one character more is refused", hexKey + "0\n", 0o600, "64 hexadecimal"},
		{"a second line is refused", hexKey + "\n\n", 0o600, "64 hexadecimal"},
		{"a long file is refused", strings.Repeat(hexKey, 1000) + "\n", 0o600, "64 hexadecimal"},
		{"what is not hexadecimal is refused", "g" + hexKey[1:] + "\n", 0o600, "64 hexadecimal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := envelope.LoadKeyFile(write(t, c.text, c.mode))
			if err == nil || k != nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want one with %q", err, c.says)
			}
			if strings.Contains(err.Error(), hexKey[2:]) {
				t.Fatal("the error quotes the key")
			}
		})
	}
	t.Run("a file that does not exist is refused", func(t *testing.T) {
		if _, err := envelope.LoadKeyFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	})
	t.Run("a directory is refused", func(t *testing.T) {
		if _, err := envelope.LoadKeyFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Fatal(err)
		}
	})
}

func TestCreateKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	k, err := envelope.CreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the file has mode 0600 and opens what the key sealed", func(t *testing.T) {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v, %v", info.Mode(), err)
		}
		sealed, err := k.Seal("n", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		read, err := envelope.LoadKeyFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read.Open("n", sealed); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a file is not replaced", func(t *testing.T) {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := envelope.CreateKeyFile(path); !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Fatalf("the file changed, or %v", err)
		}
	})
	t.Run("no two keys are the same", func(t *testing.T) {
		second := filepath.Join(t.TempDir(), "kek")
		if _, err := envelope.CreateKeyFile(second); err != nil {
			t.Fatal(err)
		}
		a, _ := os.ReadFile(path)
		b, _ := os.ReadFile(second)
		if len(a) != 65 || bytes.Equal(a, b) {
			t.Fatal("two keys are the same")
		}
	})
}

func TestKeyPrintsAsRedacted(t *testing.T) {
	k := load(t, hexKey+"\n")
	type holder struct {
		Key  *envelope.Key
		priv *envelope.Key
		Flat envelope.Key
		flat envelope.Key
	}
	h := holder{k, k, *k, *k}
	var prints []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{k, *k, h, &h} {
			prints = append(prints, fmt.Sprintf(verb, v))
		}
	}
	for _, v := range []any{k, *k, h} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, string(b))
	}
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("x", "key", k, "flat", *k, "holder", h)
		prints = append(prints, b.String())
	}
	raw := "\x00\x01\x02\x03\x04\x05\x06\x07"
	for _, p := range prints {
		if strings.Contains(strings.ToLower(p), hexKey[:16]) || strings.Contains(p, raw) || strings.Contains(p, "0 1 2 3 4 5 6 7 8 9") {
			t.Errorf("a key shows in %q", p)
		}
	}
	for _, direct := range []string{fmt.Sprint(k), fmt.Sprintf("%#v", *k), fmt.Sprintf("%x", k), k.String(), k.GoString(), k.LogValue().String()} {
		if direct != "[redacted]" {
			t.Errorf("prints as %q", direct)
		}
	}
	if b, err := k.MarshalText(); err != nil || string(b) != "[redacted]" {
		t.Errorf("marshals as %q, %v", b, err)
	}
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "kek")
	k, err := envelope.CreateKeyFile(path)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := k.Seal("n", []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:21])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := k.Open("n", b)
		if (err == nil) != bytes.Equal(b, sealed) || err != nil && !errors.Is(err, envelope.ErrOpen) {
			t.Fatalf("%x opens as %q, %v", b, got, err)
		}
	})
}

func TestDerive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	first, err := envelope.CreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := envelope.LoadKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := envelope.CreateKeyFile(path + "2")
	if err != nil {
		t.Fatal(err)
	}
	if first.Derive("a") != again.Derive("a") {
		t.Error("a restart changes what is derived")
	}
	if first.Derive("a") == first.Derive("b") || first.Derive("a") == other.Derive("a") {
		t.Error("another purpose or another key derives the same")
	}
}
