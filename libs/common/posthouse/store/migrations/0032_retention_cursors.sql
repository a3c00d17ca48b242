-- migrate:up

-- How far what goes sooner than its partition has been removed: up to the event of that id.
CREATE TABLE retention_cursors (
    kind   text PRIMARY KEY,
    until  uuid NOT NULL
);
