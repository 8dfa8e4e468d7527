-- +goose Up

-- The certificate authority's one switch, and the row that whoever begins a
-- certificate updates first, so that beginnings are serial.
CREATE TABLE authority (
    id      BIGINT           PRIMARY KEY CHECK (id = 1),
    stopped BIGINT           NOT NULL,
    since   BIGINT           NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    begun   BIGINT           NOT NULL
);
INSERT INTO authority (id, stopped, since, actor, begun) VALUES (1, 0, 0, '', 0);

-- Every certificate that was or was about to be signed: state begun, issued or
-- abandoned. One row answers for each request: latest. ended is when it went
-- onto the list of revoked certificates, 0 for never. It takes over from intents,
-- which the version before goes on writing; organisation and client_id are empty
-- for the listeners of holdfast itself.
CREATE TABLE certificates (
    serial        TEXT COLLATE "C" PRIMARY KEY,
    issuer        TEXT COLLATE "C" NOT NULL,
    profile       TEXT COLLATE "C" NOT NULL,
    organisation  TEXT COLLATE "C" NOT NULL,
    client_id     TEXT COLLATE "C" NOT NULL,
    credential_id TEXT COLLATE "C" NOT NULL,
    names         TEXT COLLATE "C" NOT NULL,
    request_hash  BYTEA            NOT NULL,
    tbs_hash      BYTEA            NOT NULL,
    code          TEXT COLLATE "C" NOT NULL,
    at            BIGINT           NOT NULL,
    renew_at      BIGINT           NOT NULL,
    not_after     BIGINT           NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    latest        BIGINT           NOT NULL,
    certificate   BYTEA            NOT NULL,
    ended         BIGINT           NOT NULL,
    reason        BIGINT           NOT NULL,
    changed       BIGINT           NOT NULL
);
CREATE UNIQUE INDEX certificates_request ON certificates (client_id, profile, request_hash) WHERE latest = 1;
CREATE INDEX certificates_credential ON certificates (credential_id);
CREATE INDEX certificates_organisation ON certificates (organisation);
CREATE INDEX certificates_open ON certificates (at) WHERE state = 'begun';
CREATE INDEX certificates_ended ON certificates (issuer, not_after) WHERE ended > 0;
CREATE INDEX certificates_changed ON certificates (issuer, changed);

-- The DNS names and IP addresses that server certificates of an organisation may
-- have. A name that was taken away keeps its row.
CREATE TABLE organisation_names (
    id           TEXT COLLATE "C" PRIMARY KEY,
    organisation TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    name         TEXT COLLATE "C" NOT NULL,
    added        BIGINT           NOT NULL,
    removed      BIGINT           NOT NULL
);
CREATE UNIQUE INDEX organisation_names_name ON organisation_names (name) WHERE removed = 0;
CREATE INDEX organisation_names_organisation ON organisation_names (organisation);

-- Enrolment codes, by SHA-256. serial is the certificate that was begun with one,
-- used when it was issued.
CREATE TABLE enrolment_codes (
    id            TEXT COLLATE "C" PRIMARY KEY,
    client_id     TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    hash          BYTEA            NOT NULL,
    profile       TEXT COLLATE "C" NOT NULL,
    instance      TEXT COLLATE "C" NOT NULL,
    created       BIGINT           NOT NULL,
    actor         TEXT COLLATE "C" NOT NULL,
    expires       BIGINT           NOT NULL,
    revoked       BIGINT           NOT NULL,
    serial        TEXT COLLATE "C" NOT NULL,
    used          BIGINT           NOT NULL,
    credential_id TEXT COLLATE "C" NOT NULL,
    request_hash  BYTEA            NOT NULL
);
CREATE UNIQUE INDEX enrolment_codes_hash ON enrolment_codes (hash);
CREATE INDEX enrolment_codes_client ON enrolment_codes (client_id);

-- Lists of revoked certificates (RFC 5280 section 5), one for each issuing CA.
-- number was given out last, published is that of der; sequence is the change
-- that the list is of.
CREATE TABLE crls (
    issuer      TEXT COLLATE "C" PRIMARY KEY,
    number      BIGINT           NOT NULL,
    published   BIGINT           NOT NULL,
    sequence    BIGINT           NOT NULL,
    this_update BIGINT           NOT NULL,
    next_update BIGINT           NOT NULL,
    der         BYTEA            NOT NULL
);
