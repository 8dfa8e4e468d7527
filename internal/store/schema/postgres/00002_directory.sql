-- +goose Up

-- Tokens issued before this time (microseconds, whole seconds) have ended.
ALTER TABLE organisations ADD COLUMN tokens_after BIGINT NOT NULL DEFAULT 0;
ALTER TABLE applications  ADD COLUMN tokens_after BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials   ADD COLUMN tokens_after BIGINT NOT NULL DEFAULT 0;
ALTER TABLE resources     ADD COLUMN tokens_after BIGINT NOT NULL DEFAULT 0;

ALTER TABLE applications ADD COLUMN tls_name_kind  TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN tls_name_value TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN jwks_uri       TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN operator_role  TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE resources    ADD COLUMN require_nonce  BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE resources    ADD COLUMN state          TEXT COLLATE "C" NOT NULL DEFAULT 'active';
ALTER TABLE credentials  ADD COLUMN instance       TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Until now whoever could ask for the scope "admin" was an owner.
UPDATE applications SET operator_role = 'owner' WHERE client_id IN (SELECT client_id FROM grants WHERE scope = 'admin');

-- A role is a name for scopes. An application has those of its roles that its
-- organisation holds.
CREATE TABLE roles (
    id      TEXT COLLATE "C" PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    state   TEXT COLLATE "C" NOT NULL,
    changed BIGINT           NOT NULL
);
CREATE INDEX roles_changed ON roles (changed);

CREATE TABLE role_scopes (
    role  TEXT COLLATE "C" NOT NULL REFERENCES roles (id),
    place BIGINT           NOT NULL,
    scope TEXT COLLATE "C" NOT NULL REFERENCES scopes (scope),
    PRIMARY KEY (role, place),
    UNIQUE (role, scope)
);

CREATE TABLE organisation_roles (
    organisation TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    place        BIGINT           NOT NULL,
    role         TEXT COLLATE "C" NOT NULL REFERENCES roles (id),
    PRIMARY KEY (organisation, place)
);

CREATE TABLE application_roles (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    place     BIGINT           NOT NULL,
    role      TEXT COLLATE "C" NOT NULL REFERENCES roles (id),
    PRIMARY KEY (client_id, place)
);

-- CAs whose certificates an organisation's applications may show, by their key.
CREATE TABLE trust_anchors (
    id           TEXT COLLATE "C" PRIMARY KEY,
    organisation TEXT COLLATE "C" NOT NULL REFERENCES organisations (id),
    place        BIGINT           NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    certificate  BYTEA            NOT NULL,
    spki         BYTEA            NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,
    created      BIGINT           NOT NULL
);
CREATE INDEX trust_anchors_organisation ON trust_anchors (organisation, place);

-- A replica of an application.
CREATE TABLE instances (
    id        TEXT COLLATE "C" PRIMARY KEY,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id),
    name      TEXT COLLATE "C" NOT NULL,
    state     TEXT COLLATE "C" NOT NULL,
    created   BIGINT           NOT NULL,
    changed   BIGINT           NOT NULL,
    UNIQUE (client_id, name)
);
CREATE INDEX instances_changed ON instances (changed);

-- Token signing keys whose tokens have all ended.
CREATE TABLE revoked_keys (
    kid     TEXT COLLATE "C" PRIMARY KEY,
    at      BIGINT           NOT NULL,
    changed BIGINT           NOT NULL
);
CREATE INDEX revoked_keys_changed ON revoked_keys (changed);

-- A jti is one application's: what another says of it ends nothing.
ALTER TABLE revoked_tokens ADD COLUMN client_id TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE revoked_tokens SET client_id = e.detail::json->>'client_id'
    FROM events e WHERE e.sequence = revoked_tokens.changed AND e.subject = revoked_tokens.id;
ALTER TABLE revoked_tokens DROP CONSTRAINT revoked_tokens_pkey;
ALTER TABLE revoked_tokens ADD PRIMARY KEY (client_id, id);

CREATE INDEX events_subject ON events (subject, sequence);
CREATE INDEX events_organisation ON events (organisation, sequence);

-- A public key or certificate is one application's credential only for that application: others may have
-- the same, and neither harms the other.
DROP INDEX credentials_thumbprint;
DROP INDEX credentials_dpop_key;
CREATE UNIQUE INDEX credentials_thumbprint ON credentials (client_id, thumbprint) WHERE kind IN ('signing_key', 'certificate');
CREATE UNIQUE INDEX credentials_unregistered ON credentials (client_id, kind, thumbprint) WHERE kind NOT IN ('signing_key', 'certificate');
