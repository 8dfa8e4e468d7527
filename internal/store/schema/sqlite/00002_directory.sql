-- +goose Up

-- Tokens issued before this time (microseconds, whole seconds) have ended.
ALTER TABLE organisations ADD COLUMN tokens_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE applications  ADD COLUMN tokens_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE credentials   ADD COLUMN tokens_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resources     ADD COLUMN tokens_after INTEGER NOT NULL DEFAULT 0;

ALTER TABLE applications ADD COLUMN tls_name_kind  TEXT NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN tls_name_value TEXT NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN jwks_uri       TEXT NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN operator_role  TEXT NOT NULL DEFAULT '';
ALTER TABLE resources    ADD COLUMN require_nonce  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resources    ADD COLUMN state          TEXT NOT NULL DEFAULT 'active';
ALTER TABLE credentials  ADD COLUMN instance       TEXT NOT NULL DEFAULT '';

-- Until now whoever could ask for the scope "admin" was an owner.
UPDATE applications SET operator_role = 'owner' WHERE client_id IN (SELECT client_id FROM grants WHERE scope = 'admin');

-- A role is a name for scopes. An application has those of its roles that its
-- organisation holds.
CREATE TABLE roles (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX roles_changed ON roles (changed);

CREATE TABLE role_scopes (
    role  TEXT    NOT NULL REFERENCES roles (id),
    place INTEGER NOT NULL,
    scope TEXT    NOT NULL REFERENCES scopes (scope),
    PRIMARY KEY (role, place),
    UNIQUE (role, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE organisation_roles (
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    place        INTEGER NOT NULL,
    role         TEXT    NOT NULL REFERENCES roles (id),
    PRIMARY KEY (organisation, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE application_roles (
    client_id TEXT    NOT NULL REFERENCES applications (client_id),
    place     INTEGER NOT NULL,
    role      TEXT    NOT NULL REFERENCES roles (id),
    PRIMARY KEY (client_id, place)
) STRICT, WITHOUT ROWID;

-- CAs whose certificates an organisation's applications may show, by their key.
CREATE TABLE trust_anchors (
    id           TEXT    PRIMARY KEY,
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    place        INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    certificate  BLOB    NOT NULL,
    spki         BLOB    NOT NULL,
    state        TEXT    NOT NULL,
    created      INTEGER NOT NULL
) STRICT;
CREATE INDEX trust_anchors_organisation ON trust_anchors (organisation, place);

-- A replica of an application.
CREATE TABLE instances (
    id        TEXT    PRIMARY KEY,
    client_id TEXT    NOT NULL REFERENCES applications (client_id),
    name      TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    changed   INTEGER NOT NULL,
    UNIQUE (client_id, name)
) STRICT;
CREATE INDEX instances_changed ON instances (changed);

-- Token signing keys whose tokens have all ended.
CREATE TABLE revoked_keys (
    kid     TEXT    PRIMARY KEY,
    at      INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX revoked_keys_changed ON revoked_keys (changed);

-- A jti is one application's: what another says of it ends nothing.
CREATE TABLE revoked_tokens_of (
    client_id TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    expires   INTEGER NOT NULL,
    changed   INTEGER NOT NULL,
    PRIMARY KEY (client_id, id)
) STRICT, WITHOUT ROWID;
INSERT INTO revoked_tokens_of (client_id, id, expires, changed)
    SELECT json_extract(e.detail, '$.client_id'), r.id, r.expires, r.changed
    FROM revoked_tokens r JOIN events e ON e.sequence = r.changed AND e.subject = r.id;
DROP TABLE revoked_tokens;
ALTER TABLE revoked_tokens_of RENAME TO revoked_tokens;
CREATE INDEX revoked_tokens_changed ON revoked_tokens (changed);
CREATE INDEX revoked_tokens_expires ON revoked_tokens (expires);

CREATE INDEX events_subject ON events (subject, sequence);
CREATE INDEX events_organisation ON events (organisation, sequence);

-- A public key or certificate is one application's credential only for that application: others may have
-- the same, and neither harms the other.
DROP INDEX credentials_thumbprint;
DROP INDEX credentials_dpop_key;
CREATE UNIQUE INDEX credentials_thumbprint ON credentials (client_id, thumbprint) WHERE kind IN ('signing_key', 'certificate');
CREATE UNIQUE INDEX credentials_unregistered ON credentials (client_id, kind, thumbprint) WHERE kind NOT IN ('signing_key', 'certificate');
