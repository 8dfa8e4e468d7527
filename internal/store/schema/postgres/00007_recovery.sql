-- +goose Up

-- The oldest schema version whose holdfast may still run on this one. A migration
-- that takes something away, or means something else by it, raises this number.
CREATE TABLE compatibility (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    oldest BIGINT NOT NULL
);
INSERT INTO compatibility (id, oldest) VALUES (1, 7);

-- When a copy of the database was put in its place: what may have been used before
-- then is unknown here. sequence is that of the event.
CREATE TABLE restores (
    sequence BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL
);
