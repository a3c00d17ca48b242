-- migrate:up

-- What becomes of a message that a client submits again, since it did not hear our 250: decision 0032.
ALTER TABLE credentials
    ADD COLUMN resubmission text NOT NULL DEFAULT 'off'
        CHECK (resubmission IN ('off', 'report-only', 'on'));

-- A key that we make of the message itself counts for less time than one of its client. The version
-- before has those of a day only.
ALTER TABLE idempotency_keys
    ADD COLUMN until timestamptz NOT NULL DEFAULT now() + interval '24 hours';
CREATE INDEX idempotency_keys_by_end ON idempotency_keys (until);
DROP INDEX idempotency_keys_by_time;

CREATE TYPE idempotency_row_2 AS (
    id uuid, account_id uuid, key text, digest bytea, counts_for interval, only_reported boolean
);
