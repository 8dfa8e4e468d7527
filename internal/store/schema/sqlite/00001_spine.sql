-- +goose Up

-- The end of the audit chain: its number orders every change.
CREATE TABLE head (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    hash     BLOB    NOT NULL
) STRICT;
INSERT INTO head (id, sequence, hash) VALUES (1, 0, zeroblob(32));

-- Times are microseconds since 1970; 0 is no bound.
CREATE TABLE events (
    sequence     INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    actor        TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    organisation TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    previous     BLOB    NOT NULL,
    hash         BLOB    NOT NULL
) STRICT;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organisations (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX organisations_changed ON organisations (changed);

CREATE TABLE applications (
    client_id     TEXT    PRIMARY KEY,
    organisation  TEXT    NOT NULL REFERENCES organisations (id),
    name          TEXT    NOT NULL,
    auth_method   TEXT    NOT NULL,
    binding       TEXT    NOT NULL,
    require_nonce INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    changed       INTEGER NOT NULL
) STRICT;
CREATE INDEX applications_changed ON applications (changed);

CREATE TABLE resources (
    uri          TEXT    PRIMARY KEY,
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    name         TEXT    NOT NULL,
    changed      INTEGER NOT NULL
) STRICT;
CREATE INDEX resources_changed ON resources (changed);

-- A scope belongs to one resource. place keeps the order of a list.
CREATE TABLE scopes (
    scope    TEXT    PRIMARY KEY,
    resource TEXT    NOT NULL REFERENCES resources (uri),
    place    INTEGER NOT NULL
) STRICT;
CREATE INDEX scopes_resource ON scopes (resource, place);

CREATE TABLE servers (
    resource  TEXT    NOT NULL REFERENCES resources (uri),
    client_id TEXT    NOT NULL REFERENCES applications (client_id),
    place     INTEGER NOT NULL,
    PRIMARY KEY (resource, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    client_id TEXT    NOT NULL REFERENCES applications (client_id),
    place     INTEGER NOT NULL,
    scope     TEXT    NOT NULL REFERENCES scopes (scope),
    PRIMARY KEY (client_id, place),
    UNIQUE (client_id, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    id          TEXT    PRIMARY KEY,
    client_id   TEXT    NOT NULL REFERENCES applications (client_id),
    kind        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    kid         TEXT    NOT NULL,
    jwk         TEXT    NOT NULL,
    thumbprint  BLOB    NOT NULL,
    certificate BLOB    NOT NULL,
    issued      INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    changed     INTEGER NOT NULL
) STRICT;
CREATE INDEX credentials_changed ON credentials (changed);
CREATE INDEX credentials_client ON credentials (client_id);
CREATE UNIQUE INDEX credentials_thumbprint ON credentials (thumbprint) WHERE kind <> 'dpop_key';
CREATE UNIQUE INDEX credentials_dpop_key ON credentials (client_id, thumbprint) WHERE kind = 'dpop_key';
CREATE UNIQUE INDEX credentials_kid ON credentials (client_id, kid) WHERE kind = 'signing_key';

CREATE TABLE revoked_tokens (
    id      TEXT    PRIMARY KEY,
    expires INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX revoked_tokens_changed ON revoked_tokens (changed);
CREATE INDEX revoked_tokens_expires ON revoked_tokens (expires);

-- Private keys of the server, under the key-encryption key.
CREATE TABLE keys (
    id          TEXT    PRIMARY KEY,
    purpose     TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    certificate BLOB    NOT NULL,
    created     INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_purpose ON keys (purpose);

-- Certificates that were about to be signed.
CREATE TABLE intents (
    serial        TEXT    PRIMARY KEY,
    client_id     TEXT    NOT NULL REFERENCES applications (client_id),
    credential_id TEXT    NOT NULL UNIQUE,
    csr_hash      BLOB    NOT NULL,
    tbs_hash      BLOB    NOT NULL,
    at            INTEGER NOT NULL,
    finished      INTEGER NOT NULL
) STRICT;
CREATE INDEX intents_open ON intents (at) WHERE finished = 0;

-- What may be used once, assertions and proofs, by 128 bits of a digest.
CREATE TABLE used (
    key   BLOB    PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
