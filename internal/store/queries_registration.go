package store

// Client registration.
const (
	queryAddInitialToken    = `INSERT INTO initial_access_tokens (id, hash, organisation, limits, uses, used, created, expires, revoked, actor) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, 0, $8) ON CONFLICT DO NOTHING`
	queryInitialToken       = `SELECT id, hash, organisation, limits, uses, used, created, expires, revoked, actor FROM initial_access_tokens WHERE hash = $1`
	queryInitialTokenByID   = `SELECT id, hash, organisation, limits, uses, used, created, expires, revoked, actor FROM initial_access_tokens WHERE id = $1`
	queryInitialTokens      = `SELECT id, hash, organisation, limits, uses, used, created, expires, revoked, actor FROM initial_access_tokens WHERE organisation = $1 AND id > $2 ORDER BY id LIMIT $3`
	queryInitialTokenState  = `SELECT revoked FROM initial_access_tokens WHERE organisation = $1 AND id = $2`
	queryRevokeInitialToken = `UPDATE initial_access_tokens SET revoked = $3 WHERE organisation = $1 AND id = $2 AND revoked = 0`
	queryUseInitialToken    = `UPDATE initial_access_tokens SET used = used + 1 WHERE id = $1 AND used < uses AND revoked = 0 AND expires > $2`

	queryAddStatement    = `INSERT INTO software_statements (id, organisation, software_id, claims, standalone, uses, used, created, expires, revoked, actor) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, 0, $9) ON CONFLICT DO NOTHING`
	queryStatement       = `SELECT id, organisation, software_id, claims, standalone, uses, used, created, expires, revoked, actor FROM software_statements WHERE id = $1`
	queryStatements      = `SELECT id, organisation, software_id, claims, standalone, uses, used, created, expires, revoked, actor FROM software_statements WHERE organisation = $1 AND id > $2 ORDER BY id LIMIT $3`
	queryStatementState  = `SELECT revoked FROM software_statements WHERE organisation = $1 AND id = $2`
	queryRevokeStatement = `UPDATE software_statements SET revoked = $3 WHERE organisation = $1 AND id = $2 AND revoked = 0`
	queryUseStatement    = `UPDATE software_statements SET used = used + 1 WHERE id = $1 AND used < uses AND revoked = 0 AND expires > $2 RETURNING used`
	queryAddStatementUse = `INSERT INTO statement_uses (statement, place, client_id, at) VALUES ($1, $2, $3, $4)`
	queryStatementUses   = `SELECT client_id FROM statement_uses WHERE statement = $1 ORDER BY place LIMIT $2`

	queryAddRegistration     = `INSERT INTO registrations (client_id, issued, software_id, software_version, signing_alg, initial_token, limits, statement, fixed, token, previous) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`
	queryRegistration        = `SELECT client_id, issued, software_id, software_version, signing_alg, initial_token, limits, statement, fixed, token, previous FROM registrations WHERE client_id = $1`
	queryFirstOfInitialToken = `SELECT client_id FROM registrations WHERE initial_token = $1 ORDER BY issued, client_id LIMIT 1`
	queryUpdateRegistration  = `UPDATE registrations SET software_id = $2, software_version = $3, signing_alg = $4, statement = $5, fixed = $6, token = $7, previous = $8 WHERE client_id = $1 AND (token = $8 OR previous = $8)`
	queryUseToken            = `UPDATE registrations SET previous = CASE WHEN token = $2 THEN $3 ELSE previous END WHERE client_id = $1 AND (token = $2 OR previous = $2)`
	queryEndHeldTokens       = `UPDATE registrations SET token = $3, previous = $3 WHERE client_id = $1 AND (token = $2 OR previous = $2)`
	querySetToken            = `UPDATE registrations SET token = $2, previous = $3 WHERE client_id = $1`
)
