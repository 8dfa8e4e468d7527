package feed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func text(t testing.TB, d *Document) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := d.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDocument(t *testing.T) {
	d := &Document{Full: true, Age: 250 * time.Millisecond, Delta: directory.Delta{
		Sequence:      4711,
		Organisations: []directory.Organisation{{ID: "acme", State: directory.Suspended, TokensAfter: time.Unix(1600000000, 0).UTC()}},
		Applications:  []directory.Application{{ClientID: "billing", Organisation: "acme", State: directory.Active}, {ClientID: "b", Organisation: "acme", State: directory.Revoked}},
		Credentials:   []directory.Credential{{ID: "c", ClientID: "billing", Kind: directory.DPoPKey, State: directory.Compromised, Thumbprint: thumbprint("c")}},
		Resources:     []directory.Resource{{URI: "https://api.example", State: directory.Active}},
		RevokedKeys:   []directory.RevokedKey{{KeyID: "k", At: time.Unix(1500000000, 0).UTC()}},
		Revoked:       []directory.RevokedToken{{ClientID: "billing", ID: `j"ti`, Expires: time.Unix(1700000000, 0)}},
	}}
	t.Run("its words", func(t *testing.T) {
		want := `{"sequence":4711,"full":true,"age_ms":250,` +
			`"organisations":[{"id":"acme","state":"suspended","tokens_after":1600000000}],` +
			`"applications":[{"client_id":"billing","organisation":"acme","state":"active"},{"client_id":"b","organisation":"acme","state":"revoked"}],` +
			`"credentials":[{"credential_id":"c","client_id":"billing","kind":"dpop_key","state":"compromised","thumbprint":"` + thumbprint("c").String() + `"}],` +
			`"resources":[{"uri":"https://api.example","state":"active"}],"revoked_keys":[{"kid":"k","at":1500000000}],` +
			`"revoked_tokens":[{"client_id":"billing","jti":"j\"ti","exp":1700000000}]}`
		if got := string(text(t, d)); got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("what is written is read", func(t *testing.T) {
		got, err := ParseDocument(text(t, d))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a large one is written in pieces and is the same", func(t *testing.T) {
		large := &Document{Full: true, Delta: directory.Delta{Sequence: 1}}
		for i := range 5000 {
			large.Delta.Revoked = append(large.Delta.Revoked, directory.RevokedToken{ClientID: "billing", ID: fmt.Sprint("t", i), Expires: time.Unix(1, 0)})
		}
		pieces := &counter{}
		if err := large.writeTo(pieces); err != nil || pieces.writes < 3 {
			t.Errorf("%d pieces, %v", pieces.writes, err)
		}
		got, err := ParseDocument(pieces.Bytes())
		if err != nil || len(got.Delta.Revoked) != 5000 {
			t.Errorf("%v", err)
		}
	})
	t.Run("a reader that is gone ends it", func(t *testing.T) {
		if err := d.writeTo(gone{}); !errors.Is(err, errGone) {
			t.Errorf("got %v", err)
		}
	})
}

// counter counts writes.
type counter struct {
	bytes.Buffer
	writes int
}

func (c *counter) Write(p []byte) (int, error) { c.writes++; return c.Buffer.Write(p) }

var errGone = errors.New("gone")

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errGone }

func TestParseDocument(t *testing.T) {
	head := `{"sequence":1,"full":false,"age_ms":0`
	print := thumbprint("c").String()
	for _, c := range []struct{ name, text string }{
		{"nothing", ``},
		{"a list", `[]`},
		{"no sequence", `{"full":true,"age_ms":0}`},
		{"a negative sequence", `{"sequence":-1,"full":true,"age_ms":0}`},
		{"a sequence as text", `{"sequence":"1","full":true,"age_ms":0}`},
		{"full missing", `{"sequence":1,"age_ms":0}`},
		{"full as a number", `{"sequence":1,"full":1,"age_ms":0}`},
		{"age missing", `{"sequence":1,"full":true}`},
		{"a negative age", `{"sequence":1,"full":true,"age_ms":-1}`},
		{"an age beyond 10 s", `{"sequence":1,"full":true,"age_ms":10001}`},
		{"an age as text", `{"sequence":1,"full":true,"age_ms":"0"}`},
		{"a member twice", head + `,"sequence":2}`},
		{"something after it", head + `}{}`},
		{"organisations that are an object", head + `,"organisations":{}}`},
		{"an organisation without state", head + `,"organisations":[{"id":"a"}]}`},
		{"an organisation without id", head + `,"organisations":[{"state":"active"}]}`},
		{"an application without organisation", head + `,"applications":[{"client_id":"a","state":"active"}]}`},
		{"an application without id", head + `,"applications":[{"organisation":"a","state":"active"}]}`},
		{"an application with a state that is a number", head + `,"applications":[{"client_id":"a","organisation":"a","state":1}]}`},
		{"a credential without kind", head + `,"credentials":[{"credential_id":"c","client_id":"a","state":"active","thumbprint":"` + print + `"}]}`},
		{"a credential without thumbprint", head + `,"credentials":[{"credential_id":"c","client_id":"a","state":"active","kind":"certificate"}]}`},
		{"a credential with a short thumbprint", head + `,"credentials":[{"credential_id":"c","client_id":"a","state":"active","kind":"certificate","thumbprint":"AAAA"}]}`},
		{"a revoked token without jti", head + `,"revoked_tokens":[{"client_id":"a","exp":1}]}`},
		{"a revoked token without exp", head + `,"revoked_tokens":[{"client_id":"billing","jti":"a"}]}`},
		{"a revoked token with exp as text", head + `,"revoked_tokens":[{"client_id":"billing","jti":"a","exp":"1"}]}`},
		{"a revoked token without client_id", head + `,"revoked_tokens":[{"jti":"a","exp":1}]}`},
		{"a revoked token that is text", head + `,"revoked_tokens":["a"]}`},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			if d, err := ParseDocument([]byte(c.text)); err == nil || d != nil {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
	t.Run("what a newer server says besides is ignored", func(t *testing.T) {
		d, err := ParseDocument([]byte(head + `,"policies":[{"a":1}],"organisations":[{"id":"a","state":"active","name":["x"]}]}`))
		if err != nil || len(d.Delta.Organisations) != 1 {
			t.Errorf("got %+v, %v", d, err)
		}
	})
	t.Run("a document beyond 64 MiB is refused", func(t *testing.T) {
		endless := strings.NewReader(head + strings.Repeat(" ", maxDocument) + "}")
		if _, err := readDocument(endless); err == nil || !strings.Contains(err.Error(), "64 MiB") {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzDocument: what is read is written and read again as the same.
func FuzzDocument(f *testing.F) {
	b := newBook(append(world(), revoked("t"))...)
	d, _ := b.Delta(f.Context(), 0)
	f.Add(text(f, &Document{Full: true, Delta: d}))
	f.Add([]byte(`{"sequence":1,"full":false,"age_ms":0}`))
	f.Add([]byte(`{"sequence":1,"full":false,"age_ms":0,"revoked_tokens":[{"client_id":"billing","jti":"\ud83d\ude00","exp":-1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := ParseDocument(data)
		if err != nil {
			return
		}
		second, err := ParseDocument(text(t, first))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkParseDocument(b *testing.B) {
	d := &Document{Full: true, Delta: directory.Delta{Sequence: 1}}
	for i := range 1000 {
		id := fmt.Sprint("application-", i)
		d.Delta.Applications = append(d.Delta.Applications, application(directory.ClientID(id), "acme", directory.Active).Applications...)
		d.Delta.Credentials = append(d.Delta.Credentials, credential(directory.CredentialID(id), directory.ClientID(id), directory.SigningKey, directory.Active).Credentials...)
	}
	data := text(b, d)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDocument(data); err != nil {
			b.Fatal(err)
		}
	}
}
