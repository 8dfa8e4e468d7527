package store

// What idempotency keys are remembered by.
const (
	queryAddIdempotent    = `INSERT INTO idempotency (key, request, answer, until) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO UPDATE SET request = excluded.request, answer = excluded.answer, until = excluded.until WHERE idempotency.until <= $5`
	queryIdempotent       = `SELECT request, answer, until FROM idempotency WHERE key = $1 AND until > $2`
	queryAnswerIdempotent = `UPDATE idempotency SET answer = $3 WHERE key = $1 AND request = $2 AND length(answer) = 0`
	queryPruneIdempotent  = `DELETE FROM idempotency WHERE until <= $1`
)
