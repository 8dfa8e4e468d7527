-- +goose Up

-- Signed statements that the chain ended in an event. previous is the sequence of
-- the checkpoint before: each has one successor. next is the kid of the key that
-- signs the later ones, where that is another.
CREATE TABLE checkpoints (
    sequence INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL UNIQUE,
    at       INTEGER NOT NULL,
    kid      TEXT    NOT NULL,
    next     TEXT    NOT NULL,
    jws      TEXT    NOT NULL
) STRICT;

-- When a credential last authenticated. Not every one has a row in credentials.
CREATE TABLE last_used (
    client_id     TEXT    NOT NULL,
    credential_id TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    PRIMARY KEY (client_id, credential_id)
) STRICT, WITHOUT ROWID;

-- Of which ends people were told, how many days before.
CREATE TABLE notices (
    subject   TEXT    NOT NULL,
    days      INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (subject, days, not_after)
) STRICT, WITHOUT ROWID;
