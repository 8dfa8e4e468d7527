// Package adminclient is the admin API as Go calls. It knows nothing of tokens:
// the http.Client's transport adds them.
package adminclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// Client calls one admin API. Its methods return *Error for a refusal.
type Client struct {
	// URL is the base of the API, without trailing slash, such as https://localhost:8444.
	URL string
	// HTTP adds the bound token to every request. It should not follow redirects.
	HTTP *http.Client
}

// Error is the API's refusal, or that of whoever stands in front of it.
type Error struct {
	Status    int
	Title     string
	Detail    string
	Fields    []Field
	RequestID string // finds the reason in the server's events
}

// Field is one thing that is wrong with the input.
type Field struct {
	Location string `json:"location"` // such as body.grants[0].resource
	Message  string `json:"message"`
}

// Error is one line for people.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "admin API: %d", e.Status)
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if text != "" {
		b.WriteString(" " + text)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s: %s", f.Location, f.Message)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// do sends in, when there is one, and decodes the answer into Out. Header pairs
// come last; an answer's ETag goes where etag points.
func do[Out any](ctx context.Context, c *Client, method, path string, query url.Values, in any, etag *string, header ...string) (out Out, err error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return out, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	target := c.URL + "/v1" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return out, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.HTTP.Do(req)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return out, fmt.Errorf("read answer: %w", err)
	case len(data) > maxAnswer:
		return out, fmt.Errorf("answer is larger than %d bytes", maxAnswer)
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated:
		return out, refusal(res, data)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, fmt.Errorf("decode answer: %w", err)
	}
	if etag != nil {
		*etag = res.Header.Get("ETag")
	}
	return out, nil
}

// refusal reads an RFC 9457 problem, or the OAuth error of the token's check.
func refusal(res *http.Response, data []byte) error {
	var body struct {
		Title  string  `json:"title"`
		Detail string  `json:"detail"`
		Errors []Field `json:"errors"`
		Code   string  `json:"error"`
	}
	_ = json.Unmarshal(data, &body) // the status says enough when it is neither
	e := &Error{Status: res.StatusCode, Title: body.Title, Detail: body.Detail, Fields: body.Errors, RequestID: res.Header.Get("Request-Id")}
	if e.Detail == "" {
		e.Detail = body.Code
	}
	return e
}

func get[Out any](ctx context.Context, c *Client, path string, query url.Values) (Out, error) {
	return do[Out](ctx, c, http.MethodGet, path, query, nil, nil)
}

type dryKey struct{}

// DryRun is the context of a change that is decided and not made. An operation
// that can only be carried out refuses it.
func DryRun(ctx context.Context) context.Context { return context.WithValue(ctx, dryKey{}, true) }

// dryQuery is the parameter of a dry run, or none.
func dryQuery(ctx context.Context) url.Values {
	if ctx.Value(dryKey{}) == nil {
		return nil
	}
	return url.Values{"dry_run": {"true"}}
}

// post makes a change, under a key of its own: whoever carries the request may
// repeat it, and it is made once.
func post[Out any](ctx context.Context, c *Client, path string, in any) (Out, error) {
	if dry := dryQuery(ctx); dry != nil {
		return do[Out](ctx, c, http.MethodPost, path, dry, in, nil)
	}
	return do[Out](ctx, c, http.MethodPost, path, nil, in, nil, "Idempotency-Key", rand.Text())
}

// end makes a change that ends something; with dry it is only decided.
func end[Out any](ctx context.Context, c *Client, path string, dry bool) (Out, error) {
	if dry {
		ctx = DryRun(ctx)
	}
	return post[Out](ctx, c, path, nil)
}

// patch reads what is there and changes that, and nothing newer (RFC 9110 section
// 13.1.1): when somebody else was faster it is an Error of status 412.
func patch[Out any](ctx context.Context, c *Client, path string, in any) (Out, error) {
	var etag string
	if out, err := do[Out](ctx, c, http.MethodGet, path, nil, nil, &etag); err != nil {
		return out, err
	}
	return do[Out](ctx, c, http.MethodPatch, path, dryQuery(ctx), in, nil, "If-Match", etag, "Content-Type", "application/merge-patch+json")
}

// segment makes an id one segment of a path. An id that is "." or ".." would
// change the path, and is none.
func segment(id string) string {
	if id == "." || id == ".." {
		return "/" + strings.Repeat("%2E", len(id))
	}
	return "/" + url.PathEscape(id)
}

// Page chooses a part of a list: at most Limit items (0: 100) that follow Cursor, the
// Next of the page before, of those that Filter lets through.
type Page struct {
	Cursor string
	Limit  int
	Filter url.Values
}

func (p Page) query() url.Values {
	q := url.Values{}
	maps.Copy(q, p.Filter)
	if p.Cursor != "" {
		q.Set("cursor", p.Cursor)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	return q
}
