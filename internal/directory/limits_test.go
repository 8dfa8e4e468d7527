package directory

import (
	"errors"
	"fmt"
	"testing"
)

// TestLimits counts entries that are good in themselves.
func TestLimits(t *testing.T) {
	d := Delta{Sequence: 1, Organisations: []Organisation{{ID: "acme", State: Active}}}
	var servers []ClientID
	var grants []Grant
	for i := range maxEntries + 1 {
		id, scope := ClientID(fmt.Sprint("app-", i)), fmt.Sprint("scope-", i)
		uri := "https://api.example/" + scope
		d.Applications = append(d.Applications, Application{ClientID: id, Organisation: "acme", State: Active})
		d.Resources = append(d.Resources, Resource{URI: uri, Scopes: []string{scope}})
		servers, grants = append(servers, id), append(grants, Grant{Resource: uri, Scopes: []string{scope}})
	}
	s := Empty().Apply(d, now)
	for name, check := range map[string]func(n int) error{
		"servers": func(n int) error {
			return checkResource(s, Resource{URI: "https://new.example", Organisation: "acme", Name: "N", Scopes: []string{"n"}, Servers: servers[:n]})
		},
		"grants": func(n int) error { return checkGrants(s, grants[:n]) },
	} {
		if err := check(maxEntries); err != nil {
			t.Errorf("%d %s: %v", maxEntries, name, err)
		}
		var invalid *InvalidError
		if err := check(maxEntries + 1); !errors.As(err, &invalid) || invalid.Field != name {
			t.Errorf("%d %s: %v", maxEntries+1, name, err)
		}
	}
	if err := checkID("id", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty id: %v", err)
	}
}
