-- +goose Up

-- The oldest schema version whose holdfast may still run on this one. A migration
-- that takes something away, or means something else by it, raises this number.
CREATE TABLE compatibility (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    oldest INTEGER NOT NULL
) STRICT;
INSERT INTO compatibility (id, oldest) VALUES (1, 7);

-- When a copy of the database was put in its place: what may have been used before
-- then is unknown here. sequence is that of the event.
CREATE TABLE restores (
    sequence INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT;
