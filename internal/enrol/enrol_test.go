package enrol_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// world is a service over a real database and a real CA.
type world struct {
	*enrol.Service
	t     *testing.T
	now   time.Time
	store *store.Store
	dir   *directory.Directory
	ca    *ca.Authority
	org   directory.OrganisationID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)}
	var err error
	w.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "holdfast.db"), store.Options{Create: true, Now: w.clock})
	w.must(err)
	t.Cleanup(func() { _ = w.store.Close() })
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	w.must(err)
	ring := &keyring.Ring{Store: w.store, KEK: kek, Now: w.clock}
	w.must(ca.Create(t.Context(), ring, "holdfast.example"))
	w.ca, err = ca.Open(t.Context(), ca.Config{Ring: ring, Store: w.store, TrustDomain: "holdfast.example", Now: w.clock})
	w.must(err)
	w.dir, err = directory.Open(t.Context(), w.store, w.clock)
	w.must(err)
	o, err := w.dir.CreateOrganisation(t.Context(), "system", directory.Organisation{Name: "Acme"})
	w.must(err)
	w.org = o.ID
	w.Service = &enrol.Service{Store: w.store, Authority: w.ca, Directory: w.dir, Now: w.clock}
	return w
}

func (w *world) clock() time.Time { return w.now }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) application(method directory.AuthMethod) *directory.Client {
	w.t.Helper()
	binding := cnf.MTLS
	if method == directory.PrivateKeyJWT {
		binding = cnf.DPoP
	}
	a, err := w.dir.CreateApplication(w.t.Context(), "system", directory.Application{Organisation: w.org, Name: "Ledger", AuthMethod: method, Binding: binding})
	w.must(err)
	return w.dir.Current().Client(a.ClientID)
}

