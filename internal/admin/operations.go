package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// verb is an operation that moves something to a state.
type verb struct {
	name, summary string
	to            directory.State
}

var (
	organisationVerbs = []verb{
		{"suspend", "Suspend organisation", directory.Suspended},
		{"resume", "Resume organisation", directory.Active},
		{"revoke", "Revoke organisation", directory.Revoked},
	}
	applicationVerbs = []verb{
		{"suspend", "Suspend application", directory.Suspended},
		{"resume", "Resume application", directory.Active},
		{"revoke", "Revoke application", directory.Revoked},
	}
	credentialVerbs = []verb{
		{"suspend", "Suspend credential", directory.Suspended},
		{"resume", "Resume credential", directory.Active},
		{"retire", "Retire credential", directory.Retired},
		{"revoke", "Revoke credential", directory.Revoked},
		{"compromise", "Mark credential as compromised", directory.Compromised},
	}
)

// describe is the list of all operations.
func describe(d *door, a *api) {
	get := func(path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodGet, Path: "/v1" + path, Summary: summary}
	}
	post := func(path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodPost, Path: "/v1" + path, Summary: summary}
	}
	create := func(path, summary string) huma.Operation {
		op := post(path, summary)
		op.DefaultStatus = http.StatusCreated
		return op
	}

	register(d, get("/organisations", "List organisations"), operators, a.listOrganisations)
	register(d, create("/organisations", "Create organisation"), owners, a.createOrganisation)
	register(d, get("/organisations/{organisation}", "Show organisation"), operators, a.showOrganisation)
	for _, v := range organisationVerbs {
		register(d, post("/organisations/{organisation}/"+v.name, v.summary), officers, a.moveOrganisation(v.to))
	}

	register(d, get("/resources", "List resources"), operators, a.listResources)
	register(d, create("/resources", "Create resource"), owners, a.createResource)
	register(d, get("/resources/{uri}", "Show resource"), operators, a.showResource)

	register(d, get("/applications", "List applications"), operators, a.listApplications)
	register(d, create("/applications", "Create application"), tenants, a.createApplication)
	register(d, get("/applications/{client_id}", "Show application"), operators, a.showApplication)
	for _, v := range applicationVerbs {
		register(d, post("/applications/{client_id}/"+v.name, v.summary), keepers, a.moveApplication(v.to))
	}

	register(d, get("/applications/{client_id}/credentials", "List credentials"), operators, a.listCredentials)
	register(d, create("/applications/{client_id}/signing-keys", "Register signing key"), keepers, a.registerKey)
	register(d, create("/applications/{client_id}/certificates", "Register certificate"), keepers, a.registerCertificate)
	register(d, post("/applications/{client_id}/dpop-keys/{jkt}/revoke", "Revoke DPoP key"), keepers, a.revokeDPoPKey)
	register(d, get("/credentials/{credential_id}", "Show credential"), operators, a.showCredential)
	for _, v := range credentialVerbs {
		register(d, post("/credentials/{credential_id}/"+v.name, v.summary), keepers, a.moveCredential(v.to))
	}
	describeCertificates(d, a)
}
