package as

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// Certificates is what the routes of the certificate authority need. Every field
// is required.
type Certificates struct {
	Issuer string // of the authorization server: https, without trailing slash
	// Redeem is enrol.Service's.
	Redeem func(ctx context.Context, a enrol.Attempt) (enrol.Result, error)
	// Refresh puts a new credential in force here.
	Refresh func(ctx context.Context) error
	// CRL finds the newest list of a CA key; nil if there is none.
	CRL func(issuer string) *ca.CRL
	// Roots are the root certificates, PEM.
	Roots func() []byte
}

// The paths under the issuer's.
const (
	enrolPath = "/enrol"
	// CRLPath is where lists of revoked certificates are: <path>/<id of the CA key>.crl.
	CRLPath = "/crl"
)

// Routes are enrolment, which needs a code and nothing else, and the lists of
// revoked certificates, which anybody may read. path is the issuer's.
func (c Certificates) Routes(path string) []web.Route {
	return []web.Route{
		{Pattern: "POST " + path + enrolPath, Handler: c.serveEnrol},
		{Pattern: "GET " + path + CRLPath + "/{file}", Handler: c.serveCRL},
	}
}

const (
	// maxEnrolBody holds a CSR of 64 KiB as JSON text, and what is beside it.
	maxEnrolBody  = 96 << 10
	enrolDepth    = 2
	maxCodeLength = 128
)

// serveEnrol exchanges an enrolment code and a CSR for a certificate.
func (c Certificates) serveEnrol(w http.ResponseWriter, r *web.Request) error {
	body, err := readJSON(r.Request)
	if err != nil {
		return err
	}
	attempt, err := parseEnrolment(body)
	if err != nil {
		return err
	}
	result, err := c.Redeem(r.Context(), attempt)
	if err != nil {
		return enrolmentRefused(err)
	}
	_ = c.Refresh(r.Context()) // in force at once; without it, within 500 ms
	e := r.Event
	e.Outcome, e.ClientID, e.Organisation = "enrolled", string(result.Client.ClientID), string(result.Client.Organisation)
	e.CredentialID = string(result.Issued.Credential.ID)
	answer, err := json.Marshal(c.enrolled(result))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// readJSON reads the body of a request that must be JSON.
func readJSON(r *http.Request) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, malformed("body_media_type", "the body must be application/json", err)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEnrolBody+1))
	switch {
	case err != nil:
		return nil, malformed("body_unreadable", "the body could not be read", err)
	case len(body) > maxEnrolBody:
		return nil, malformed("body_too_large", "the body is larger than 96 KiB", nil)
	}
	return body, nil
}

func malformed(reason, description string, cause error) error {
	return oauth.Refuse(oauth.InvalidRequest, reason, description, cause)
}

// parseEnrolment reads the request: code and csr, and what may be beside them. A
// member that it does not know is refused.
func parseEnrolment(body []byte) (enrol.Attempt, error) {
	var a enrol.Attempt
	var csr, profile string
	var seconds int64
	err := strictjson.Members(body, enrolDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "code":
			a.Code, err = v.Text()
		case "csr":
			csr, err = v.Text()
		case "profile":
			profile, err = v.Text()
		case "life_seconds":
			if seconds, err = v.Integer(); err == nil && (seconds < 1 || seconds > int64(ca.MaxClientLife/time.Second)) {
				err = malformed("life_seconds", "life_seconds is not between 1 and 7776000", nil)
			}
		default:
			err = malformed("member_unknown", "the body has a member other than code, csr, profile and life_seconds", nil)
		}
		return err
	})
	if _, ok := oauth.AsError(err); ok {
		return a, err
	}
	switch {
	case err != nil:
		return a, malformed("body_malformed", "the body is not a JSON object as expected", err)
	case a.Code == "" || csr == "":
		return a, malformed("member_missing", "code or csr is missing", nil)
	case len(a.Code) > maxCodeLength:
		return a, enrolmentRefused(ca.ErrCode)
	case len(csr) > ca.MaxCSR:
		return a, enrolmentRefused(&directory.InvalidError{Field: "csr", Reason: "larger than 64 KiB"})
	case !strings.HasPrefix(strings.TrimSpace(csr), "-----BEGIN"):
		return a, enrolmentRefused(&directory.InvalidError{Field: "csr", Reason: "not PEM"})
	}
	a.CSR, a.Profile, a.Life = []byte(csr), ca.Profile(profile), time.Duration(seconds)*time.Second
	return a, nil
}