func (w *world) code(c *directory.Client, n enrol.New) (enrol.Code, string) {
	w.t.Helper()
	code, secret, err := w.Create(w.t.Context(), "operator", c, n)
	w.must(err)
	return code, secret
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// untouched wants that nothing changed since.
func (w *world) untouched(since int64, what string) {
	w.t.Helper()
	head, err := w.store.Head(w.t.Context())
	w.must(err)
	if head.Sequence != since {
		w.t.Errorf("%s: %d changes", what, head.Sequence-since)
	}
}

func (w *world) sequence() int64 {
	w.t.Helper()
	head, err := w.store.Head(w.t.Context())
	w.must(err)
	return head.Sequence
}

func TestCode(t *testing.T) {
	w := newWorld(t)
	c := w.application(directory.TLSClientAuth)
	code, secret := w.code(c, enrol.New{Instance: "pay-1"})
	if len(secret) != len("hfe_")+26 || !code.Expires.Equal(w.now.Add(enrol.CodeLife)) || code.State(w.now) != "open" || code.Actor != "operator" {
		t.Errorf("%+v", code)
	}
	t.Run("shown once: neither store nor audit has it", func(t *testing.T) {
		stored, err := w.Code(t.Context(), c.ClientID, code.ID)
		w.must(err)
		if stored.ID != code.ID || stored.Instance != "pay-1" {
			t.Errorf("%+v", stored)
		}
		if found, err := w.store.CodeByHash(t.Context(), sha256.Sum256([]byte(secret))); err != nil || found.ID != code.ID {
			t.Errorf("%+v, %v", found, err)
		}
		events, err := w.store.Events(t.Context(), 0, 100)
		w.must(err)
		last := events[len(events)-1]
		if last.Action != "enrolment_code.created" || last.Subject != code.ID || last.Actor != "operator" || strings.Contains(last.Detail, secret[len("hfe_"):]) {
			t.Errorf("%+v", last)
		}
	})
	t.Run("another application's code does not exist", func(t *testing.T) {
		other := w.application(directory.TLSClientAuth)
		if _, err := w.Code(t.Context(), other.ClientID, code.ID); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("show: %v", err)
		}
		if err := w.Revoke(t.Context(), "operator", other, code.ID); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("revoke: %v", err)
		}
		if all, err := w.Codes(t.Context(), other.ClientID); err != nil || len(all) != 0 {
			t.Errorf("list: %v, %v", all, err)
		}
	})
	t.Run("refused, and nothing stored", func(t *testing.T) {
		jwt, self := w.application(directory.PrivateKeyJWT), w.application(directory.SelfSignedTLSClientAuth)
		before := w.sequence()
		for name, try := range map[string]struct {
			c     *directory.Client
			n     enrol.New
			field string
		}{
			"client_signing for a client that signs nothing": {c, enrol.New{Profile: ca.ClientSigning}, "profile"},
			"server_tls":                    {jwt, enrol.New{Profile: ca.ServerTLS}, "profile"},
			"a profile that is none":        {jwt, enrol.New{Profile: "x"}, "profile"},
			"self_signed_tls_client_auth":   {self, enrol.New{}, "profile"},
			"a life beyond 24 h":            {c, enrol.New{Life: enrol.CodeLife + 1}, "life_seconds"},
			"a negative life":               {c, enrol.New{Life: -1}, "life_seconds"},
			"an instance with a slash":      {c, enrol.New{Instance: "a/b"}, "instance"},
			"an instance that is a dot":     {c, enrol.New{Instance: ".."}, "instance"},
			"an instance of 65 characters":  {c, enrol.New{Instance: strings.Repeat("a", 65)}, "instance"},
			"an instance with a line break": {c, enrol.New{Instance: "a\n"}, "instance"},
			"an instance that is not ASCII": {c, enrol.New{Instance: "\u00e9"}, "instance"},
		} {
			var invalid *directory.InvalidError
			if _, secret, err := w.Create(t.Context(), "operator", try.c, try.n); !errors.As(err, &invalid) || invalid.Field != try.field || secret != "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.untouched(before, "refused")
	})
	t.Run("not for an application that was revoked", func(t *testing.T) {
		gone := w.application(directory.TLSClientAuth)
		w.must(w.dir.SetApplicationState(t.Context(), "operator", gone.ClientID, directory.Revoked))
		if _, _, err := w.Create(t.Context(), "operator", w.dir.Current().Client(gone.ClientID), enrol.New{}); !errors.Is(err, directory.ErrState) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRedeem(t *testing.T) {
	t.Run("a certificate, once, and the same one for the same request", func(t *testing.T) {
		w := newWorld(t)
		c, key := w.application(directory.TLSClientAuth), newKey(t)
		code, secret := w.code(c, enrol.New{Instance: "pay-1"})
		first, err := w.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: csr(t, key), Life: time.Hour})
		w.must(err)
		if first.Client.ClientID != c.ClientID || first.Instance != "pay-1" || first.Profile != ca.ClientTransport || first.Issued.Again || !first.Issued.Credential.NotAfter.Equal(w.now.Add(time.Hour)) {
			t.Errorf("%+v", first)
		}
		again, err := w.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: csr(t, key)})
		if err != nil || !again.Issued.Again || !bytes.Equal(again.Issued.Chain[0], first.Issued.Chain[0]) {
			t.Errorf("again: %v", err)
		}
		if _, err := w.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: csr(t, newKey(t))}); !errors.Is(err, ca.ErrCode) {
			t.Errorf("advisory 52: another request: %v", err)
		}
		w.must(w.dir.Refresh(t.Context()))
		now := w.dir.Current().Client(c.ClientID)
		if len(now.Credentials) != 1 || len(now.Instances) != 1 || now.Instances[0].Name != "pay-1" || now.Credentials[0].Instance != now.Instances[0].ID {
			t.Errorf("%+v %+v", now.Credentials, now.Instances)
		}
		used, err := w.Code(t.Context(), c.ClientID, code.ID)
		if err != nil || used.State(w.now) != "used" || used.CredentialID != first.Issued.Credential.ID {
			t.Errorf("%+v, %v", used, err)
		}
		events, err := w.store.Events(t.Context(), 0, 100)
		w.must(err)
		if last := events[len(events)-1]; last.Action != "certificate.issued" || last.Actor != string(c.ClientID) || !strings.Contains(last.Detail, code.ID) {
			t.Errorf("%+v", last)
		}
		w.must(w.dir.SetCredentialState(t.Context(), "operator", first.Issued.Credential.ID, directory.Revoked))
		if _, err := w.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: csr(t, newKey(t))}); !errors.Is(err, ca.ErrCode) {
			t.Errorf("after revocation: %v", err)
		}
	})
	t.Run("by profile", func(t *testing.T) {
		w := newWorld(t)
		jwt, tls := w.application(directory.PrivateKeyJWT), w.application(directory.TLSClientAuth)
		for name, try := range map[string]struct {
			c           *directory.Client
			code, asked ca.Profile
			want        ca.Profile // "" when refused
		}{
			"nothing said":                 {jwt, "", "", ca.ClientTransport},
			"the code says":                {jwt, ca.ClientSigning, "", ca.ClientSigning},
			"the request says":             {jwt, "", ca.ClientSigning, ca.ClientSigning},
			"both say the same":            {jwt, ca.ClientSigning, ca.ClientSigning, ca.ClientSigning},
			"they say different things":    {jwt, ca.ClientSigning, ca.ClientTransport, ""},
			"what the application has not": {tls, "", ca.ClientSigning, ""},
			"a server's":                   {jwt, "", ca.ServerTLS, ""},
			"a profile that nobody knows":  {jwt, "", "x", ""},
		} {
			_, secret := w.code(try.c, enrol.New{Profile: try.code})
			got, err := w.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: csr(t, newKey(t)), Profile: try.asked})
			var invalid *directory.InvalidError
			switch {
			case try.want == "" && (!errors.As(err, &invalid) || invalid.Field != "profile"):
				t.Errorf("%s: %v", name, err)
			case try.want != "" && (err != nil || got.Profile != try.want || got.Issued.Credential.Kind != try.want.Kind()):
				t.Errorf("%s: %v, %v", name, got.Profile, err)
			}
		}
	})
	t.Run("unknown, expired, revoked, and nothing like a code: alike", func(t *testing.T) {
		w := newWorld(t)
		c, request := w.application(directory.TLSClientAuth), csr(t, newKey(t))
		revoked, dead := w.code(c, enrol.New{})
		w.must(w.Revoke(t.Context(), "operator", c, revoked.ID))
		if err := w.Revoke(t.Context(), "operator", c, revoked.ID); !errors.Is(err, directory.ErrState) {
			t.Errorf("revoked twice: %v", err)
		}
		_, short := w.code(c, enrol.New{Life: time.Second})
		_, good := w.code(c, enrol.New{})
		before := w.sequence()
		w.now = w.now.Add(time.Second)
		for name, code := range map[string]string{
			"revoked": dead, "expired": short, "unknown": "hfe_" + strings.Repeat("a", 26), "empty": "", "its id": revoked.ID,
			"in capitals": strings.ToUpper(good), "advisory 21: one character less": good[:len(good)-1], "advisory 21: one more": good + "a", "without its beginning": good[9:],
		} {
			if got, err := w.Redeem(t.Context(), enrol.Attempt{Code: code, CSR: request}); err != ca.ErrCode && err.Error() != ca.ErrCode.Error() || got.Issued.Chain != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for i := range good {
			flipped := []byte(good)
			flipped[i] ^= 1
			if _, err := w.Redeem(t.Context(), enrol.Attempt{Code: string(flipped), CSR: request}); !errors.Is(err, ca.ErrCode) {
				t.Errorf("advisory 21: a bit of character %d: %v", i, err)
			}
		}
		w.untouched(before, "refused")
	})
	t.Run("nothing is burnt by what is refused for another reason", func(t *testing.T) {
		w := newWorld(t)
		c, request := w.application(directory.TLSClientAuth), csr(t, newKey(t))
		_, secret := w.code(c, enrol.New{})
		try := func() error {
			_, err := w.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: request})
			return err
		}
		w.must(w.dir.SetApplicationState(t.Context(), "operator", c.ClientID, directory.Suspended))
		if err := try(); !errors.Is(err, directory.ErrState) {
			t.Errorf("suspended: %v", err)
		}
		w.must(w.dir.SetApplicationState(t.Context(), "operator", c.ClientID, directory.Active))
		w.must(w.ca.SetSwitch(t.Context(), "operator", true))
		if err := try(); !errors.Is(err, ca.ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
		w.must(w.ca.SetSwitch(t.Context(), "operator", false))
		for name, a := range map[string]enrol.Attempt{
			"no CSR": {Code: secret}, "a CSR that is none": {Code: secret, CSR: []byte("x")}, "a life of a year": {Code: secret, CSR: request, Life: 365 * 24 * time.Hour},
			"advisory 92: a CSR that was changed after it was signed": {Code: secret, CSR: append(bytes.Clone(request[:len(request)-1]), request[len(request)-1]^1)},
		} {
			if _, err := w.Redeem(t.Context(), a); !errors.Is(err, directory.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.must(try())
	})
}

func TestAdvisory47OneCode64Times(t *testing.T) {
	w := newWorld(t)
	c := w.application(directory.TLSClientAuth)
	second := *w.Service // another node on the same database
	_, secret := w.code(c, enrol.New{})
	var issued, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		s := w.Service
		if i%2 == 1 {
			s = &second
		}
		request := csr(t, newKey(t))
		wg.Go(func() {
			switch _, err := s.Redeem(t.Context(), enrol.Attempt{Code: secret, CSR: request}); {
			case err == nil:
				issued.Add(1)
			case errors.Is(err, ca.ErrCode):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.must(w.dir.Refresh(t.Context()))
	if issued.Load() != 1 || refused.Load() != 63 || len(w.dir.Current().Client(c.ClientID).Credentials) != 1 {
		t.Errorf("advisory 47: %d issued, %d refused", issued.Load(), refused.Load())
	}
}
