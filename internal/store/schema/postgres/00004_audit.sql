-- +goose Up

-- Signed statements that the chain ended in an event. previous is the sequence of
-- the checkpoint before: each has one successor. next is the kid of the key that
-- signs the later ones, where that is another.
CREATE TABLE checkpoints (
    sequence BIGINT           PRIMARY KEY,
    previous BIGINT           NOT NULL UNIQUE,
    at       BIGINT           NOT NULL,
    kid      TEXT COLLATE "C" NOT NULL,
    next     TEXT COLLATE "C" NOT NULL,
    jws      TEXT COLLATE "C" NOT NULL
);

-- When a credential last authenticated. Not every one has a row in credentials.
CREATE TABLE last_used (
    client_id     TEXT COLLATE "C" NOT NULL,
    credential_id TEXT COLLATE "C" NOT NULL,
    at            BIGINT           NOT NULL,
    PRIMARY KEY (client_id, credential_id)
);

-- Of which ends people were told, how many days before.
CREATE TABLE notices (
    subject   TEXT COLLATE "C" NOT NULL,
    days      BIGINT           NOT NULL,
    not_after BIGINT           NOT NULL,
    at        BIGINT           NOT NULL,
    PRIMARY KEY (subject, days, not_after)
);
