package verify_test

import (
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/verify"
)

func TestConfigFaults(t *testing.T) {
	issuer := func(url string, algorithms ...string) func(*world) {
		return func(w *world) { w.config.Issuers = []verify.Issuer{{URL: url, Algorithms: algorithms}} }
	}
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"advisory 20: no issuer", func(w *world) { w.config.Issuers = nil }, "issuers: needs at least one issuer"},
		{"an issuer over http", issuer("http://as.example", "ES256"), "issuers[0].url: must be an https URL"},
		{"an issuer without host", issuer("https:///x", "ES256"), "issuers[0].url: must be"},
		{"an issuer that is no URL", issuer("https://a b", "ES256"), "issuers[0].url: must be"},
		{"advisory 90: an issuer with a user name", issuer("https://good@evil.example", "ES256"), "issuers[0].url: must be"},
		{"an issuer with a query", issuer("https://as.example?x", "ES256"), "issuers[0].url: must be"},
		{"an issuer with a question mark", issuer("https://as.example?", "ES256"), "issuers[0].url: must be"},
		{"an issuer with a fragment", issuer("https://as.example#x", "ES256"), "issuers[0].url: must be"},
		{"an issuer twice", func(w *world) { w.config.Issuers = append(w.config.Issuers, w.config.Issuers[0]) }, "issuers[1].url: is there twice"},
		{"an issuer without algorithms", issuer(issuerURL), "issuers[0].algorithms: needs at least one"},
		{"an algorithm that is not known", issuer(issuerURL, "ES256", "HS256"), "issuers[0].algorithms[1]: is not one of"},
		{"no keys", func(w *world) { w.config.Keys = nil }, "keys: is required"},
		{"no clock", func(w *world) { w.config.Now = nil }, "now: is required"},
		{"a replay store without nonces", func(w *world) { w.config.Nonces = nil }, "replay: a replay store and nonces go together"},
		{"nonces without a replay store", func(w *world) { w.config.Replay = nil }, "replay: a replay store and nonces go together"},
		{"a shared store that is not there", func(w *world) {
			w.config.Replay, w.config.Nonces, w.config.SharedReplay = nil, nil, true
		}, "shared_replay: needs a replay store"},
		{"less than nothing remembered", func(w *world) { w.config.Remembered = -1 }, "remembered: must not be negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			v, err := verify.New(w.config)
			if v != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error is %v; want %s", err, tt.want)
			}
		})
	}
	t.Run("every fault is reported", func(t *testing.T) {
		_, err := verify.New(verify.Config{})
		if err == nil || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("the issuers are those of the configuration, in order", func(t *testing.T) {
		w := newWorld(t, severalIssuers)
		if got := strings.Join(w.verifier.Issuers(), " "); got != issuerURL+" https://other.example" {
			t.Error(got)
		}
	})
}

func TestPolicyFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"advisory 20: no audience", func(w *world) { w.rules.Resource = "" }, "resource: must be an absolute URI"},
		{"a relative resource", func(w *world) { w.rules.Resource = "/payments" }, "resource: must be"},
		{"a resource with a fragment", func(w *world) { w.rules.Resource += "#" }, "resource: must be"},
		{"a resource that is no URI", func(w *world) { w.rules.Resource = "https://a b" }, "resource: must be"},
		{"an empty scope", func(w *world) { w.rules.Scopes = []string{""} }, "scopes: "},
		{"two scopes in one", func(w *world) { w.rules.Scopes = []string{"a b"} }, "scopes: "},
		{"a scope that would break the challenge", func(w *world) { w.rules.Scopes = []string{`a"`} }, "scopes: "},
		{"a scope with a backslash", func(w *world) { w.rules.Scopes = []string{`a\`} }, "scopes: "},
		{"a scope with a control character", func(w *world) { w.rules.Scopes = []string{"a\n"} }, "scopes: "},
		{"a scope that is not ASCII", func(w *world) { w.rules.Scopes = []string{"é"} }, "scopes: "},
		{"no binding rule", func(w *world) { w.rules.Binding = "" }, "binding: must be mtls, dpop or either"},
		{"a binding rule that is not known", func(w *world) { w.rules.Binding = "none" }, "binding: must be"},
		{"DPoP without a replay store", func(w *world) {
			w.config.Replay, w.config.Nonces, w.rules.Binding = nil, nil, verify.BindDPoP
		}, "binding: DPoP needs a replay store"},
		{"either without a replay store", func(w *world) { w.config.Replay, w.config.Nonces = nil, nil }, "binding: DPoP needs a replay store"},
		{"a nonce rule that is not known", func(w *world) { w.rules.Nonce = "never" }, "nonce: must be off"},
		{"nonces off without a shared store", func(w *world) { w.rules.Nonce = verify.NonceOff }, "nonce: off needs a shared replay store"},
		{"a negative age", func(w *world) { w.rules.MaxTokenAge = -1 }, "max_token_age: must not be negative"},
		{"a negative lag", func(w *world) { w.rules.MaxRevocationLag, w.config.Revocation = -1, new(revocations) }, "max_revocation_lag: must not"},
		{"a lag without a source", func(w *world) { w.rules.MaxRevocationLag = 1 }, "max_revocation_lag: needs a source"},
		{"a metadata URL that would break the challenge", func(w *world) { w.rules.MetadataURL = `https://a/"` }, "metadata_url: must be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			v, err := verify.New(w.config)
			if err != nil {
				t.Fatal(err)
			}
			p, err := v.NewPolicy(w.rules)
			if p != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v; want %s", err, tt.want)
			}
		})
	}
	t.Run("the policy does not follow its caller's list", func(t *testing.T) {
		w := newWorld(t)
		w.rules.Scopes[0] = "other"
		if got := w.policy.Rules(); got.Scopes[0] != "payments" || got.Nonce != verify.NonceOnDoubt || got.MaxRevocationLag != verify.DefaultRevocationLag {
			t.Errorf("%+v", got)
		}
	})
}