// enrolmentRefused words why there is no certificate. A code that does not open
// is answered alike, whatever is wrong with it.
func enrolmentRefused(err error) error {
	if invalid, ok := errors.AsType[*directory.InvalidError](err); ok {
		return oauth.Refuse(oauth.InvalidClientMetadata, "enrolment_"+invalid.Field, printable(invalid.Field+": "+invalid.Reason), nil)
	}
	later := func(reason, description string, after time.Duration) error {
		return &oauth.Error{Code: oauth.TemporarilyUnavailable, Status: http.StatusServiceUnavailable, Reason: reason,
			Description: description, RetryAfter: after, Cause: err}
	}
	switch {
	case errors.Is(err, ca.ErrCode):
		return oauth.Refuse(oauth.InvalidGrant, "enrolment_code", "the enrolment code is not valid", nil)
	case errors.Is(err, directory.ErrState):
		return oauth.Refuse(oauth.UnauthorizedClient, "application_not_live", "the application may not have a certificate now", err)
	case errors.Is(err, directory.ErrExists):
		return oauth.Refuse(oauth.InvalidClientMetadata, "enrolment_key_known", "csr: its key is registered already", err)
	case errors.Is(err, ca.ErrStopped):
		return later("issuing_stopped", "issuing certificates is stopped", time.Minute)
	case errors.Is(err, ca.ErrBusy):
		return later("request_under_way", "the same request is being served", 10*time.Second)
	}
	return later("certificate_authority_unavailable", "the certificate authority is not available", 30*time.Second)
}

// printable keeps a description to what RFC 6749 section 5.2 allows.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
}

// enrolled is the answer: the certificate, and what its owner needs to go on.
type enrolled struct {
	Issuer       string          `json:"issuer"`
	MetadataURL  string          `json:"metadata_url"`
	ClientID     string          `json:"client_id"`
	CredentialID string          `json:"credential_id"`
	Instance     string          `json:"instance,omitempty"`
	AuthMethod   string          `json:"token_endpoint_auth_method"`
	Binding      string          `json:"binding"`
	Profile      string          `json:"profile"`
	KeyID        string          `json:"kid,omitempty"`
	Algorithm    string          `json:"alg,omitempty"`
	Certificate  string          `json:"certificate_chain"` // PEM, leaf first, without the root
	Roots        string          `json:"roots"`             // PEM
	NotAfter     time.Time       `json:"not_after"`
	Grants       []enrolledGrant `json:"grants"`
}

// enrolledGrant is what the application may ask tokens for.
type enrolledGrant struct {
	Resource string `json:"resource"`
	Scope    string `json:"scope"`
}

func (c Certificates) enrolled(r enrol.Result) enrolled {
	credential := r.Issued.Credential
	out := enrolled{
		Issuer: c.Issuer, MetadataURL: metadataURL(c.Issuer), ClientID: string(r.Client.ClientID), CredentialID: string(credential.ID),
		Instance: r.Instance, AuthMethod: string(r.Client.AuthMethod), Binding: string(r.Client.Binding), Profile: string(r.Profile),
		Roots: string(c.Roots()), NotAfter: credential.NotAfter, Grants: make([]enrolledGrant, len(r.Client.Grants)),
	}
	if credential.Key != nil {
		out.KeyID, out.Algorithm = credential.Key.KeyID(), string(credential.Key.Algorithm())
	}
	for _, der := range r.Issued.Chain {
		out.Certificate += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	for i, g := range r.Client.Grants {
		out.Grants[i] = enrolledGrant{Resource: g.Resource, Scope: strings.Join(g.Scopes, " ")}
	}
	return out
}

// metadataURL is RFC 8414 section 3.1: the well-known part comes before the
// issuer's path.
func metadataURL(issuer string) string {
	rest := strings.TrimPrefix(issuer, "https://")
	host, path, found := strings.Cut(rest, "/")
	if found {
		path = "/" + path
	}
	return "https://" + host + "/.well-known/oauth-authorization-server" + path
}

// listAge is how long a list may be kept without asking again.
const listAge = time.Minute

// serveCRL answers with a list of revoked certificates in DER (RFC 5280 section
// 5, RFC 2585 section 4.2).
func (c Certificates) serveCRL(w http.ResponseWriter, r *web.Request) error {
	id, isList := strings.CutSuffix(r.PathValue("file"), ".crl")
	var list *ca.CRL
	if isList {
		list = c.CRL(id)
	}
	if list == nil {
		return &web.StatusError{Status: http.StatusNotFound}
	}
	tag := `"` + strconv.FormatInt(list.Number, 10) + `"`
	h := w.Header()
	h.Set("Content-Type", "application/pkix-crl")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(listAge/time.Second)))
	h.Set("ETag", tag)
	h.Set("Last-Modified", list.ThisUpdate.UTC().Format(http.TimeFormat))
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if known = strings.TrimPrefix(strings.TrimSpace(known), "W/"); known == tag || known == "*" {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(list.DER)))
	_, err := w.Write(list.DER)
	return err
}
