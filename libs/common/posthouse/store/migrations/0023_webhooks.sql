-- migrate:up

-- Customers are told of events over HTTP: decision 0043.

-- Where an account hears of what, and how it goes there.
CREATE TABLE webhook_endpoints (
    id             uuid PRIMARY KEY DEFAULT new_id(),
    account_id     uuid NOT NULL REFERENCES accounts,
    url            text NOT NULL,
    dialect        text NOT NULL,
    kinds          text[] NOT NULL DEFAULT '{}',  -- of events; none: all that there are
    streams        text[] NOT NULL DEFAULT '{}',  -- none: mail of all, and of none
    gather         interval NOT NULL DEFAULT '0',  -- requests leave at its multiples; 0: at once
    sealed         bytea NOT NULL,  -- the secret that signs
    old_sealed     bytea,  -- the one before, which signs as well
    old_until      timestamptz,
    sealed_fields  bytea,  -- of its requests, such as Authorization
    note           text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT now(),
    paused_at      timestamptz,
    paused_for     text,  -- why
    failures       integer NOT NULL DEFAULT 0,  -- in a row
    failing_since  timestamptz,
    retry_at       timestamptz  -- while it fails: before that nothing is sent
);
CREATE INDEX webhook_endpoints_of_account ON webhook_endpoints (account_id);

-- Open work: events for one endpoint that are sent together. `due_at` is the end of a lease, too.
CREATE TABLE webhook_batches (
    id           uuid PRIMARY KEY DEFAULT new_id(),
    endpoint_id  uuid NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    claim        integer NOT NULL DEFAULT 0,  -- fencing, as everywhere
    leased       boolean NOT NULL DEFAULT false,
    tries        integer NOT NULL DEFAULT 0,
    is_test      boolean NOT NULL DEFAULT false,  -- is sent to a paused endpoint, too, and once
    oldest_at    timestamptz NOT NULL,  -- of its events
    ids          uuid[] NOT NULL,  -- of its events
    kinds        text[] NOT NULL,
    body         bytea NOT NULL  -- the events as the endpoint gets them, with commas between them
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX webhook_batches_due ON webhook_batches (endpoint_id, due_at);
CREATE INDEX webhook_batches_by_end ON webhook_batches (expires_at);

-- What an endpoint did not take for so long that it is no longer tried.
CREATE TABLE webhook_dead_letters (
    id           uuid PRIMARY KEY,
    endpoint_id  uuid NOT NULL,
    died_at      timestamptz NOT NULL DEFAULT now(),
    oldest_at    timestamptz NOT NULL,
    ids          uuid[] NOT NULL,
    kinds        text[] NOT NULL,
    body         bytea NOT NULL
);
CREATE INDEX webhook_dead_letters_of_endpoint ON webhook_dead_letters (endpoint_id, id);
CREATE INDEX webhook_dead_letters_by_time ON webhook_dead_letters (died_at);

-- Requests that were made.
CREATE TABLE webhook_attempts (
    id            uuid PRIMARY KEY DEFAULT new_id(),
    endpoint_id   uuid NOT NULL,
    batch_id      uuid NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    events        integer NOT NULL,
    number        integer NOT NULL,  -- of the tries of its batch
    result        text NOT NULL,
    status        smallint,  -- of the answer, if there was one
    milliseconds  integer NOT NULL
);
CREATE INDEX webhook_attempts_of_endpoint ON webhook_attempts (endpoint_id, id);

-- Events of the past that an endpoint is to be told once more; they are read in the order of their ids.
CREATE TABLE webhook_replays (
    id           uuid PRIMARY KEY DEFAULT new_id(),
    endpoint_id  uuid NOT NULL,
    after_id     uuid NOT NULL,   -- how far it is
    until_id     uuid NOT NULL,
    kinds        text[] NOT NULL,  -- none: all of the endpoint
    ids          uuid[] NOT NULL,  -- of messages or events; none: all
    asked_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE webhook_batch_row_1 AS (
    endpoint_id uuid, gather interval, is_replay boolean, oldest_at timestamptz, ids uuid[], kinds text[],
    body bytea
);

-- Events before this version are told where they are asked for.
INSERT INTO event_cursors
SELECT 'webhooks', incarnation, pg_snapshot_xmin(pg_current_snapshot()),
       '00000000-0000-0000-0000-000000000000'
FROM witness;
