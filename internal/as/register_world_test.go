package as_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/outbound"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// metadata is client metadata; a nil value removes a member.
type metadata = map[string]any

func with(m metadata, edit metadata) metadata {
	all := maps.Clone(m)
	maps.Copy(all, edit)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// regStack is a stack with what a client needs that registers itself.
type regStack struct {
	*stack
	t     *testing.T
	plain *http.Client
}

func (s *regStack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func newRegStack(t *testing.T) *regStack {
	s := &regStack{stack: newStack(t), t: t}
	ctx := t.Context()
	s.plain = s.client(nil)
	s.dir.Outbound = outbound.Policy{} // as an operator has it who allows nothing
	_, err := s.dir.CreateResource(ctx, "system", directory.Resource{URI: reservedURI, Organisation: s.org, Name: "Admin", Scopes: []string{"admin"}})
	s.must(err)
	_, err = s.dir.CreateResource(ctx, "system", directory.Resource{URI: "https://api.example/reports", Organisation: s.org, Name: "Reports", Scopes: []string{"reports", "drafts"}})
	s.must(err)
	_, err = s.dir.PutRole(ctx, "system", directory.Role{ID: "reporter", Name: "Reporter", Grants: []directory.Grant{{Resource: "https://api.example/reports", Scopes: []string{"reports"}}}}, true)
	s.must(err)
	_, err = s.dir.PutRole(ctx, "system", directory.Role{ID: "editor", Name: "Editor", Grants: []directory.Grant{{Resource: "https://api.example/reports", Scopes: []string{"drafts"}}}}, true)
	s.must(err)
	_, err = s.dir.UpdateOrganisation(ctx, "system", s.org, func(o *directory.Organisation) error { o.Roles = []directory.RoleID{"reporter"}; return nil })
	s.must(err)
	return s
}

// forPayments lets clients ask for the scope payments.
var forPayments = registration.Limits{Limited: true, Grants: []directory.Grant{{Resource: apiURI, Scopes: []string{"payments"}}}}

func (s *regStack) initial(edit ...func(*registration.InitialTokenRequest)) string {
	s.t.Helper()
	ask := registration.InitialTokenRequest{Organisation: s.org, Limits: forPayments}
	for _, e := range edit {
		e(&ask)
	}
	_, secret, err := s.reg.CreateInitialToken(s.t.Context(), "operator", ask)
	s.must(err)
	return secret
}

func (s *regStack) statement(m metadata, edit ...func(*registration.StatementRequest)) string {
	s.t.Helper()
	body, err := json.Marshal(m)
	s.must(err)
	ask := registration.StatementRequest{Organisation: s.org, Metadata: body}
	for _, e := range edit {
		e(&ask)
	}
	_, compact, err := s.reg.CreateStatement(s.t.Context(), "operator", ask)
	s.must(err)
	return compact
}

func oneTime(ask *registration.StatementRequest) { ask.OneTime = true }

func (s *regStack) signer(kid string) *jose.Signer {
	s.t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	signer, err := jose.NewSigner(key, jose.ES256, kid)
	s.must(err)
	return signer
}

func jwks(signers ...*jose.Signer) json.RawMessage {
	var keys []*jose.PublicKey
	for _, k := range signers {
		keys = append(keys, k.Public())
	}
	return jose.JWKSet(keys)
}

// wanted is good metadata of a private_key_jwt client.
func wanted(keys ...*jose.Signer) metadata {
	return metadata{
		"client_name": "Partner", "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(keys...),
		"scope": "payments", "dpop_bound_access_tokens": true, "grant_types": []string{"client_credentials"},
	}
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	raw    string
	JSON   map[string]any
}

func (a *reply) text(name string) string { v, _ := a.JSON[name].(string); return v }

// ask sends a request; it must not end the test, as many may run at once.
func ask(c *http.Client, method, at, bearer string, body any, header http.Header) (*reply, error) {
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequest(method, at, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	maps.Copy(r.Header, header)
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &reply{status: resp.StatusCode, header: resp.Header, raw: string(text)}
	if len(text) > 0 {
		err = json.Unmarshal(text, &a.JSON)
	}
	return a, err
}

func (s *regStack) ask(method, at, bearer string, body any, header http.Header) *reply {
	s.t.Helper()
	a, err := ask(s.plain, method, at, bearer, body, header)
	s.must(err)
	return a
}

// register makes a client, which must work.
func (s *regStack) register(m metadata) *registered {
	s.t.Helper()
	a := s.ask(http.MethodPost, s.issuer+"/register", s.initial(), m, nil)
	if a.status != http.StatusCreated {
		s.t.Fatalf("%d %s (%s)", a.status, a.raw, s.reason())
	}
	return s.of(a)
}

// registered is a client as its registration answered.
type registered struct {
	id         directory.ClientID
	token, uri string
}

func (s *regStack) of(a *reply) *registered {
	return &registered{directory.ClientID(a.text("client_id")), a.text("registration_access_token"), a.text("registration_client_uri")}
}

// assertion proves a credential of the client.
func (s *regStack) assertion(id directory.ClientID, k *jose.Signer, edit metadata) http.Header {
	s.t.Helper()
	payload, err := json.Marshal(with(metadata{"iss": id, "sub": id, "aud": s.issuer, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix()}, edit))
	s.must(err)
	compact, err := k.Sign(k.Header("client-authentication+jwt", false), payload)
	s.must(err)
	return http.Header{"Client-Assertion": {compact}}
}

// proof proves a key for a client configuration endpoint.
func (s *regStack) proof(uri string, k *jose.Signer, typ string, edit metadata) string {
	s.t.Helper()
	thumbprint := k.Public().Thumbprint()
	payload, err := json.Marshal(with(metadata{"aud": uri, "jti": rand.Text(), "iat": time.Now().Unix(), "jkt": base64url(thumbprint[:])}, edit))
	s.must(err)
	compact, err := k.Sign(k.Header(typ, false), payload)
	s.must(err)
	return compact
}

// selfSigned makes a certificate of the key that nobody vouches for.
func (s *regStack) selfSigned(edit func(*x509.Certificate)) *tls.Certificate {
	s.t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "self-made"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.must(err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// unchanged fails if f changes anything that is on record.
func (s *regStack) unchanged(f func()) {
	s.t.Helper()
	before, err := s.db.Head(s.t.Context())
	s.must(err)
	f()
	after, err := s.db.Head(s.t.Context())
	s.must(err)
	if before != after {
		events, err := s.db.Events(s.t.Context(), before.Sequence, 10)
		s.must(err)
		s.t.Errorf("something changed: %+v", events)
	}
}

// node starts another server over the same database.
func (s *regStack) node() string {
	s.t.Helper()
	ctx := s.t.Context()
	db, err := store.Open(ctx, s.path, store.Options{Now: time.Now})
	s.must(err)
	s.t.Cleanup(func() { _ = db.Close() })
	dir, err := directory.Open(ctx, db, time.Now)
	s.must(err)
	reg := *s.reg
	reg.Store, reg.Directory = db, dir
	config := s.config
	config.Directory, config.Uses, config.Registration = dir, db, &reg
	server, err := as.New(config)
	s.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.start(l, "other", false, server.PublicRoutes())
	return "https://" + l.Addr().String()
}
