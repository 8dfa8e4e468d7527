package gateway

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-auth/holdfast/internal/bounded"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/verify"
)

// grantType is the typ of Holdfast-Grant.
const grantType = "holdfast-grant+jwt"

// rememberedIdentities is how many tokens of one route are remembered.
const rememberedIdentities = 8 << 10

// identity is what the upstream is told of one token: field values, each a list
// of one that is shared between requests and must not be changed.
type identity struct {
	clientID, organisation, scope, binding, grant []string
}

// identities makes the identity of each token once.
type identities struct {
	issuer, audience string
	signer           *jose.Signer
	header           jose.PreparedHeader
	known            *bounded.Map[*identity]
	mu               sync.Mutex // held while one is made
}

func newIdentities(gatewayURL, upstream string, signer *jose.Signer) *identities {
	return &identities{
		issuer: gatewayURL, audience: upstream, signer: signer, header: signer.Header(grantType, false),
		known: bounded.New[*identity](rememberedIdentities),
	}
}

// of finds or makes the identity of a grant.
func (s *identities) of(g *verify.Grant, now time.Time) (*identity, error) {
	if id, ok := s.known.Load(g.TokenHash); ok {
		return id, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.known.Load(g.TokenHash); ok {
		return id, nil
	}
	grant, err := s.signer.Sign(s.header, s.claims(g.Token, now))
	if err != nil {
		return nil, fmt.Errorf("sign grant: %w", err)
	}
	id := &identity{
		clientID: []string{g.ClientID}, scope: []string{g.Scope}, binding: []string{string(g.Binding().Method())}, grant: []string{grant},
	}
	if g.Organisation != "" {
		id.organisation = []string{g.Organisation}
	}
	s.known.Store(g.TokenHash, id)
	return id, nil
}

// claims are those of Holdfast-Grant. It ends when the token does.
func (s *identities) claims(t *verify.Token, now time.Time) []byte {
	b := make([]byte, 0, 512)
	text := func(name, value string) {
		b = append(b, name...)
		b = strictjson.AppendText(b, value)
	}
	text(`{"iss":`, s.issuer)
	text(`,"aud":`, s.audience)
	text(`,"client_id":`, t.ClientID)
	text(`,"organisation":`, t.Organisation)
	text(`,"scope":`, t.Scope)
	text(`,"credential_id":`, t.CredentialID)
	text(`,"jti":`, rand.Text())
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, t.Expires.Unix(), 10)
	return append(b, '}')
}

// set puts the identity into the header of a request that has been cleared of
// forgeable fields.
func (id *identity) set(h http.Header, requestID string) {
	h[headerClientID] = id.clientID
	if id.organisation != nil {
		h[headerOrganisation] = id.organisation
	}
	h[headerScope] = id.scope
	h[headerBinding] = id.binding
	h[headerGrant] = id.grant
	h[headerRequestID] = []string{requestID}
}
