package oauth

import (
	"encoding/json"
	"testing"
)

func TestMetadata(t *testing.T) {
	t.Run("RFC 8414 §2: required members are there when empty, others are left out", func(t *testing.T) {
		m := &Metadata{Issuer: "https://as.example", ResponseTypesSupported: []string{}}
		var got map[string]any
		if err := json.Unmarshal(m.JSON(), &got); err != nil {
			t.Fatal(err)
		}
		if list, ok := got["response_types_supported"].([]any); !ok || len(list) != 0 {
			t.Errorf("response_types_supported is %v", got["response_types_supported"])
		}
		for _, name := range []string{"mtls_endpoint_aliases", "introspection_endpoint", "tls_client_certificate_bound_access_tokens", "dpop_signing_alg_values_supported"} {
			if _, ok := got[name]; ok {
				t.Errorf("%s does not apply", name)
			}
		}
	})
	t.Run("it reads what it writes", func(t *testing.T) {
		m := &Metadata{Issuer: "https://as.example", MTLSEndpointAliases: &MTLSEndpointAliases{TokenEndpoint: "https://mtls.example/token"}}
		var got Metadata
		if err := json.Unmarshal(m.JSON(), &got); err != nil || got.Issuer != m.Issuer || got.MTLSEndpointAliases.TokenEndpoint != "https://mtls.example/token" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
