-- migrate:up

-- Who is told of mail that was not delivered: decision 0022.

ALTER TABLE accounts
    ADD COLUMN dsn boolean NOT NULL DEFAULT true,  -- a DSN to the sender, if the profile says so too
    ADD COLUMN bounce_address text;                -- gets returned and undeliverable mail

-- Where each reader of events continues. The cursor moves with what the reader writes.
CREATE TABLE event_cursors (
    reader       text PRIMARY KEY,
    incarnation  uuid NOT NULL,
    xid          xid8 NOT NULL,
    id           uuid NOT NULL
);
-- Failures before this version are not told.
INSERT INTO event_cursors
SELECT 'notices', incarnation, pg_snapshot_xmin(pg_current_snapshot()),
       '00000000-0000-0000-0000-000000000000'
FROM witness;

-- Open work: a recipient whose delivery ended without success, and by which means somebody is still
-- to be told. Those of one submission become one notice; `in_digest`: those above the hourly limit
-- of an address become one digest.
CREATE TABLE untold_failures (
    submission_id  uuid NOT NULL,
    recipient      text NOT NULL,
    means          text NOT NULL CHECK (means IN ('dsn', 'forward')),
    address        text NOT NULL,  -- who is told
    account_id     uuid NOT NULL,
    delivery_id    uuid,  -- null: suppressed, there never was one
    kind           text NOT NULL,
    at             timestamptz NOT NULL,
    detail         jsonb NOT NULL,
    due_at         timestamptz NOT NULL,
    in_digest      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (submission_id, recipient, means)
);
CREATE INDEX untold_failures_due ON untold_failures (due_at) WHERE NOT in_digest;
CREATE INDEX untold_failures_in_digest ON untold_failures (due_at) WHERE in_digest;
CREATE INDEX untold_failures_of_address ON untold_failures (account_id, address);

-- How many notices an address got in the hour that began then.
CREATE TABLE notice_windows (
    account_id  uuid NOT NULL,
    address     text NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    sent        integer NOT NULL,
    PRIMARY KEY (account_id, address)
);

-- Mail to postmaster@ and abuse@ of our own hosts that could not be forwarded to the operator: the
-- newest only, and of each the start.
CREATE TABLE operator_mail (
    id           uuid PRIMARY KEY,
    received_at  timestamptz NOT NULL DEFAULT now(),
    recipient    text NOT NULL,
    sender       text NOT NULL,
    client       text NOT NULL,
    size         integer NOT NULL,  -- octets of the whole message
    content      bytea NOT NULL,
    reason       text NOT NULL
);

CREATE TYPE untold_row_1 AS (
    submission_id uuid, delivery_id uuid, account_id uuid, kind text, at timestamptz, detail jsonb
);
