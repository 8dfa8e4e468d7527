package store

// The queries, for every database.
const (
	// The chain.
	queryHead        = `SELECT sequence, hash FROM head WHERE id = 1`
	queryNext        = `UPDATE head SET sequence = sequence + 1 WHERE id = 1 RETURNING sequence, hash`
	querySetHash     = `UPDATE head SET hash = $1 WHERE id = 1`
	querySetHead     = `UPDATE head SET sequence = $1, hash = $2 WHERE id = 1`
	queryAppendEvent = `INSERT INTO events (sequence, at, actor, action, organisation, subject, detail, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	queryEvents      = `SELECT sequence, at, actor, action, organisation, subject, detail, previous, hash FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2`
	queryLastEvent   = `SELECT sequence, at, actor, action, organisation, subject, detail, previous, hash FROM events ORDER BY sequence DESC LIMIT 1`

	// After a restore.
	queryAddRestore        = `INSERT INTO restores (sequence, at) VALUES ($1, $2)`
	queryVoidCodes         = `UPDATE enrolment_codes SET revoked = $1 WHERE used = 0 AND revoked = 0`
	queryVoidInitialTokens = `UPDATE initial_access_tokens SET revoked = $1 WHERE revoked = 0`
	queryVoidStatements    = `UPDATE software_statements SET revoked = $1 WHERE revoked = 0 AND used < uses`
	queryVoidTokens        = `UPDATE registrations SET token = $1, previous = $1 WHERE token <> $1 OR previous <> $1`
	// The list of the copy may lack what ended since: it is to be made anew.
	queryRaiseCRLs = `UPDATE crls SET number = number + $1, this_update = 0`
	queryRestored  = `SELECT at FROM restores ORDER BY at DESC LIMIT 1`

	// Once at first start.
	queryMeta    = `SELECT value FROM meta WHERE name = $1`
	queryAnyMeta = `SELECT COUNT(*) FROM meta`
	queryAddMeta = `INSERT INTO meta (name, value) VALUES ($1, $2)`

	// The directory.
	queryAddOrganisation = `INSERT INTO organisations (id, name, state, tokens_after, changed) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	queryAddResource     = `INSERT INTO resources (uri, organisation, name, require_nonce, state, tokens_after, changed) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`
	queryAddScope        = `INSERT INTO scopes (scope, resource, place) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	queryAddServer       = `INSERT INTO servers (resource, client_id, place) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	queryAddApplication  = `INSERT INTO applications (client_id, organisation, name, auth_method, binding, require_nonce, state, tls_name_kind, tls_name_value, jwks_uri, operator_role, tokens_after, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`
	queryAddGrant        = `INSERT INTO grants (client_id, place, scope) SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), scope FROM scopes WHERE scope = $3 AND resource = $4 ON CONFLICT DO NOTHING`
	queryAddCredential   = `INSERT INTO credentials (id, client_id, kind, state, kid, jwk, thumbprint, certificate, issued, created, not_before, not_after, instance, tokens_after, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`
	queryAddRevoked      = `INSERT INTO revoked_tokens (client_id, id, expires, changed) VALUES ($1, $2, $3, $4) ON CONFLICT (client_id, id) DO UPDATE SET expires = excluded.expires, changed = excluded.changed WHERE revoked_tokens.expires < excluded.expires`

	querySetOrganisation = `UPDATE organisations SET name = $2, state = $3, tokens_after = $4, changed = $5 WHERE id = $1`
	querySetResource     = `UPDATE resources SET organisation = $2, name = $3, require_nonce = $4, state = $5, tokens_after = $6, changed = $7 WHERE uri = $1`
	querySetApplication  = `UPDATE applications SET organisation = $2, name = $3, auth_method = $4, binding = $5, require_nonce = $6, state = $7, tls_name_kind = $8, tls_name_value = $9, jwks_uri = $10, operator_role = $11, tokens_after = $12, changed = $13 WHERE client_id = $1`
	querySetCredential   = `UPDATE credentials SET state = $2, not_after = $3, instance = $4, tokens_after = $5, changed = $6 WHERE id = $1`
	queryAddRole         = `INSERT INTO roles (id, name, state, changed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	querySetRole         = `UPDATE roles SET name = $2, state = $3, changed = $4 WHERE id = $1`
	queryAddInstance     = `INSERT INTO instances (id, client_id, name, state, created, changed) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`
	querySetInstance     = `UPDATE instances SET name = $2, state = $3, changed = $4 WHERE id = $1`
	queryAddAnchor       = `INSERT INTO trust_anchors (id, organisation, place, name, certificate, spki, state, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	querySetAnchor       = `UPDATE trust_anchors SET place = $2, name = $3, state = $4 WHERE id = $1`
	queryAddRevokedKey   = `INSERT INTO revoked_keys (kid, at, changed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

	// Lists that belong to a record are replaced whole.
	queryClearGrants            = `DELETE FROM grants WHERE client_id = $1`
	queryClearRoleScopes        = `DELETE FROM role_scopes WHERE role = $1`
	queryAddRoleScope           = `INSERT INTO role_scopes (role, place, scope) SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), scope FROM scopes WHERE scope = $3 AND resource = $4 ON CONFLICT DO NOTHING`
	queryClearOrganisationRoles = `DELETE FROM organisation_roles WHERE organisation = $1`
	queryAddOrganisationRole    = `INSERT INTO organisation_roles (organisation, place, role) VALUES ($1, $2, $3)`
	queryClearApplicationRoles  = `DELETE FROM application_roles WHERE client_id = $1`
	queryAddApplicationRole     = `INSERT INTO application_roles (client_id, place, role) VALUES ($1, $2, $3)`
	queryClearServers           = `DELETE FROM servers WHERE resource = $1`
	queryScopesOf               = `SELECT scope FROM scopes WHERE resource = $1`
	queryMoveScope              = `UPDATE scopes SET place = $3 WHERE scope = $1 AND resource = $2`
	queryDropScope              = `DELETE FROM scopes WHERE scope = $1 AND resource = $2`

	queryOrganisationsAfter     = `SELECT id, name, state, tokens_after, changed FROM organisations WHERE changed > $1 ORDER BY changed`
	queryApplicationsAfter      = `SELECT client_id, organisation, name, auth_method, binding, require_nonce, state, tls_name_kind, tls_name_value, jwks_uri, operator_role, tokens_after, changed FROM applications WHERE changed > $1 ORDER BY client_id`
	queryGrantsAfter            = `SELECT g.client_id, s.resource, g.scope FROM grants g JOIN applications a ON a.client_id = g.client_id JOIN scopes s ON s.scope = g.scope WHERE a.changed > $1 ORDER BY g.client_id, g.place`
	queryResourcesAfter         = `SELECT uri, organisation, name, require_nonce, state, tokens_after, changed FROM resources WHERE changed > $1 ORDER BY uri`
	queryScopesAfter            = `SELECT s.resource, s.scope FROM scopes s JOIN resources r ON r.uri = s.resource WHERE r.changed > $1 ORDER BY s.resource, s.place`
	queryServersAfter           = `SELECT s.resource, s.client_id FROM servers s JOIN resources r ON r.uri = s.resource WHERE r.changed > $1 ORDER BY s.resource, s.place`
	queryCredentialsAfter       = `SELECT id, client_id, kind, state, jwk, thumbprint, certificate, issued, created, not_before, not_after, instance, tokens_after, changed FROM credentials WHERE changed > $1 ORDER BY changed`
	queryOrganisationRolesAfter = `SELECT r.organisation, r.role FROM organisation_roles r JOIN organisations o ON o.id = r.organisation WHERE o.changed > $1 ORDER BY r.organisation, r.place`
	queryAnchorsAfter           = `SELECT a.organisation, a.id, a.name, a.certificate, a.spki, a.state, a.created FROM trust_anchors a JOIN organisations o ON o.id = a.organisation WHERE o.changed > $1 ORDER BY a.organisation, a.place`
	queryApplicationRolesAfter  = `SELECT r.client_id, r.role FROM application_roles r JOIN applications a ON a.client_id = r.client_id WHERE a.changed > $1 ORDER BY r.client_id, r.place`
	queryRolesAfter             = `SELECT id, name, state, changed FROM roles WHERE changed > $1 ORDER BY id`
	queryRoleScopesAfter        = `SELECT r.role, s.resource, r.scope FROM role_scopes r JOIN roles o ON o.id = r.role JOIN scopes s ON s.scope = r.scope WHERE o.changed > $1 ORDER BY r.role, r.place`
	queryInstancesAfter         = `SELECT id, client_id, name, state, created, changed FROM instances WHERE changed > $1 ORDER BY changed, id`
	queryRevokedKeysAfter       = `SELECT kid, at FROM revoked_keys WHERE changed > $1 ORDER BY changed`
	queryRevokedAfter           = `SELECT client_id, id, expires FROM revoked_tokens WHERE changed > $1`

	// The server's own keys.
	queryKeys     = `SELECT id, purpose, sealed, certificate, created, not_before, not_after FROM keys WHERE purpose = $1 AND id NOT IN (SELECT kid FROM revoked_keys) ORDER BY not_before DESC, id`
	queryCountKey = `SELECT COUNT(*) FROM keys WHERE purpose = $1`
	queryAddKey   = `INSERT INTO keys (id, purpose, sealed, certificate, created, not_before, not_after) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`

	queryPruneRevoked = `DELETE FROM revoked_tokens WHERE expires < $1`

	// Single use.
	queryUse       = `INSERT INTO used (key, until) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	queryPruneUsed = `DELETE FROM used WHERE key >= $1 AND key < $2 AND until < $3`
)

// queriesTouchAll make every record one that was changed last.
var queriesTouchAll = []string{
	`UPDATE organisations SET changed = $1`,
	`UPDATE applications SET changed = $1`,
	`UPDATE resources SET changed = $1`,
	`UPDATE roles SET changed = $1`,
	`UPDATE instances SET changed = $1`,
	`UPDATE credentials SET changed = $1`,
	`UPDATE revoked_tokens SET changed = $1`,
	`UPDATE revoked_keys SET changed = $1`,
}
