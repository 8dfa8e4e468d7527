-- +goose Up

-- Who may register clients: initial access tokens, by SHA-256, each for one
-- organisation. revoked is when it was, 0 for never.
CREATE TABLE initial_access_tokens (
    id           TEXT COLLATE "C" PRIMARY KEY,
    hash         BYTEA            NOT NULL,
    organisation TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    limits       TEXT COLLATE "C" NOT NULL,
    uses         BIGINT           NOT NULL,
    used         BIGINT           NOT NULL,
    created      BIGINT           NOT NULL,
    expires      BIGINT           NOT NULL,
    revoked      BIGINT           NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX initial_access_tokens_hash ON initial_access_tokens (hash);
CREATE INDEX initial_access_tokens_organisation ON initial_access_tokens (organisation, id);

-- Software statements that this directory signed; id is the jti, claims what was
-- signed.
CREATE TABLE software_statements (
    id           TEXT COLLATE "C" PRIMARY KEY,
    organisation TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    software_id  TEXT COLLATE "C" NOT NULL,
    claims       TEXT COLLATE "C" NOT NULL,
    standalone   BOOLEAN          NOT NULL,
    uses         BIGINT           NOT NULL,
    used         BIGINT           NOT NULL,
    created      BIGINT           NOT NULL,
    expires      BIGINT           NOT NULL,
    revoked      BIGINT           NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL
);
CREATE INDEX software_statements_organisation ON software_statements (organisation, id);

-- Applications that registered themselves. token is SHA-256 of the registration
-- access token given out last, previous of the one before, which is good until
-- token is used; empty for none. fixed is what the software statement said.
CREATE TABLE registrations (
    client_id        TEXT COLLATE "C" PRIMARY KEY REFERENCES applications (client_id),
    issued           BIGINT           NOT NULL,
    software_id      TEXT COLLATE "C" NOT NULL,
    software_version TEXT COLLATE "C" NOT NULL,
    signing_alg      TEXT COLLATE "C" NOT NULL,
    initial_token    TEXT COLLATE "C" NOT NULL,
    limits           TEXT COLLATE "C" NOT NULL,
    statement        TEXT COLLATE "C" NOT NULL,
    fixed            TEXT COLLATE "C" NOT NULL,
    token            BYTEA            NOT NULL,
    previous         BYTEA            NOT NULL
);
CREATE INDEX registrations_initial_token ON registrations (initial_token) WHERE initial_token <> '';

-- Who used a software statement, in order.
CREATE TABLE statement_uses (
    statement TEXT COLLATE "C" NOT NULL REFERENCES software_statements (id),
    place     BIGINT           NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES registrations (client_id),
    at        BIGINT           NOT NULL,
    PRIMARY KEY (statement, place)
);
