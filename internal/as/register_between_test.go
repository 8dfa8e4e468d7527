package as_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// between does something after single uses are recorded, which is after the caller
// was authenticated and before anything is decided.
type between struct {
	token.Uses
	then func()
}

func (b *between) FirstUse(ctx context.Context, uses ...token.Use) error {
	err := b.Uses.FirstUse(ctx, uses...)
	if then := b.then; then != nil {
		b.then = nil
		then()
	}
	return err
}

// TestRegistrationProofEnds: what proved a change of a registration does so still
// on the snapshot that the change is stored on.
func TestRegistrationProofEnds(t *testing.T) {
	s := newRegStack(t)
	b := &between{Uses: s.db}
	config := s.config
	config.Uses = b
	server, err := as.New(config)
	s.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.start(l, "between", false, server.PublicRoutes())
	base, stale := "https://"+l.Addr().String(), s.node() // which does not poll: as a node within its 500 ms

	methods := map[string]func(t *testing.T, base string, c *registered, k *jose.Signer) *reply{
		"PUT": func(t *testing.T, base string, c *registered, k *jose.Signer) *reply {
			s := s.in(t)
			thief := s.signer("thief")
			h := s.assertion(c.id, k, nil)
			h["Key-Proof"] = []string{s.proof(s.issuer+"/register/"+string(c.id), thief, "key-proof+jwt", nil)}
			return s.ask(http.MethodPut, base+"/register/"+string(c.id), c.token, with(wanted(thief), metadata{"client_id": c.id}), h)
		},
		"DELETE": func(t *testing.T, base string, c *registered, k *jose.Signer) *reply {
			s := s.in(t)
			return s.ask(http.MethodDelete, base+"/register/"+string(c.id), c.token, nil, s.assertion(c.id, k, nil))
		},
		"recovery": func(t *testing.T, base string, c *registered, k *jose.Signer) *reply {
			s := s.in(t)
			return s.ask(http.MethodPost, base+"/register/"+string(c.id)+"/recover", "", nil, s.assertion(c.id, k, nil))
		},
	}
	ends := map[string]func(s *regStack, c *registered, k *jose.Signer) error{
		"compromised": func(s *regStack, c *registered, k *jose.Signer) error {
			return s.dir.SetCredentialState(s.t.Context(), "operator", s.credential(c.id, k).ID, directory.Compromised)
		},
		"suspended": func(s *regStack, c *registered, k *jose.Signer) error {
			return s.dir.SetCredentialState(s.t.Context(), "operator", s.credential(c.id, k).ID, directory.Suspended)
		},
		"of an application that was suspended": func(s *regStack, c *registered, _ *jose.Signer) error {
			return s.dir.SetApplicationState(s.t.Context(), "operator", c.id, directory.Suspended)
		},
	}
	for method, change := range methods {
		for end, endIt := range ends {
			for where, at := range map[string]string{"between proof and decision": base, "on another node": stale} {
				t.Run(method+" by a credential that was "+end+" "+where, func(t *testing.T) {
					s := s.in(t)
					k := s.signer("k")
					c := s.register(wanted(k))
					if at == stale { // it knows the client, and not its end
						if got := s.ask(http.MethodGet, stale+"/register/"+string(c.id), c.token, nil, nil); got.status != 200 {
							t.Fatalf("%d %s", got.status, got.raw)
						}
						s.must(endIt(s, c, k))
					} else {
						b.then = func() { s.must(endIt(s, c, k)) }
					}
					got := change(t, at, c, k)
					if got.status != 401 && got.status != 403 {
						t.Errorf("%d %s", got.status, got.raw)
					}
					if b.then != nil {
						t.Error("it was refused before it was decided")
						b.then = nil
					}
					s.must(s.dir.Refresh(t.Context()))
					if of := s.dir.Current().Client(c.id); of.State == directory.Revoked || len(of.Credentials) != 1 {
						t.Errorf("%+v", of)
					}
				})
			}
		}
	}
}
