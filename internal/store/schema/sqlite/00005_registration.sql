-- +goose Up

-- Who may register clients: initial access tokens, by SHA-256, each for one
-- organisation. revoked is when it was, 0 for never.
CREATE TABLE initial_access_tokens (
    id               TEXT    PRIMARY KEY,
    hash             BLOB    NOT NULL,
    organisation     TEXT    NOT NULL REFERENCES organisations (id),
    limits           TEXT    NOT NULL,
    uses             INTEGER NOT NULL,
    used             INTEGER NOT NULL,
    created          INTEGER NOT NULL,
    expires          INTEGER NOT NULL,
    revoked          INTEGER NOT NULL,
    actor            TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX initial_access_tokens_hash ON initial_access_tokens (hash);
CREATE INDEX initial_access_tokens_organisation ON initial_access_tokens (organisation, id);

-- Software statements that this directory signed; id is the jti, claims what was
-- signed.
CREATE TABLE software_statements (
    id               TEXT    PRIMARY KEY,
    organisation     TEXT    NOT NULL REFERENCES organisations (id),
    software_id      TEXT    NOT NULL,
    claims           TEXT    NOT NULL,
    standalone       INTEGER NOT NULL,
    uses             INTEGER NOT NULL,
    used             INTEGER NOT NULL,
    created          INTEGER NOT NULL,
    expires          INTEGER NOT NULL,
    revoked          INTEGER NOT NULL,
    actor            TEXT    NOT NULL
) STRICT;
CREATE INDEX software_statements_organisation ON software_statements (organisation, id);

-- Applications that registered themselves. token is SHA-256 of the registration
-- access token given out last, previous of the one before, which is good until
-- token is used; empty for none. fixed is what the software statement said.
CREATE TABLE registrations (
    client_id        TEXT    PRIMARY KEY REFERENCES applications (client_id),
    issued           INTEGER NOT NULL,
    software_id      TEXT    NOT NULL,
    software_version TEXT    NOT NULL,
    signing_alg      TEXT    NOT NULL,
    initial_token    TEXT    NOT NULL,
    limits           TEXT    NOT NULL,
    statement        TEXT    NOT NULL,
    fixed            TEXT    NOT NULL,
    token            BLOB    NOT NULL,
    previous         BLOB    NOT NULL
) STRICT;
CREATE INDEX registrations_initial_token ON registrations (initial_token) WHERE initial_token <> '';

-- Who used a software statement, in order.
CREATE TABLE statement_uses (
    statement        TEXT    NOT NULL REFERENCES software_statements (id),
    place            INTEGER NOT NULL,
    client_id        TEXT    NOT NULL REFERENCES registrations (client_id),
    at               INTEGER NOT NULL,
    PRIMARY KEY (statement, place)
) STRICT, WITHOUT ROWID;
