package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// floor is the least that the standard library can do for the same work: one
// client, no rotation, no revocation, no limits, no log. A measuring stick.
type floor struct {
	URL     string
	key     *ecdsa.PrivateKey // signs tokens
	client  *ecdsa.PublicKey  // verifies assertions
	proxy   http.Handler
	known   sync.Map // SHA-256 of a token -> floorClaims
	claimed chan floorUse
}

type floorClaims struct {
	Issuer   string `json:"iss,omitempty"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Bound    string `json:"x5t,omitempty"`
}

type floorUse struct {
	client, id string
	expires    int64
	done       chan error
}

// buffers gives short ones, which is what short answers need.
type buffers struct{}

func (buffers) Get() []byte { return make([]byte, 4<<10) }
func (buffers) Put([]byte)  {}

var errFloor = errors.New("refused")

func newFloor(b *testing.B, certificate tls.Certificate, client *ecdsa.PublicKey, upstream string, roots *x509.CertPool) *floor {
	target, err := url.Parse(upstream)
	if err != nil {
		b.Fatal(err)
	}
	f := &floor{client: client, claimed: make(chan floorUse, 1024), proxy: &httputil.ReverseProxy{
		Rewrite:    func(p *httputil.ProxyRequest) { p.SetURL(target) },
		BufferPool: buffers{},
		Transport:  &http.Transport{MaxIdleConnsPerHost: 128, TLSClientConfig: &tls.Config{RootCAs: roots}},
	}}
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		b.Fatal(err)
	}
	f.commit(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	f.URL = "https://localhost:" + port
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", f.token)
	mux.HandleFunc("/", f.guard)
	s := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}}
	go func() { _ = s.ServeTLS(l, "", "") }()
	b.Cleanup(func() { _ = s.Close() })
	return f
}

// commit records uses, all that wait in one transaction.
func (f *floor) commit(b *testing.B) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE used (expires INTEGER, client TEXT, id TEXT, PRIMARY KEY (expires, client, id)) WITHOUT ROWID"); err != nil {
		b.Fatal(err)
	}
	record := func(batch []floorUse) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, u := range batch {
			if _, err := tx.Exec("INSERT INTO used VALUES (?, ?, ?)", u.expires, u.client, u.id); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for first := range f.claimed {
			batch := []floorUse{first}
			for len(f.claimed) > 0 {
				batch = append(batch, <-f.claimed)
			}
			err := record(batch)
			for _, u := range batch {
				u.done <- err
			}
		}
	})
	b.Cleanup(func() {
		close(f.claimed)
		writer.Wait()
		_ = db.Close()
	})
}

func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// token is client_credentials, by assertion or by certificate.
func (f *floor) token(w http.ResponseWriter, r *http.Request) {
	now := time.Now().Unix()
	client := r.PostFormValue("client_id")
	if assertion := r.PostFormValue("client_assertion"); assertion != "" {
		c, err := floorVerify(assertion, f.client)
		if err != nil || c.Issuer != client || c.Subject != client || c.Expires <= now {
			http.Error(w, "invalid_client", http.StatusUnauthorized)
			return
		}
		u := floorUse{client, c.ID, c.Expires, make(chan error, 1)}
		f.claimed <- u
		if err := <-u.done; err != nil {
			http.Error(w, "invalid_client", http.StatusUnauthorized)
			return
		}
	}
	claims, err := json.Marshal(floorClaims{Subject: client, Audience: "api", ID: rand.Text(), Issued: now, Expires: now + 300, Bound: thumbprint(r.TLS.PeerCertificates[0])})
	if err == nil {
		var token string
		if token, err = f.sign(claims); err == nil {
			w.Header().Set("Content-Type", "application/json")
			err = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300})
		}
	}
	if err != nil {
		http.Error(w, "server_error", http.StatusInternalServerError)
	}
}

func (f *floor) sign(claims []byte) (string, error) {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

func floorVerify(raw string, key *ecdsa.PublicKey) (c floorClaims, err error) {
	end := strings.LastIndexByte(raw, '.')
	_, payload, ok := strings.Cut(raw[:max(end, 0)], ".")
	if !ok {
		return c, errFloor
	}
	signature, err := base64.RawURLEncoding.DecodeString(raw[end+1:])
	if err != nil || len(signature) != 64 {
		return c, errFloor
	}
	digest := sha256.Sum256([]byte(raw[:end]))
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return c, errFloor
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return c, errFloor
	}
	return c, json.Unmarshal(text, &c)
}

// guard forwards requests with a token bound to their certificate.
func (f *floor) guard(w http.ResponseWriter, r *http.Request) {
	raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	hash := sha256.Sum256([]byte(raw))
	known, ok := f.known.Load(hash)
	if !ok {
		c, err := floorVerify(raw, &f.key.PublicKey)
		if err != nil {
			http.Error(w, "invalid_token", http.StatusUnauthorized)
			return
		}
		known = c
		f.known.Store(hash, c)
	}
	if c := known.(floorClaims); c.Expires <= time.Now().Unix() || c.Bound != thumbprint(r.TLS.PeerCertificates[0]) {
		http.Error(w, "invalid_token", http.StatusUnauthorized)
		return
	}
	f.proxy.ServeHTTP(w, r)
}
