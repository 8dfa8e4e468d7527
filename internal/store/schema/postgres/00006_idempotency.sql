-- +goose Up

-- What changes left that were asked for under an Idempotency-Key.
CREATE TABLE idempotency (
    key     BYTEA  PRIMARY KEY,
    request BYTEA  NOT NULL,
    answer  BYTEA  NOT NULL, -- sealed; empty when it was lost
    until   BIGINT NOT NULL
);
CREATE INDEX idempotency_until ON idempotency (until);
