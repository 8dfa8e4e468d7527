package store

// The queries of the audit and of what is known of credentials, for every database.
const (
	queryAddCheckpoint    = `INSERT INTO checkpoints (sequence, previous, at, kid, next, jws) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`
	queryCheckpoints      = `SELECT sequence, jws FROM checkpoints WHERE sequence > $1 ORDER BY sequence LIMIT $2`
	queryNewestCheckpoint = `SELECT sequence, jws FROM checkpoints ORDER BY sequence DESC LIMIT 1`
	queryHandovers        = `SELECT sequence, jws FROM checkpoints WHERE next <> '' ORDER BY sequence`
	queryEventHash        = `SELECT hash FROM events WHERE sequence = $1`

	// A selection of events: conditions follow the first line, then the end.
	queryEventsWhere = `SELECT sequence, at, actor, action, organisation, subject, detail, previous, hash FROM events WHERE sequence > $1`
	queryEventsEnd   = ` ORDER BY sequence LIMIT `

	queryAddLastUsed = `INSERT INTO last_used (client_id, credential_id, at) VALUES ($1, $2, $3) ON CONFLICT (client_id, credential_id) DO UPDATE SET at = excluded.at WHERE last_used.at < excluded.at`
	queryLastUsed    = `SELECT client_id, credential_id, at FROM last_used WHERE client_id = $1 ORDER BY credential_id`
	queryAllLastUsed = `SELECT client_id, credential_id, at FROM last_used ORDER BY client_id, credential_id`

	queryPruneLastUsed = `DELETE FROM last_used WHERE at < $1`

	queryAddNotice = `INSERT INTO notices (subject, days, not_after, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	queryNotices   = `SELECT subject, days, not_after FROM notices WHERE not_after > $1`
)
