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

// ownerVerbs is the life of what is suspended, resumed and revoked.
func ownerVerbs(noun string) []verb {
	return []verb{
		{"suspend", "Suspend " + noun, directory.Suspended},
		{"resume", "Resume " + noun, directory.Active},
		{"revoke", "Revoke " + noun, directory.Revoked},
	}
}

var credentialVerbs = []verb{
	{"suspend", "Suspend credential", directory.Suspended},
	{"resume", "Resume credential", directory.Active},
	{"retire", "Retire credential", directory.Retired},
	{"revoke", "Revoke credential", directory.Revoked},
	{"compromise", "Mark credential as compromised", directory.Compromised},
}

func get(path, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodGet, Path: "/v1" + path, Summary: summary}
}

func post(path, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodPost, Path: "/v1" + path, Summary: summary}
}

func create(path, summary string) huma.Operation {
	op := post(path, summary)
	op.DefaultStatus = http.StatusCreated
	return op
}

func patch(path, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodPatch, Path: "/v1" + path, Summary: summary}
}

// describe is the list of all operations: what, for whom, by which function.
func describe(d *door, a *api) {
	describeOwners(d, a)
	describeAnchors(d, a)
	describeApplications(d, a)
	describeCredentials(d, a)
	describeOperators(d, a)
	describeCertificates(d, a)
	describeRegistration(d, a)
	describeAudit(d, a)
}

func describeOwners(d *door, a *api) {
	register(d, get("/organisations", "List organisations"), operators, a.listOrganisations)
	change(d, create("/organisations", "Create organisation"), owners, a.createOrganisation, organisationAfter)
	const organisation = "/organisations/{organisation}"
	register(d, get(organisation, "Show organisation"), operators, a.showOrganisation)
	change(d, patch(organisation, "Update organisation"), owners, a.patchOrganisation, organisationAfter)
	for _, v := range ownerVerbs("organisation") {
		change(d, post(organisation+"/"+v.name, v.summary), officers, a.moveOrganisation(v.to), organisationEnd(v.to != directory.Active))
	}
	change(d, post(organisation+"/revoke-tokens", "Revoke tokens of organisation"), keepers, a.revokeOrganisationTokens, organisationEnd(true))

	register(d, get("/roles", "List roles"), operators, a.listRoles)
	change(d, create("/roles", "Create role"), owners, a.createRole, roleAfter)
	register(d, get("/roles/{role}", "Show role"), operators, a.showRole)
	change(d, patch("/roles/{role}", "Update role"), owners, a.patchRole, roleAfter)
	for _, v := range ownerVerbs("role") {
		change(d, post("/roles/{role}/"+v.name, v.summary), owners, a.moveRole(v.to), roleEnd)
	}

	register(d, get("/resources", "List resources"), operators, a.listResources)
	change(d, create("/resources", "Create resource"), owners, a.createResource, resourceAfter)
	register(d, get("/resources/{uri}", "Show resource"), operators, a.showResource)
	change(d, patch("/resources/{uri}", "Update resource"), owners, a.patchResource, resourceAfter)
	for _, v := range ownerVerbs("resource") {
		change(d, post("/resources/{uri}/"+v.name, v.summary), officers, a.moveResource(v.to), resourceEnd(v.to != directory.Active))
	}
}

func describeApplications(d *door, a *api) {
	register(d, get("/applications", "List applications"), operators, a.listApplications)
	change(d, create("/applications", "Create application"), tenants, a.createApplication, applicationAfter)
	const application = "/applications/{client_id}"
	register(d, get(application, "Show application"), operators, a.showApplication)
	change(d, patch(application, "Update application"), tenants, a.patchApplication, applicationChanged)
	for _, v := range ownerVerbs("application") {
		change(d, post(application+"/"+v.name, v.summary), keepers, a.moveApplication(v.to), applicationEnd(v.to != directory.Active))
	}
	change(d, post(application+"/revoke-tokens", "Revoke tokens of application"), keepers, a.revokeApplicationTokens, applicationEnd(true))

	register(d, get(application+"/instances", "List instances"), operators, a.listInstances)
	change(d, create(application+"/instances", "Create instance"), tenants, a.createInstance, instanceAfter)
	register(d, get(application+"/instances/{instance}", "Show instance"), operators, a.showInstance)
	change(d, post(application+"/instances/{instance}/revoke", "Revoke instance"), keepers, a.revokeInstance, instanceEnd)
}

func describeCredentials(d *door, a *api) {
	const application = "/applications/{client_id}"
	register(d, get(application+"/credentials", "List credentials"), operators, a.listCredentials)
	change(d, create(application+"/signing-keys", "Register signing key"), keepers, a.registerKey, credentialAfter)
	change(d, create(application+"/certificates", "Register certificate"), keepers, a.registerCertificate, credentialAfter)
	change(d, post(application+"/dpop-keys/{jkt}/revoke", "Revoke DPoP key"), keepers, a.revokeDPoPKey, credentialEnd(true))
	change(d, post(application+"/trusted-certificates/{x5t}/revoke", "Revoke certificate of a trust anchor"), keepers, a.revokeTrustedCertificate, credentialEnd(true))
	change(d, post(application+"/published-keys/{jkt}/revoke", "Revoke published key"), keepers, a.revokePublishedKey, credentialEnd(true))

	register(d, get("/credentials", "List all credentials"), operators, a.listAllCredentials)
	const credential = "/credentials/{credential_id}"
	register(d, get(credential, "Show credential"), operators, a.showCredential)
	for _, v := range credentialVerbs {
		change(d, post(credential+"/"+v.name, v.summary), keepers, a.moveCredential(v.to), credentialEnd(v.to != directory.Active))
	}
	change(d, post(credential+"/revoke-tokens", "Revoke tokens of credential"), keepers, a.revokeCredentialTokens, credentialEnd(true))
}

func describeOperators(d *door, a *api) {
	register(d, get("/operators", "List operators"), operators, a.listOperators)
	change(d, create("/operators", "Add operator"), owners, a.createOperator, applicationAfter)
	const operator = "/operators/{client_id}"
	register(d, get(operator, "Show operator"), operators, a.showOperator)
	change(d, post(operator+"/rekey", "Re-key operator"), operators, a.rekeyOperator, applicationEnd(false))
	for _, v := range ownerVerbs("operator") {
		change(d, post(operator+"/"+v.name, v.summary), owners, a.moveOperator(v.to), applicationEnd(v.to != directory.Active))
	}

	register(d, post("/tokens/revoke", "Revoke token"), keepers, a.revokeToken)
	register(d, get("/signing-keys", "List signing keys"), installation, a.listSigningKeys)
	change(d, post("/signing-keys/{kid}/revoke", "Revoke signing key"), officers, a.revokeSigningKey, a.signingKeyAfter)
}
