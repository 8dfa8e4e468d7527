package demo

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// api is the demo's own upstream: an API as one has it before Holdfast, which
// checks an API key itself, and which also believes the gateway's signed grant.
// It serves nobody who shows neither.
type api struct {
	next    http.Handler
	keyHash [sha256.Size]byte
	keysOff atomic.Bool
	now     func() time.Time

	// grants: where the gateway's keys are and what a grant for us says
	http     *http.Client
	gateway  string
	audience string

	mu   sync.Mutex
	keys []*jose.PublicKey // guarded by mu; read once, when the first grant comes
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if key := r.Header.Get("X-Api-Key"); key != "" {
		sum := sha256.Sum256([]byte(key))
		if a.keysOff.Load() || subtle.ConstantTimeCompare(sum[:], a.keyHash[:]) != 1 {
			http.Error(w, "this API key opens nothing", http.StatusUnauthorized)
			return
		}
	} else if err := a.believe(r.Context(), r.Header.Get("Holdfast-Grant"), a.now()); err != nil {
		http.Error(w, "neither an API key nor a grant of the gateway", http.StatusUnauthorized)
		return
	}
	a.next.ServeHTTP(w, r)
}

// believe checks a Holdfast-Grant: signed by the gateway, for us, in its time.
func (a *api) believe(ctx context.Context, grant string, now time.Time) error {
	m, err := jose.Parse(grant, 8<<10)
	if err != nil {
		return err
	}
	if m.Header.Type != "holdfast-grant+jwt" {
		return errors.New("not a grant")
	}
	keys, err := a.gatewayKeys(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k *jose.PublicKey) bool { return k.KeyID() == m.Header.KeyID })
	if i < 0 {
		return errors.New("grant by an unknown key")
	}
	if err := m.Verify(keys[i]); err != nil {
		return err
	}
	var iss, aud string
	var exp int64
	err = strictjson.Members(m.Payload, 4, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "iss":
			iss, err = v.Text()
		case "aud":
			aud, err = v.Text()
		case "exp":
			exp, err = v.Integer()
		}
		return err
	})
	if err != nil {
		return err
	}
	if iss != a.gateway || aud != a.audience || now.Unix() >= exp {
		return errors.New("grant of another gateway, for another API, or of the past")
	}
	return nil
}

func (a *api) gatewayKeys(ctx context.Context) ([]*jose.PublicKey, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys != nil {
		return a.keys, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.gateway+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway's keys: status %d", resp.StatusCode)
	}
	a.keys, err = jose.ParseJWKSet(body, 16)
	return a.keys, err
}

// errorCode is the "error" member of a JSON body, if it is one.
func errorCode(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Error
}
