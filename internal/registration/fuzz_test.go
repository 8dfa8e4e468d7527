package registration_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

// FuzzMetadata: what is read keeps the rules that need nothing else, and is read
// again as the same; what is refused names a member, and quotes nothing.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"client_name":"a","scope":"a b","grant_types":["client_credentials"],"roles":[],"software_id":"s","unknown":{"a":[1]}}`,
		`{"jwks":{"keys":[` + string(signer(f, "k").Public().JWK()) + `]},"dpop_bound_access_tokens":true}`,
		`{"jwks_uri":"https://a.example/","tls_client_auth_san_dns":"a","tls_client_certificate_bound_access_tokens":null}`,
		`{"tls_client_auth_subject_dn":"CN=a"}`, `{"redirect_uris":["x"]}`, `{"jwks":{"keys":[{"kty":"oct","k":"a"}]}}`, `{"client_id":"a","client_secret":"b"}`, `[`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := registration.ParseMetadata(data)
		if err != nil {
			fault, ok := errors.AsType[*directory.InvalidError](err)
			if !ok || fault.Field == "" || fault.Reason == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		if m.HasKeys && m.JWKSURI != "" || len(m.Keys) > 20 || m.HasKeys != (len(m.Keys) > 0) || len(m.TLSNames) > 1 {
			t.Fatalf("%+v", m)
		}
		kids := map[string]bool{}
		for _, k := range m.Keys {
			if kids[k.Public.KeyID()] || strings.Contains(string(k.Public.JWK()), `"d"`) {
				t.Fatalf("key %s", k.Public.JWK())
			}
			kids[k.Public.KeyID()] = true
		}
		again, err := json.Marshal(registration.Wire(m))
		if err != nil {
			t.Fatal(err)
		}
		n, err := registration.ParseMetadata(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if second, err := json.Marshal(registration.Wire(n)); err != nil || string(second) != string(again) {
			t.Fatalf("%s became %s (%v)", again, second, err)
		}
	})
}

// FuzzStatement: nothing is a software statement but what this directory signed,
// byte for byte.
func FuzzStatement(f *testing.F) {
	w := newWorld(f)
	genuine := w.statement(f, `{"software_id":"soft","scope":"pay"}`)
	parts := strings.Split(genuine, ".")
	for _, seed := range []string{genuine, genuine + "A", parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[0] + "." + parts[2], "..", "", strings.ToUpper(genuine), parts[1]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		m, err := registration.Verified(w.Service, t.Context(), compact)
		switch {
		case compact == "":
			if m != nil || err != nil {
				t.Fatalf("nothing is %v, %v", m, err)
			}
		case compact == genuine:
			if err != nil || m.SoftwareID != "soft" {
				t.Fatalf("the genuine one: %v", err)
			}
		case err == nil:
			t.Fatalf("accepted")
		default:
			if e, ok := oauth.AsError(err); !ok || e.Code != oauth.InvalidSoftwareStatement && e.Code != oauth.UnapprovedSoftwareStatement {
				t.Fatalf("error %v", err)
			}
		}
	})
}

// FuzzKeyProof: what proves a key is signed with it.
func FuzzKeyProof(f *testing.F) {
	k := signer(f, "k")
	genuine := proof(f, k, nil)
	for _, seed := range []string{genuine, proof(f, signer(f, "other"), nil), genuine[1:], "..", strings.Replace(genuine, ".", "..", 1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		err := registration.ProveKey(k.Public(), compact, audience, now)
		if (err == nil) != (compact == genuine) {
			// An ES256 signature has a twin, which proves the same.
			m, parsed := jose.Parse(compact, 4<<10)
			if err != nil || parsed != nil || m.Verify(k.Public()) != nil || !strings.HasPrefix(compact, genuine[:strings.LastIndexByte(genuine, '.')]) {
				t.Fatalf("%q: %v", compact, err)
			}
		}
	})
}

func TestMetadata(t *testing.T) {
	long := strings.Repeat("x", 201)
	for name, c := range map[string]struct{ text, field string }{
		"software_id too long":            {`{"software_id":"` + long + `"}`, "software_id"},
		"software_version not printable":  {`{"software_version":"a\u0001"}`, "software_version"},
		"scope that is no text":           {`{"scope":["a"]}`, "scope"},
		"grant_types that is no array":    {`{"grant_types":"client_credentials"}`, "grant_types"},
		"grant_types empty":               {`{"grant_types":[]}`, "grant_types"},
		"roles of numbers":                {`{"roles":[1]}`, "roles"},
		"a boolean in text":               {`{"tls_client_certificate_bound_access_tokens":"yes"}`, "tls_client_certificate_bound_access_tokens"},
		"a set whose keys are no array":   {`{"jwks":{"keys":{}}}`, "jwks"},
		"a key that is no object":         {`{"jwks":{"keys":[7]}}`, "jwks"},
		"a set in text":                   {`{"jwks":"{}"}`, "jwks"},
		"two names":                       {`{"tls_client_auth_san_ip":"192.0.2.1","tls_client_auth_san_uri":"https://a"}`, "tls_client_auth_san_uri"},
		"the first fault of two is told":  {`{"scope":1,"roles":1}`, "scope"},
		"JSON that breaks off after it":   {`{"scope":1`, "body"},
		"a name that is no text":          {`{"tls_client_auth_san_dns":1}`, "tls_client_auth_san_dns"},
		"redirect_uris that is no array":  {`{"redirect_uris":"x"}`, "redirect_uris"},
		"more bytes than a body may have": {`{"a":"` + strings.Repeat("x", registration.MaxBody) + `"}`, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := registration.ParseMetadata([]byte(c.text))
			if fault, ok := errors.AsType[*directory.InvalidError](err); !ok || fault.Field != c.field {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("RFC 7592 §2.2: null is omitted", func(t *testing.T) {
		m, err := registration.ParseMetadata([]byte(`{"scope":null,"jwks":null,"tls_client_auth_subject_dn":null,"redirect_uris":null,"dpop_bound_access_tokens":null,"client_id":null}`))
		if err != nil || !cmp.Equal(*m, registration.Metadata{}, cmp.AllowUnexported(registration.Metadata{})) {
			t.Errorf("%+v %v", m, err)
		}
	})
}
