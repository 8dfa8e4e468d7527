package directory

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

const paymentsURI = "https://api.example/payments"

func signingKey(t testing.TB, id CredentialID, client ClientID, seed byte) Credential {
	t.Helper()
	key, err := jose.NewPublicKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public(), "", "kid-"+string(id))
	if err != nil {
		t.Fatal(err)
	}
	return Credential{ID: id, ClientID: client, Kind: SigningKey, State: Active, Key: key, Thumbprint: key.Thumbprint()}
}

func certificate(id CredentialID, client ClientID, der string) Credential {
	return Credential{ID: id, ClientID: client, Kind: Certificate, State: Active, Certificate: []byte(der), Thumbprint: cnf.CertificateThumbprint([]byte(der))}
}

// world has two organisations with an application each.
func world(t testing.TB) *Snapshot {
	t.Helper()
	return Empty().Apply(Delta{
		Sequence:      10,
		Organisations: []Organisation{{ID: "acme", State: Active}, {ID: "other", State: Active}},
		Resources:     []Resource{{URI: paymentsURI, Organisation: "acme", Scopes: []string{"read", "write"}}},
		Applications:  []Application{{ClientID: "app", Organisation: "acme", State: Active}, {ClientID: "foreign", Organisation: "other", State: Active}},
		Credentials: []Credential{
			signingKey(t, "key", "app", 1), certificate("cert", "app", "app's"),
			signingKey(t, "foreign-key", "foreign", 2), certificate("foreign-cert", "foreign", "foreign's"),
		},
		Revoked: []RevokedToken{{ClientID: "app", ID: "revoked", Expires: now.Add(time.Minute)}},
	}, now)
}

func TestLookups(t *testing.T) {
	s := world(t)
	c := s.Client("app")
	key, cert := s.Credential("key"), s.Credential("cert")
	if s.Sequence() != 10 || c == nil || !c.Live || len(c.Credentials) != 2 || key == nil || cert == nil {
		t.Fatalf("%d %+v %v %v", s.Sequence(), c, key, cert)
	}
	if c.SigningKey("kid-key") != key || c.Certificate(cert.Thumbprint) != cert || s.Registered("app", key.Thumbprint) != key || s.Registered("app", cert.Thumbprint) != cert || s.CredentialByThumbprint(key.Thumbprint) != key || s.CredentialByThumbprint(cert.Thumbprint) != cert {
		t.Error("a credential is not found")
	}
	if c.SigningKey("kid-foreign-key") != nil || c.SigningKey("") != nil || c.Certificate(key.Thumbprint) != nil || c.Certificate(s.Credential("foreign-cert").Thumbprint) != nil ||
		s.Registered("app", s.Credential("foreign-key").Thumbprint) != nil || s.Registered("none", key.Thumbprint) != nil {
		t.Error("a credential of another application or kind is found")
	}
	if r := s.Resource(paymentsURI); r == nil || s.ResourceOfScope("read") != r || s.ResourceOfScope("write") != r {
		t.Error("a resource is not found")
	}
	if s.Organisation("acme") == nil || s.Organisation("none") != nil || s.Client("none") != nil || s.Resource("none") != nil || s.ResourceOfScope("none") != nil ||
		s.Credential("none") != nil || s.CredentialByThumbprint(cnf.Thumbprint{}) != nil {
		t.Error("what does not exist is found, or the reverse")
	}
	if n := len(slices.Collect(s.Organisations())); n != 2 {
		t.Errorf("%d organisations", n)
	}
	if n := len(slices.Collect(s.Clients())); n != 2 {
		t.Errorf("%d applications", n)
	}
	if n := len(slices.Collect(s.Resources())); n != 1 {
		t.Errorf("%d resources", n)
	}
	for range s.Clients() {
		break // an iteration that ends early must not go on
	}
	if e := Empty(); e.Sequence() != 0 || e.Client("app") != nil || e.Ended(Token{ClientID: "app"}) != "application_unknown" {
		t.Error("an empty snapshot knows something")
	}
}

