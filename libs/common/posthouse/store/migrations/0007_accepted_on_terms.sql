-- migrate:up

-- Mail that its sender wants sent later. A row moves to due_submissions when its time has come: until
-- then no claim, no lane and no repair of due times sees it.
CREATE TABLE scheduled_submissions (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    lane         smallint NOT NULL,
    size         integer NOT NULL,
    received_at  timestamptz NOT NULL,
    send_at      timestamptz NOT NULL,
    keep_trying  interval NOT NULL  -- after send_at
);
CREATE INDEX scheduled_submissions_by_time ON scheduled_submissions (send_at);

-- Of mail that was scheduled when it was quarantined.
ALTER TABLE quarantined_submissions ADD COLUMN send_at timestamptz;

-- A client that did not hear our 250 sends again under the same key, and hears it then.
CREATE TABLE idempotency_keys (
    account_id     uuid NOT NULL,
    key            text NOT NULL,
    submission_id  uuid NOT NULL,   -- what was accepted under it
    digest         bytea NOT NULL,  -- says whether it is the same message
    at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (at);

-- How many messages from the sandbox domain each account has had accepted, in all its life.
CREATE TABLE sandbox_counts (
    account_id  uuid PRIMARY KEY REFERENCES accounts,
    accepted    integer NOT NULL
);

-- What was sent from the sandbox domain, as recipients would have got it.
CREATE TABLE sandbox_messages (
    id             uuid PRIMARY KEY,  -- of the rendition
    submission_id  uuid NOT NULL,
    account_id     uuid NOT NULL,
    kept_at        timestamptz NOT NULL DEFAULT now(),
    sender         text NOT NULL,
    recipients     text[] NOT NULL,
    delivered_to   text[] NOT NULL,  -- those of them that got it: confirmed addresses
    header         bytea NOT NULL,
    body           bytea NOT NULL
);
ALTER TABLE sandbox_messages ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX sandbox_messages_by_time ON sandbox_messages (kept_at);
CREATE INDEX sandbox_messages_of_submission ON sandbox_messages (submission_id);

-- Addresses whose owners said, by a code that was mailed to them, that the account may try them.
CREATE TABLE confirmed_addresses (
    account_id    uuid NOT NULL REFERENCES accounts,
    normal        text NOT NULL,
    address       text NOT NULL,  -- as it was given
    code_hash     bytea NOT NULL,
    asked_at      timestamptz NOT NULL DEFAULT now(),
    tries         integer NOT NULL DEFAULT 0,  -- wrong codes since then
    confirmed_at  timestamptz,
    PRIMARY KEY (account_id, normal)
);

CREATE TYPE schedule_row_1 AS (id uuid, send_at timestamptz);
CREATE TYPE idempotency_row_1 AS (id uuid, account_id uuid, key text, digest bytea);
CREATE TYPE sandbox_row_1 AS (
    id uuid, submission_id uuid, claim integer, account_id uuid, sender text, recipients text[],
    delivered_to text[], header bytea, body bytea
);

-- Open work has what is scheduled, too: see 0001.
CREATE OR REPLACE FUNCTION open_work()
RETURNS TABLE (submission_id uuid, delivery_id uuid, rendition_id uuid) LANGUAGE sql STABLE AS $$
    SELECT id, NULL::uuid, NULL::uuid FROM due_submissions
    UNION ALL
    SELECT id, NULL, NULL FROM scheduled_submissions
    UNION ALL
    SELECT id, NULL, NULL FROM quarantined_submissions
    UNION ALL
    SELECT v.submission_id, v.id, v.rendition_id
    FROM (SELECT id FROM due_deliveries UNION ALL SELECT id FROM quarantined_deliveries) AS o
    CROSS JOIN LATERAL (SELECT * FROM deliveries v WHERE v.id = o.id OFFSET 0) AS v
$$;

CREATE OR REPLACE FUNCTION is_open(submission uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM due_submissions d WHERE d.id = submission)
        OR EXISTS (SELECT FROM scheduled_submissions d WHERE d.id = submission)
        OR EXISTS (SELECT FROM quarantined_submissions d WHERE d.id = submission)
        OR EXISTS (SELECT FROM deliveries v WHERE v.submission_id = submission
                   AND (EXISTS (SELECT FROM due_deliveries d WHERE d.id = v.id)
                        OR EXISTS (SELECT FROM quarantined_deliveries d WHERE d.id = v.id)))
$$;
