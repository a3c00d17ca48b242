-- migrate:up

-- Accounts whose mail waits (the mark `held` of its due rows), and what became of the mail of each
-- account: decision 0024.

CREATE TABLE account_holds (
    account_id  uuid PRIMARY KEY REFERENCES accounts,
    held_at     timestamptz NOT NULL DEFAULT now(),
    actor       text NOT NULL,
    by_relay    boolean NOT NULL,  -- a threshold was exceeded; else the operator wanted it
    reason      text NOT NULL,
    marked      boolean NOT NULL DEFAULT false  -- so are the due rows that were there before it
);

-- There are no rows in these while no account is held.
CREATE INDEX due_submissions_held ON due_submissions (account_id) WHERE held;
CREATE INDEX due_deliveries_held ON due_deliveries (account_id) WHERE held;

ALTER TABLE accounts
    ADD COLUMN automatic_hold boolean NOT NULL DEFAULT true,  -- whether thresholds hold it
    ADD COLUMN released_at timestamptz;                       -- thresholds count from then on

-- How many events of a kind there were, in the hour that began then. An account that is released
-- begins again within the hour.
CREATE TABLE account_statistics (
    account_id  uuid NOT NULL,
    began_at    timestamptz NOT NULL,
    stream      text NOT NULL,
    domain      text NOT NULL,  -- of the sender
    provider    text NOT NULL,  -- of the recipient
    kind        text NOT NULL,
    class       text NOT NULL,  -- of the answer; '' where there is none
    count       bigint NOT NULL,
    PRIMARY KEY (account_id, began_at, stream, domain, provider, kind, class)
);
CREATE INDEX account_statistics_by_time ON account_statistics (began_at);

CREATE TYPE statistic_row_1 AS (
    account_id uuid, began_at timestamptz, stream text, domain text, provider text, kind text,
    class text, count bigint
);

-- What happened before this version is not counted.
INSERT INTO event_cursors
SELECT 'statistics', incarnation, pg_snapshot_xmin(pg_current_snapshot()),
       '00000000-0000-0000-0000-000000000000'
FROM witness;