func TestApply(t *testing.T) {
	t.Run("a suspended organisation takes its applications with it, and only them", func(t *testing.T) {
		s := world(t)
		suspended := s.Apply(Delta{Sequence: 11, Organisations: []Organisation{{ID: "acme", State: Suspended}}}, now)
		if suspended.Client("app").Live || !suspended.Client("foreign").Live {
			t.Error("the wrong application is live")
		}
		resumed := suspended.Apply(Delta{Sequence: 12, Organisations: []Organisation{{ID: "acme", State: Active}}}, now)
		if !resumed.Client("app").Live || !s.Client("app").Live || suspended.Client("app").Live {
			t.Error("a snapshot changed, or the resumed organisation's application is not live")
		}
		if resumed.Client("foreign") != s.Client("foreign") {
			t.Error("an application that did not change was copied")
		}
	})
	t.Run("an application and its organisation may come in one delta", func(t *testing.T) {
		s := world(t).Apply(Delta{
			Sequence: 11, Organisations: []Organisation{{ID: "acme", State: Suspended}, {ID: "new", State: Active}},
			Applications: []Application{{ClientID: "a", Organisation: "acme", State: Active}, {ClientID: "n", Organisation: "new", State: Active}, {ClientID: "lost", Organisation: "none", State: Active}},
		}, now)
		if s.Client("a").Live || s.Client("app").Live || !s.Client("n").Live || s.Client("lost").Live {
			t.Error("the wrong application is live")
		}
	})
	t.Run("a changed application keeps its credentials, and the snapshot before does not change", func(t *testing.T) {
		s := world(t)
		changed := s.Apply(Delta{Sequence: 11, Applications: []Application{{ClientID: "app", Organisation: "acme", State: Suspended}}}, now)
		if c := changed.Client("app"); c.Live || c.State != Suspended || len(c.Credentials) != 2 {
			t.Errorf("%+v", c)
		}
		if c := s.Client("app"); !c.Live || c.State != Active {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a changed credential changes wherever it is found", func(t *testing.T) {
		s := world(t)
		c := *s.Credential("key")
		c.State = Revoked
		changed := s.Apply(Delta{Sequence: 11, Credentials: []Credential{c}}, now)
		for _, found := range []*Credential{changed.Credential("key"), changed.CredentialByThumbprint(c.Thumbprint), changed.Client("app").SigningKey("kid-key")} {
			if found == nil || found.State != Revoked {
				t.Errorf("%+v", found)
			}
		}
		if len(changed.Client("app").Credentials) != 2 || s.Client("app").SigningKey("kid-key").State != Active || s.Credential("key").State != Active {
			t.Error("the snapshot before changed, or the credential is there twice")
		}
	})
	t.Run("new credentials join the old", func(t *testing.T) {
		s := world(t)
		added := s.Apply(Delta{Sequence: 11, Credentials: []Credential{signingKey(t, "second", "app", 3), certificate("third", "app", "third")}}, now)
		if len(added.Client("app").Credentials) != 4 || len(s.Client("app").Credentials) != 2 || added.Client("app").SigningKey("kid-second") == nil {
			t.Error("credentials are missing, or the snapshot before changed")
		}
		// Two snapshots made from one do not see each other's.
		a := added.Apply(Delta{Sequence: 12, Credentials: []Credential{certificate("a", "app", "a")}}, now)
		b := added.Apply(Delta{Sequence: 12, Credentials: []Credential{certificate("b", "app", "b")}}, now)
		if a.Client("app").Certificate(cnf.CertificateThumbprint([]byte("b"))) != nil || b.Client("app").Certificate(cnf.CertificateThumbprint([]byte("a"))) != nil {
			t.Error("snapshots share what differs")
		}
	})
	t.Run("a changed resource loses the scopes that it has no longer", func(t *testing.T) {
		s := world(t)
		changed := s.Apply(Delta{Sequence: 11, Resources: []Resource{{URI: paymentsURI, Scopes: []string{"read", "new"}}}}, now)
		if changed.ResourceOfScope("write") != nil || changed.ResourceOfScope("new") == nil || changed.ResourceOfScope("read") != changed.Resource(paymentsURI) || s.ResourceOfScope("write") == nil {
			t.Error("scopes are not those of the resource")
		}
	})
	t.Run("revoked tokens are forgotten once they have expired", func(t *testing.T) {
		s := Empty()
		for i := range 600 {
			s = s.Apply(Delta{Sequence: int64(i + 1), Revoked: []RevokedToken{{ClientID: "app", ID: fmt.Sprint(i), Expires: now.Add(time.Duration(i) * time.Second)}}}, now)
		}
		for i := range 300 { // every shard has its turn
			s = s.Apply(Delta{Sequence: int64(i + 1000)}, now.Add(300*time.Second))
		}
		if n := len(slices.Collect(s.revoked.all())); n != 299 {
			t.Errorf("%d are kept, want those that expire later, 299", n)
		}
		if _, ok := s.revoked.get(tokenKey{"app", "301"}); !ok {
			t.Error("one that has not expired is forgotten")
		}
	})
}

// TestSharing: what a change does not touch is the same memory.
func TestSharing(t *testing.T) {
	var d Delta
	d.Organisations = []Organisation{{ID: "acme", State: Active}}
	for i := range 5000 {
		d.Applications = append(d.Applications, Application{ClientID: ClientID(fmt.Sprint("app-", i)), Organisation: "acme", State: Active})
	}
	d.Sequence = 1
	s := Empty().Apply(d, now)
	changed := s.Apply(Delta{Sequence: 2, Applications: []Application{{ClientID: "app-7", Organisation: "acme", State: Suspended}}}, now)
	different := 0
	for i := range s.clients.shards {
		if reflect.ValueOf(s.clients.shards[i]).Pointer() != reflect.ValueOf(changed.clients.shards[i]).Pointer() {
			different++
		}
	}
	if different != 1 {
		t.Errorf("%d shards were copied, want 1", different)
	}
	if &s.resources.shards[0] != &changed.resources.shards[0] || &s.credentials.shards[0] != &changed.credentials.shards[0] {
		t.Error("a table without a change was copied")
	}
	if got := maps.Collect(maps.All(s.clients.shards[s.clients.shard("app-7")]))["app-7"].State; got != Active {
		t.Errorf("the snapshot before has %s", got)
	}
}

func TestEnded(t *testing.T) {
	base := world(t)
	state := func(id CredentialID, s State) Delta {
		c := *base.Credential(id)
		c.State = s
		return Delta{Sequence: 11, Credentials: []Credential{c}}
	}
	jkt := cnf.Thumbprint{9}
	dpop := func(client ClientID, s State) Delta {
		return Delta{Sequence: 11, Credentials: []Credential{{ID: "dpop", ClientID: client, Kind: DPoPKey, State: s, Thumbprint: jkt}}}
	}
	byKey := Token{ID: "jti", ClientID: "app", CredentialID: "key", Binding: cnf.ToKey(jkt)}
	byCertificate := Token{ID: "jti", ClientID: "app", CredentialID: "key", Binding: cnf.ToCertificate(base.Credential("cert").Thumbprint)}
	with := func(t Token, f func(*Token)) Token { f(&t); return t }
	tokensRevoked, theirs := *base.Credential("foreign-key"), *base.Credential("cert")
	tokensRevoked.TokensAfter = now.Add(time.Hour)
	theirs.ID, theirs.ClientID, theirs.State = "theirs", "foreign", Revoked
	for _, c := range []struct {
		name  string
		delta Delta
		token Token
		want  string
	}{
		{"a token bound to a key nobody registered is good", Delta{}, byKey, ""},
		{"a token bound to a certificate is good", Delta{}, byCertificate, ""},
		{"a token that names no credential is good", Delta{}, with(byKey, func(t *Token) { t.CredentialID = "" }), ""},
		{"a revoked token", Delta{}, with(byKey, func(t *Token) { t.ID = "revoked" }), "token_revoked"},
		{"an unknown application", Delta{}, with(byKey, func(t *Token) { t.ClientID = "none" }), "application_unknown"},
		{"a suspended application", Delta{Sequence: 11, Applications: []Application{{ClientID: "app", Organisation: "acme", State: Suspended}}}, byKey, "application_suspended"},
		{"a revoked application", Delta{Sequence: 11, Applications: []Application{{ClientID: "app", Organisation: "acme", State: Revoked}}}, byKey, "application_revoked"},
		{"an application in a state that is none", Delta{Sequence: 11, Applications: []Application{{ClientID: "app", Organisation: "acme", State: ""}}}, byKey, "application_revoked"},
		{"a suspended organisation", Delta{Sequence: 11, Organisations: []Organisation{{ID: "acme", State: Suspended}}}, byKey, "organisation_suspended"},
		{"a revoked organisation", Delta{Sequence: 11, Organisations: []Organisation{{ID: "acme", State: Revoked}}}, byKey, "organisation_revoked"},
		{"an organisation in a state that is none", Delta{Sequence: 11, Organisations: []Organisation{{ID: "acme", State: ""}}}, byKey, "organisation_revoked"},
		{"no organisation", Delta{Sequence: 11, Applications: []Application{{ClientID: "app", Organisation: "none", State: Active}}}, byKey, "organisation_unknown"},
		{"another organisation's end", Delta{Sequence: 11, Organisations: []Organisation{{ID: "other", State: Revoked}}}, byKey, ""},
		{"an unknown credential", Delta{}, with(byKey, func(t *Token) { t.CredentialID = "none" }), "credential_unknown"},
		{"another application's credential", Delta{}, with(byKey, func(t *Token) { t.CredentialID = "foreign-key" }), "credential_unknown"},
		{"a published credential", state("key", Published), byKey, ""},
		{"a retiring credential", state("key", Retiring), byKey, ""},
		{"a created credential", state("key", Created), byKey, "credential_created"},
		{"a retired credential", state("key", Retired), byKey, "credential_retired"},
		{"a suspended credential", state("key", Suspended), byKey, "credential_suspended"},
		{"a revoked credential", state("key", Revoked), byKey, "credential_revoked"},
		{"a compromised credential", state("key", Compromised), byKey, "credential_compromised"},
		{"an expired credential", state("key", Expired), byKey, "credential_expired"},
		{"a credential in a state that is none", state("key", ""), byKey, "credential_revoked"},
		{"the certificate that it is bound to, revoked", state("cert", Revoked), byCertificate, "credential_revoked"},
		{"the certificate that it is bound to, retiring", state("cert", Retiring), byCertificate, ""},
		{"another certificate of the application, revoked", state("cert", Revoked), byKey, ""},
		{"the DPoP key that it is bound to, revoked", dpop("app", Revoked), byKey, "credential_revoked"},
		{"the DPoP key that it is bound to, compromised", dpop("app", Compromised), byKey, "credential_compromised"},
		{"the DPoP key that it is bound to, known and good", dpop("app", Active), byKey, ""},
		{"the same DPoP key, revoked for another application", dpop("foreign", Revoked), byKey, ""},
		{"a DPoP key that is a registered key and compromised", state("key", Compromised),
			with(byKey, func(t *Token) { t.CredentialID, t.Binding = "", cnf.ToKey(base.Credential("key").Thumbprint) }), "credential_compromised"},
		{"a DPoP key that another application registered, compromised there", state("foreign-key", Compromised),
			with(byKey, func(t *Token) { t.Binding = cnf.ToKey(base.Credential("foreign-key").Thumbprint) }), ""},
		{"a DPoP key that another application registered, its tokens revoked there", Delta{Sequence: 11, Credentials: []Credential{tokensRevoked}},
			with(byKey, func(t *Token) { t.Binding = cnf.ToKey(tokensRevoked.Thumbprint) }), ""},
		{"a certificate that another application registered, revoked there", state("foreign-cert", Revoked),
			with(byCertificate, func(t *Token) { t.Binding = cnf.ToCertificate(base.Credential("foreign-cert").Thumbprint) }), ""},
		{"a certificate that two applications registered, revoked at the other", Delta{Sequence: 11, Credentials: []Credential{theirs}}, byCertificate, ""},
		{"a token without a binding is looked at all the same", state("key", Revoked), with(byKey, func(t *Token) { t.Binding = cnf.Binding{} }), "credential_revoked"},
		{"a token without a binding", Delta{}, with(byKey, func(t *Token) { t.Binding = cnf.Binding{} }), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := base
			if c.delta.Sequence != 0 {
				s = base.Apply(c.delta, now)
			}
			if got := s.Ended(c.token); got != c.want {
				t.Errorf("ended %q, want %q", got, c.want)
			}
		})
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	s := world(t)
	s = s.Apply(Delta{Sequence: 11, Organisations: []Organisation{{ID: "other", State: Suspended}}}, now)
	thumbprint := s.Credential("cert").Thumbprint
	good := Token{ID: "jti", ClientID: "app", CredentialID: "key", Binding: cnf.ToCertificate(thumbprint)}
	bad := Token{ID: "jti", ClientID: "foreign", CredentialID: "foreign-key", Binding: cnf.ToKey(thumbprint)}
	scope := "read"
	if n := testing.AllocsPerRun(100, func() {
		c := s.Client(good.ClientID)
		_ = c.SigningKey("kid-key")
		_ = c.Certificate(thumbprint)
		_ = s.Resource(paymentsURI)
		_ = s.ResourceOfScope(scope)
		_ = s.CredentialByThumbprint(thumbprint)
		_ = s.Ended(good)
		_ = s.Ended(bad)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEnded(b *testing.B) {
	s := world(b)
	token := Token{ID: "jti", ClientID: "app", CredentialID: "key", Binding: cnf.ToCertificate(s.Credential("cert").Thumbprint)}
	b.ReportAllocs()
	for b.Loop() {
		if s.Ended(token) != "" {
			b.Fatal("ended")
		}
	}
}

// BenchmarkApply changes one application among many.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := Delta{Sequence: 1, Organisations: []Organisation{{ID: "acme", State: Active}}}
			for i := range n {
				d.Applications = append(d.Applications, Application{ClientID: ClientID(fmt.Sprint("app-", i)), Organisation: "acme", State: Active})
			}
			s := Empty().Apply(d, now)
			one := Delta{Sequence: 2, Applications: []Application{{ClientID: "app-0", Organisation: "acme", State: Suspended}}}
			b.ReportAllocs()
			for b.Loop() {
				s.Apply(one, now)
			}
		})
	}
}
