package store

// The queries, for every database.
const (
	// The chain.
	queryHead        = `SELECT sequence, hash FROM head WHERE id = 1`
	queryNext        = `UPDATE head SET sequence = sequence + 1 WHERE id = 1 RETURNING sequence, hash`
	querySetHash     = `UPDATE head SET hash = $1 WHERE id = 1`
	queryAppendEvent = `INSERT INTO events (sequence, at, actor, action, organisation, subject, detail, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	queryEvents      = `SELECT sequence, at, actor, action, organisation, subject, detail, previous, hash FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2`
	queryLastEvent   = `SELECT sequence, at, actor, action, organisation, subject, detail, previous, hash FROM events ORDER BY sequence DESC LIMIT 1`

	// Once at first start.
	queryMeta    = `SELECT value FROM meta WHERE name = $1`
	queryAnyMeta = `SELECT COUNT(*) FROM meta`
	queryAddMeta = `INSERT INTO meta (name, value) VALUES ($1, $2)`

	// The directory.
	queryAddOrganisation = `INSERT INTO organisations (id, name, state, changed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	queryAddResource     = `INSERT INTO resources (uri, organisation, name, changed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	queryAddScope        = `INSERT INTO scopes (scope, resource, place) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	queryAddServer       = `INSERT INTO servers (resource, client_id, place) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	queryAddApplication  = `INSERT INTO applications (client_id, organisation, name, auth_method, binding, require_nonce, state, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	queryAddGrant        = `INSERT INTO grants (client_id, place, scope) SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), scope FROM scopes WHERE scope = $3 AND resource = $4 ON CONFLICT DO NOTHING`
	queryAddCredential   = `INSERT INTO credentials (id, client_id, kind, state, kid, jwk, thumbprint, certificate, issued, created, not_before, not_after, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`
	queryAddRevoked      = `INSERT INTO revoked_tokens (id, expires, changed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

	queryOrganisationState    = `SELECT state FROM organisations WHERE id = $1`
	queryApplicationState     = `SELECT state FROM applications WHERE client_id = $1`
	queryCredentialState      = `SELECT state FROM credentials WHERE id = $1`
	querySetOrganisationState = `UPDATE organisations SET state = $1, changed = $2 WHERE id = $3`
	querySetApplicationState  = `UPDATE applications SET state = $1, changed = $2 WHERE client_id = $3`
	querySetCredentialState   = `UPDATE credentials SET state = $1, changed = $2 WHERE id = $3`

	queryOrganisationsAfter = `SELECT id, name, state FROM organisations WHERE changed > $1 ORDER BY changed`
	queryApplicationsAfter  = `SELECT client_id, organisation, name, auth_method, binding, require_nonce, state FROM applications WHERE changed > $1 ORDER BY client_id`
	queryGrantsAfter        = `SELECT g.client_id, s.resource, g.scope FROM grants g JOIN applications a ON a.client_id = g.client_id JOIN scopes s ON s.scope = g.scope WHERE a.changed > $1 ORDER BY g.client_id, g.place`
	queryResourcesAfter     = `SELECT uri, organisation, name FROM resources WHERE changed > $1 ORDER BY uri`
	queryScopesAfter        = `SELECT s.resource, s.scope FROM scopes s JOIN resources r ON r.uri = s.resource WHERE r.changed > $1 ORDER BY s.resource, s.place`
	queryServersAfter       = `SELECT s.resource, s.client_id FROM servers s JOIN resources r ON r.uri = s.resource WHERE r.changed > $1 ORDER BY s.resource, s.place`
	queryCredentialsAfter   = `SELECT id, client_id, kind, state, jwk, thumbprint, certificate, issued, created, not_before, not_after FROM credentials WHERE changed > $1 ORDER BY changed`
	queryRevokedAfter       = `SELECT id, expires FROM revoked_tokens WHERE changed > $1`

	// The server's own keys.
	queryKeys     = `SELECT id, purpose, sealed, certificate, created, not_before, not_after FROM keys WHERE purpose = $1 ORDER BY not_before DESC, id`
	queryCountKey = `SELECT COUNT(*) FROM keys WHERE purpose = $1`
	queryAddKey   = `INSERT INTO keys (id, purpose, sealed, certificate, created, not_before, not_after) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`

	// The certificate authority.
	queryAddIntent    = `INSERT INTO intents (serial, client_id, credential_id, csr_hash, tbs_hash, at, finished) VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT DO NOTHING`
	queryCloseIntent  = `UPDATE intents SET finished = 1 WHERE serial = $1 AND credential_id = $2 AND finished = 0`
	queryOpenIntents  = `SELECT serial, client_id, credential_id, csr_hash, tbs_hash, at FROM intents WHERE finished = 0 ORDER BY at, serial`
	queryPruneRevoked = `DELETE FROM revoked_tokens WHERE expires < $1`

	// Single use.
	queryUse       = `INSERT INTO used (key, until) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	queryPruneUsed = `DELETE FROM used WHERE key >= $1 AND key < $2 AND until < $3`
)
