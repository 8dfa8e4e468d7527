-- +goose Up

-- The end of the audit chain: its number orders every change.
CREATE TABLE head (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    sequence BIGINT NOT NULL,
    hash     BYTEA  NOT NULL
);
INSERT INTO head (id, sequence, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- Times are microseconds since 1970; 0 is no bound.
CREATE TABLE events (
    sequence     BIGINT           PRIMARY KEY,
    at           BIGINT           NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL,
    action       TEXT COLLATE "C" NOT NULL,
    organisation TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    detail       TEXT COLLATE "C" NOT NULL,
    previous     BYTEA            NOT NULL,
    hash         BYTEA            NOT NULL
);

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE organisations (
    id      TEXT COLLATE "C" PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    state   TEXT COLLATE "C" NOT NULL,
    changed BIGINT           NOT NULL
);
CREATE INDEX organisations_changed ON organisations (changed);

CREATE TABLE applications (
    client_id     TEXT COLLATE "C" PRIMARY KEY,
    organisation  TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    name          TEXT COLLATE "C" NOT NULL,
    auth_method   TEXT COLLATE "C" NOT NULL,
    binding       TEXT COLLATE "C" NOT NULL,
    require_nonce BOOLEAN          NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    changed       BIGINT           NOT NULL
);
CREATE INDEX applications_changed ON applications (changed);

CREATE TABLE resources (
    uri          TEXT COLLATE "C" PRIMARY KEY,
    organisation TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    name         TEXT COLLATE "C" NOT NULL,
    changed      BIGINT           NOT NULL
);
CREATE INDEX resources_changed ON resources (changed);

-- A scope belongs to one resource. place keeps the order of a list.
CREATE TABLE scopes (
    scope    TEXT COLLATE "C" PRIMARY KEY,
    resource TEXT COLLATE "C" NOT NULL REFERENCES resources (uri),
    place    BIGINT           NOT NULL
);
CREATE INDEX scopes_resource ON scopes (resource, place);

CREATE TABLE servers (
    resource  TEXT COLLATE "C" NOT NULL REFERENCES resources (uri),
    client_id TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    place     BIGINT           NOT NULL,
    PRIMARY KEY (resource, client_id)
);

CREATE TABLE grants (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    place     BIGINT           NOT NULL,
    scope     TEXT COLLATE "C" NOT NULL REFERENCES scopes (scope),
    PRIMARY KEY (client_id, place),
    UNIQUE (client_id, scope)
);

CREATE TABLE credentials (
    id          TEXT COLLATE "C" PRIMARY KEY,
    client_id   TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    kind        TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    kid         TEXT COLLATE "C" NOT NULL,
    jwk         TEXT COLLATE "C" NOT NULL,
    thumbprint  BYTEA            NOT NULL,
    certificate BYTEA            NOT NULL,
    issued      BOOLEAN          NOT NULL,
    created     BIGINT           NOT NULL,
    not_before  BIGINT           NOT NULL,
    not_after   BIGINT           NOT NULL,
    changed     BIGINT           NOT NULL
);
CREATE INDEX credentials_changed ON credentials (changed);
CREATE INDEX credentials_client ON credentials (client_id);
CREATE UNIQUE INDEX credentials_thumbprint ON credentials (thumbprint) WHERE kind <> 'dpop_key';
CREATE UNIQUE INDEX credentials_dpop_key ON credentials (client_id, thumbprint) WHERE kind = 'dpop_key';
CREATE UNIQUE INDEX credentials_kid ON credentials (client_id, kid) WHERE kind = 'signing_key';

CREATE TABLE revoked_tokens (
    id      TEXT COLLATE "C" PRIMARY KEY,
    expires BIGINT           NOT NULL,
    changed BIGINT           NOT NULL
);
CREATE INDEX revoked_tokens_changed ON revoked_tokens (changed);
CREATE INDEX revoked_tokens_expires ON revoked_tokens (expires);

-- Private keys of the server, under the key-encryption key.
CREATE TABLE keys (
    id          TEXT COLLATE "C" PRIMARY KEY,
    purpose     TEXT COLLATE "C" NOT NULL,
    sealed      BYTEA            NOT NULL,
    certificate BYTEA            NOT NULL,
    created     BIGINT           NOT NULL,
    not_before  BIGINT           NOT NULL,
    not_after   BIGINT           NOT NULL
);
CREATE INDEX keys_purpose ON keys (purpose);

-- Certificates that were about to be signed.
CREATE TABLE intents (
    serial        TEXT COLLATE "C" PRIMARY KEY,
    client_id     TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    credential_id TEXT COLLATE "C" NOT NULL UNIQUE,
    csr_hash      BYTEA            NOT NULL,
    tbs_hash      BYTEA            NOT NULL,
    at            BIGINT           NOT NULL,
    finished      BIGINT           NOT NULL
);
CREATE INDEX intents_open ON intents (at) WHERE finished = 0;

-- What may be used once, assertions and proofs, by 128 bits of a digest.
CREATE TABLE used (
    key   BYTEA  PRIMARY KEY,
    until BIGINT NOT NULL
);
