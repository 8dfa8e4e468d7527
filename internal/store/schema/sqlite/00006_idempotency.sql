-- +goose Up

-- What changes left that were asked for under an Idempotency-Key.
CREATE TABLE idempotency (
    key     BLOB    PRIMARY KEY,
    request BLOB    NOT NULL,
    answer  BLOB    NOT NULL, -- sealed; empty when it was lost
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_until ON idempotency (until);
