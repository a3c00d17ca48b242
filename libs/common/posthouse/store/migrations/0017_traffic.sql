-- migrate:up

-- What reports count, for years: decision 0039.

-- Messages that reports do not tell apart. What clients choose is null where it is not told apart, since
-- an account and day would have too many sets (`posthouse.traffic.message_set`), or came before this version.
CREATE TABLE message_sets (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     uuid NOT NULL,
    month          date NOT NULL,   -- of its counts: the first day, in UTC
    digest         bytea NOT NULL,  -- of what follows, but for the time
    stream         text NOT NULL,
    domain         text NOT NULL,  -- of the sender
    credential_id  uuid,
    lane           smallint,
    tags           text[],
    subject        text,
    pattern        text,  -- of the subject
    author         text,
    author_name    text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, month, digest)
);
CREATE INDEX message_sets_by_time ON message_sets (account_id, created_at);

-- What became of a set in the quarter of an hour that began then, by provider of the recipient and class
-- of the answer ('' where there is none).
CREATE TABLE traffic_counts (
    account_id       uuid NOT NULL,
    began_at         timestamptz NOT NULL,
    set_id           integer NOT NULL,
    provider         text NOT NULL,
    class            text NOT NULL,
    accepted         integer NOT NULL DEFAULT 0,
    recipients       integer NOT NULL DEFAULT 0,
    delivered        integer NOT NULL DEFAULT 0,
    deferred         integer NOT NULL DEFAULT 0,
    hard             integer NOT NULL DEFAULT 0,
    soft             integer NOT NULL DEFAULT 0,
    expired          integer NOT NULL DEFAULT 0,
    suppressed       integer NOT NULL DEFAULT 0,
    complained       integer NOT NULL DEFAULT 0,
    unsubscribed     integer NOT NULL DEFAULT 0,
    resubscribed     integer NOT NULL DEFAULT 0,
    opened_human     integer NOT NULL DEFAULT 0,
    opened_machine   integer NOT NULL DEFAULT 0,
    opened_unknown   integer NOT NULL DEFAULT 0,
    clicked_human    integer NOT NULL DEFAULT 0,
    clicked_machine  integer NOT NULL DEFAULT 0,
    clicked_unknown  integer NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, began_at, set_id, provider, class)
) WITH (fillfactor = 90);
CREATE INDEX traffic_counts_by_time ON traffic_counts USING brin (began_at);

-- The newest refusal of each class at each provider.
CREATE TABLE refusal_samples (
    account_id     uuid NOT NULL,
    provider       text NOT NULL,
    class          text NOT NULL,
    at             timestamptz NOT NULL,
    submission_id  uuid NOT NULL,
    reply          text NOT NULL,
    PRIMARY KEY (account_id, provider, class)
);

CREATE TYPE message_set_row_1 AS (
    account_id uuid, month date, digest bytea, stream text, domain text, credential_id uuid, lane smallint,
    tags text[], subject text, pattern text, author text, author_name text
);
CREATE TYPE traffic_row_1 AS (
    account_id uuid, began_at timestamptz, set_id integer, provider text, class text,
    accepted integer, recipients integer, delivered integer, deferred integer, hard integer,
    soft integer, expired integer, suppressed integer, complained integer, unsubscribed integer,
    resubscribed integer, opened_human integer, opened_machine integer, opened_unknown integer,
    clicked_human integer, clicked_machine integer, clicked_unknown integer
);
CREATE TYPE refusal_row_1 AS (
    account_id uuid, provider text, class text, at timestamptz, submission_id uuid, reply text
);

-- What was counted before, by hours and without what is null above. One statement: the position from
-- which on events are counted is the one up to which these were.
WITH before AS MATERIALIZED (
    SELECT *, decode(md5(concat_ws('/', stream, domain)), 'hex') AS digest,
           date_trunc('month', began_at, 'UTC')::date AS month
    FROM account_statistics
), sets AS (
    INSERT INTO message_sets (account_id, month, digest, stream, domain)
    SELECT DISTINCT account_id, month, digest, stream, domain FROM before
    RETURNING id, account_id, month, digest
), counted AS (
    INSERT INTO traffic_counts (account_id, began_at, set_id, provider, class, accepted, recipients,
                                delivered, deferred, hard, soft, expired, complained, unsubscribed)
    SELECT b.account_id, date_bin('15 minutes', b.began_at, '2000-01-01 00:00:00+00'), s.id,
           CASE b.kind WHEN 'accepted' THEN '' ELSE b.provider END, b.class,
           COALESCE(sum(count) FILTER (WHERE kind = 'accepted'), 0), 0,
           COALESCE(sum(count) FILTER (WHERE kind = 'delivered'), 0),
           COALESCE(sum(count) FILTER (WHERE kind = 'deferred'), 0),
           COALESCE(sum(count) FILTER (WHERE kind = 'bounced' AND is_hard), 0),
           COALESCE(sum(count) FILTER (WHERE kind = 'bounced' AND NOT is_hard), 0),
           COALESCE(sum(count) FILTER (WHERE kind = 'expired'), 0),
           COALESCE(sum(count) FILTER (WHERE kind = 'complained'), 0),
           COALESCE(sum(count) FILTER (WHERE kind = 'unsubscribed'), 0)
    FROM before b
    JOIN sets s ON (s.account_id, s.month, s.digest) = (b.account_id, b.month, b.digest)
    CROSS JOIN LATERAL (SELECT b.class IN ('no such mailbox', 'domain gone') AS is_hard) h
    GROUP BY 1, 2, 3, 4, 5
)
INSERT INTO event_cursors SELECT 'traffic', incarnation, xid, id FROM event_cursors
WHERE reader = 'statistics';
