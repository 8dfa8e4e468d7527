package main

import (
	"maps"
	"strings"

	"github.com/spf13/cobra"
)

var (
	authMethods = []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
	states      = []string{"created", "published", "active", "retiring", "retired", "suspended", "revoked", "compromised", "expired"}
	kinds       = []string{"signing_key", "certificate", "dpop_key", "trusted_certificate", "published_key", "server_certificate"}
)

// closedSets are the flags whose values are known, by their name; profiles of
// certificates and roles of operators share theirs with other things.
var closedSets = map[string][]string{
	"auth-method": authMethods, "binding": {"mtls", "dpop"}, "state": states, "kind": kinds, "output": {"table", "json"},
}

var closedSetsOf = map[string]map[string][]string{
	"holdfast operator add":              {"role": operatorRoles},
	"holdfast operator list":             {"role": operatorRoles},
	"holdfast app enrolment-code create": {"profile": {"client_transport", "client_signing"}},
	"holdfast enrol":                     {"profile": {"client_transport", "client_signing"}},
}

var operatorRoles = []string{"owner", "security", "auditor", "organisation_operator"}

// noFiles are flags whose values are open and name no file, by their name.
var noFiles = strings.Fields(`name id organisation app instance scope grant role cursor limit name-prefix san-uri san-dns san-ip san-email
	jwks-uri client-id client kid key-id not-after expires-before actor action subject since until after life uses issuer admin-url jti exp server resource`)

// addCompletion tells the shells what may stand for arguments and flags.
func addCompletion(c *cobra.Command) {
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && !namesFile(c.Use) {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	values := map[string][]string{}
	for _, name := range noFiles {
		values[name] = nil
	}
	maps.Copy(values, closedSets)
	maps.Copy(values, closedSetsOf[c.CommandPath()])
	for name, closed := range values {
		if c.Flags().Lookup(name) != nil {
			_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(closed, cobra.ShellCompDirectiveNoFileComp)) // fails for none of its own flags
		}
	}
	for _, below := range c.Commands() {
		addCompletion(below)
	}
}

func namesFile(use string) bool {
	return strings.Contains(use, "FILE") || strings.Contains(use, "FOLDER") || strings.HasSuffix(use, " CERTIFICATE")
}
