package store

// The queries of the certificate authority and of enrolment, for every database.
const (
	// The switch. queryBegin also orders whoever begins a certificate.
	queryBegin     = `UPDATE authority SET begun = begun + 1 WHERE id = 1 RETURNING stopped`
	querySwitch    = `SELECT stopped, since, actor FROM authority WHERE id = 1`
	querySetSwitch = `UPDATE authority SET stopped = $1, since = $2, actor = $3 WHERE id = 1 AND stopped <> $1`

	// Certificates.
	queryOwnerStates = `SELECT a.state, o.state FROM applications a JOIN organisations o ON o.id = a.organisation WHERE a.client_id = $1`
	queryEndedKeys   = `SELECT thumbprint, certificate FROM credentials WHERE client_id = $1 AND state IN ('revoked', 'compromised')`
	queryLatest      = `SELECT c.serial, c.issuer, c.credential_id, c.certificate, c.at, c.renew_at, c.state, COALESCE(k.state, '') FROM certificates c LEFT JOIN credentials k ON k.id = c.credential_id WHERE c.client_id = $1 AND c.profile = $2 AND c.request_hash = $3 AND c.latest = 1`
	queryNotLatest   = `UPDATE certificates SET latest = 0 WHERE serial = $1`
	queryAddIntent   = `INSERT INTO certificates (serial, issuer, profile, organisation, client_id, credential_id, names, request_hash, tbs_hash, code, at, renew_at, not_after, state, latest, certificate, ended, reason, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'begun', 1, $14, 0, 0, 0) ON CONFLICT DO NOTHING`
	queryIntent      = `SELECT state, at FROM certificates WHERE serial = $1`
	queryCloseIntent = `UPDATE certificates SET state = 'issued', certificate = $1 WHERE serial = $2 AND credential_id = $3 AND state = 'begun' RETURNING client_id, code, request_hash, at`
	queryAbandon     = `UPDATE certificates SET state = 'abandoned', latest = 0, ended = $1, reason = 0, changed = $2 WHERE serial = $3 AND state = 'begun'`
	queryOpenIntents = `SELECT serial, issuer, profile, organisation, client_id, credential_id, names, request_hash, tbs_hash, code, at, renew_at, not_after FROM certificates WHERE state = 'begun' ORDER BY at, serial`

	// What the version before wrote: its intents become certificates of the first
	// issuing CA, there was no other. 7776000000000 is 90 days.
	queryAdoptIntents = `INSERT INTO certificates (serial, issuer, profile, organisation, client_id, credential_id, names, request_hash, tbs_hash, code, at, renew_at, not_after, state, latest, certificate, ended, reason, changed)
SELECT i.serial, CAST($1 AS TEXT), 'client_transport', a.organisation, i.client_id, i.credential_id, '', i.csr_hash, i.tbs_hash, '', i.at, 0, COALESCE(k.not_after, i.at + 7776000000000), CASE i.finished WHEN 1 THEN 'issued' ELSE 'begun' END, 0, COALESCE(k.certificate, $2), 0, 0, 0
FROM intents i JOIN applications a ON a.client_id = i.client_id LEFT JOIN credentials k ON k.id = i.credential_id
WHERE (i.finished = 1 OR i.finished = 0 AND i.at <= $3) AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.serial = i.serial)`
	queryAnyOldIntents = `SELECT COUNT(*) FROM intents i WHERE (i.finished = 1 OR i.finished = 0 AND i.at <= $1) AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.serial = i.serial AND (c.state <> 'begun' OR i.finished = 0))`
	// One that was taken over while it was open, and finished after all.
	queryFinishOld       = `UPDATE certificates SET state = 'issued', certificate = (SELECT k.certificate FROM credentials k WHERE k.id = certificates.credential_id) WHERE state = 'begun' AND serial IN (SELECT i.serial FROM intents i JOIN credentials k2 ON k2.id = i.credential_id WHERE i.finished = 1)`
	queryAbandonOld      = `UPDATE intents SET finished = 2 WHERE serial = $1 AND finished = 0`
	queryCountOldIntents = `SELECT COUNT(*) FROM intents WHERE serial = $1 AND finished = 1`

	// Names of organisations.
	queryAddName    = `INSERT INTO organisation_names (id, organisation, name, added, removed) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING`
	queryRemoveName = `UPDATE organisation_names SET removed = $1 WHERE organisation = $2 AND name = $3 AND removed = 0`
	queryNames      = `SELECT id, organisation, name, added, removed FROM organisation_names WHERE organisation = $1 AND removed = 0 ORDER BY name`
	queryOwnsName   = `SELECT COUNT(*) FROM organisation_names WHERE organisation = $1 AND name = $2 AND removed = 0`

	// Enrolment codes.
	queryAddCode       = `INSERT INTO enrolment_codes (id, client_id, hash, profile, instance, created, actor, expires, revoked, serial, used, credential_id, request_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '', 0, '', $9) ON CONFLICT DO NOTHING`
	queryCodeColumn    = `SELECT id, client_id, profile, instance, created, actor, expires, revoked, serial, used, credential_id, request_hash FROM enrolment_codes`
	queryCode          = queryCodeColumn + ` WHERE id = $1`
	queryCodeByHash    = queryCodeColumn + ` WHERE hash = $1`
	queryCodes         = queryCodeColumn + ` WHERE client_id = $1 ORDER BY id`
	queryClaimCode     = `UPDATE enrolment_codes SET serial = $1 WHERE id = $2 AND used = 0 AND revoked = 0`
	queryUseCode       = `UPDATE enrolment_codes SET used = $1, credential_id = $2, request_hash = $3 WHERE id = $4 AND serial = $5 AND used = 0 AND revoked = 0 AND expires > $1`
	queryCodeInstance  = `SELECT instance FROM enrolment_codes WHERE id = $1`
	queryInstanceNamed = `SELECT id, state FROM instances WHERE client_id = $1 AND name = $2`
	queryRevokeCode    = `UPDATE enrolment_codes SET revoked = $1 WHERE id = $2 AND revoked = 0 AND used = 0`

	// Lists of revoked certificates.
	queryAddCRL     = `INSERT INTO crls (issuer, number, published, sequence, this_update, next_update, der) VALUES ($1, 0, 0, 0, 0, 0, $2) ON CONFLICT DO NOTHING`
	queryCRL        = `SELECT published, sequence, this_update FROM crls WHERE issuer = $1`
	queryNextCRL    = `UPDATE crls SET number = CASE WHEN number >= $2 THEN number + 1 ELSE $2 END WHERE issuer = $1 RETURNING number`
	queryPublishCRL = `UPDATE crls SET published = $1, sequence = $2, this_update = $3, next_update = $4, der = $5 WHERE issuer = $6 AND published < $1`
	queryCRLs       = `SELECT issuer, published FROM crls WHERE published > 0`
	queryCRLOf      = `SELECT issuer, published, sequence, this_update, next_update, der FROM crls WHERE issuer = $1`
	// Certificates whose credential, application or organisation has changed since.
	queryTouched = `SELECT c.serial, c.ended, c.reason, k.state, a.state, o.state FROM certificates c
JOIN credentials k ON k.id = c.credential_id JOIN applications a ON a.client_id = c.client_id JOIN organisations o ON o.id = a.organisation
WHERE c.issuer = $1 AND c.state = 'issued' AND c.serial IN (
SELECT c1.serial FROM credentials k1 JOIN certificates c1 ON c1.credential_id = k1.id WHERE k1.changed > $2
UNION SELECT c2.serial FROM applications a2 JOIN certificates c2 ON c2.client_id = a2.client_id WHERE a2.changed > $2
UNION SELECT c3.serial FROM organisations o3 JOIN certificates c3 ON c3.organisation = o3.id WHERE o3.changed > $2)`
	querySetEnded = `UPDATE certificates SET ended = $1, reason = $2, changed = $3 WHERE serial = $4`
	queryAnyEnded = `SELECT COUNT(*) FROM certificates WHERE issuer = $1 AND changed > $2`
	queryEnded    = `SELECT serial, ended, reason FROM certificates WHERE issuer = $1 AND ended > 0 AND not_after > $2 ORDER BY ended, serial`
)
