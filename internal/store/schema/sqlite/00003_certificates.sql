-- +goose Up

-- The certificate authority's one switch, and the row that whoever begins a
-- certificate updates first, so that beginnings are serial.
CREATE TABLE authority (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    stopped INTEGER NOT NULL,
    since   INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    begun   INTEGER NOT NULL
) STRICT;
INSERT INTO authority (id, stopped, since, actor, begun) VALUES (1, 0, 0, '', 0);

-- Every certificate that was or was about to be signed: state begun, issued or
-- abandoned. One row answers for each request: latest. ended is when it went
-- onto the list of revoked certificates, 0 for never. It takes over from intents,
-- which the version before goes on writing; organisation and client_id are empty
-- for the listeners of holdfast itself.
CREATE TABLE certificates (
    serial        TEXT    PRIMARY KEY,
    issuer        TEXT    NOT NULL,
    profile       TEXT    NOT NULL,
    organisation  TEXT    NOT NULL,
    client_id     TEXT    NOT NULL,
    credential_id TEXT    NOT NULL,
    names         TEXT    NOT NULL,
    request_hash  BLOB    NOT NULL,
    tbs_hash      BLOB    NOT NULL,
    code          TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    renew_at      INTEGER NOT NULL,
    not_after     INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    latest        INTEGER NOT NULL,
    certificate   BLOB    NOT NULL,
    ended         INTEGER NOT NULL,
    reason        INTEGER NOT NULL,
    changed       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX certificates_request ON certificates (client_id, profile, request_hash) WHERE latest = 1;
CREATE INDEX certificates_credential ON certificates (credential_id);
CREATE INDEX certificates_organisation ON certificates (organisation);
CREATE INDEX certificates_open ON certificates (at) WHERE state = 'begun';
CREATE INDEX certificates_ended ON certificates (issuer, not_after) WHERE ended > 0;
CREATE INDEX certificates_changed ON certificates (issuer, changed);

-- The DNS names and IP addresses that server certificates of an organisation may
-- have. A name that was taken away keeps its row.
CREATE TABLE organisation_names (
    id           TEXT    PRIMARY KEY,
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    name         TEXT    NOT NULL,
    added        INTEGER NOT NULL,
    removed      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX organisation_names_name ON organisation_names (name) WHERE removed = 0;
CREATE INDEX organisation_names_organisation ON organisation_names (organisation);

-- Enrolment codes, by SHA-256. serial is the certificate that was begun with one,
-- used when it was issued.
CREATE TABLE enrolment_codes (
    id            TEXT    PRIMARY KEY,
    client_id     TEXT    NOT NULL REFERENCES applications (client_id),
    hash          BLOB    NOT NULL,
    profile       TEXT    NOT NULL,
    instance      TEXT    NOT NULL,
    created       INTEGER NOT NULL,
    actor         TEXT    NOT NULL,
    expires       INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    serial        TEXT    NOT NULL,
    used          INTEGER NOT NULL,
    credential_id TEXT    NOT NULL,
    request_hash  BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX enrolment_codes_hash ON enrolment_codes (hash);
CREATE INDEX enrolment_codes_client ON enrolment_codes (client_id);

-- Lists of revoked certificates (RFC 5280 section 5), one for each issuing CA.
-- number was given out last, published is that of der; sequence is the change
-- that the list is of.
CREATE TABLE crls (
    issuer      TEXT    PRIMARY KEY,
    number      INTEGER NOT NULL,
    published   INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der         BLOB    NOT NULL
) STRICT;
