-- migrate:up

-- Time-ordered ids (RFC 9562 version 7). Rows that pile up are partitioned by the day in their id,
-- so that retention is a dropped partition and never a delete.
-- The 12 bits after the milliseconds hold their fraction (section 6.2, method 3), so that what one
-- statement writes sorts in the order it was written.
CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (overlay(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0')
                PLACING '7' FROM 13 FOR 0)
            || right(gen_random_uuid()::text, 17))::uuid
$$;

CREATE FUNCTION first_id_of(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || '00000000000000000000')::uuid
$$;

-- Who may send, and as whom.

-- The key of a parent may send for its children.
CREATE TABLE accounts (
    id          uuid PRIMARY KEY DEFAULT new_id(),
    parent_id   uuid REFERENCES accounts,
    name        text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX accounts_of_parent ON accounts (parent_id) WHERE parent_id IS NOT NULL;

-- Profiles of an account: a preset with some knobs changed. Inserted and never updated, so that a
-- submission can be explained by the revision it was accepted under.
CREATE TABLE profiles (
    account_id       uuid NOT NULL REFERENCES accounts,
    name             text NOT NULL,
    revision         integer NOT NULL,
    preset           text NOT NULL CHECK (preset <> name),
    preset_revision  integer NOT NULL,
    knobs            jsonb NOT NULL DEFAULT '{}',
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, name, revision)
);

CREATE TABLE credentials (
    id            uuid PRIMARY KEY DEFAULT new_id(),
    account_id    uuid NOT NULL REFERENCES accounts,
    username      text NOT NULL UNIQUE,
    secret_hash   bytea NOT NULL,
    profile       text NOT NULL DEFAULT 'native',  -- of the account, or a preset
    lane          smallint NOT NULL DEFAULT 3 CHECK (lane BETWEEN 1 AND 5),
    -- Lane 1 stops all other mail: it is given by name only.
    highest_lane  smallint NOT NULL DEFAULT 2 CHECK (highest_lane BETWEEN 1 AND 5),
    active        boolean NOT NULL DEFAULT true,
    note          text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- One row for each domain, so that there is one set of keys however many accounts may use it.
CREATE TABLE sending_domains (
    id                uuid PRIMARY KEY DEFAULT new_id(),
    name              text NOT NULL UNIQUE CHECK (name = lower(name)),
    return_path_host  text,
    verified_at       timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE domain_accounts (
    account_id  uuid NOT NULL REFERENCES accounts,
    domain_id   uuid NOT NULL REFERENCES sending_domains ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, domain_id)
);

-- Only active keys sign. A published one waits for its DNS record to be seen everywhere; a retired
-- one signs no more, and its record stays until the mail it signed has arrived.
CREATE TABLE dkim_keys (
    domain_id     uuid NOT NULL REFERENCES sending_domains ON DELETE CASCADE,
    selector      text NOT NULL,
    algorithm     text NOT NULL CHECK (algorithm IN ('rsa-sha256', 'ed25519-sha256')),
    sealed        bytea NOT NULL,
    record        text NOT NULL,
    state         text NOT NULL CHECK (state IN ('published', 'active', 'retired')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    activated_at  timestamptz,
    retired_at    timestamptz,
    PRIMARY KEY (domain_id, selector)
);

-- Derived from the secret key of the installation: says whether a program has the right one.
CREATE TABLE secret_check (
    one_row  boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    value    bytea NOT NULL
);

-- Whom an account does not mail. `normal` is the form in which addresses are compared
-- (`posthouse.mail.address.normal_form`); scope '' is the whole account, any other text what the
-- list is about, such as a stream or a tag. An entry whose time has come does not count.
CREATE TABLE suppressions (
    account_id   uuid NOT NULL REFERENCES accounts,
    normal       text NOT NULL,
    list         text NOT NULL CHECK (list IN ('bounce', 'complaint', 'unsubscribe', 'manual')),
    scope        text NOT NULL DEFAULT '',
    address      text NOT NULL,  -- as it was seen
    reason       text NOT NULL,
    evidence     jsonb NOT NULL DEFAULT '{}',
    rule         text NOT NULL DEFAULT '',  -- that decided so,
    version      text NOT NULL DEFAULT '',  -- and the version of the rules
    delivery_id  uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    PRIMARY KEY (account_id, normal, list, scope)
);

-- What came in, what was decided, what happened: written once, never updated.

CREATE TABLE contents (
    id      uuid PRIMARY KEY,
    header  bytea NOT NULL,
    body    bytea NOT NULL
) PARTITION BY RANGE (id);
ALTER TABLE contents ALTER COLUMN header SET STORAGE EXTERNAL;
ALTER TABLE contents ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE submissions (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL,
    credential_id  uuid NOT NULL,
    profile        text NOT NULL,
    lane           smallint NOT NULL,
    sender         text NOT NULL,
    recipients     text[] NOT NULL,
    smtputf8       boolean NOT NULL,
    client         text NOT NULL,
    helo           text NOT NULL,
    tls            text NOT NULL,
    size              integer NOT NULL,
    profile_revision  integer NOT NULL DEFAULT 1,
    attributes        jsonb  -- tags, metadata, stream, flags, campaign; null when it has none
) PARTITION BY RANGE (id);

CREATE TABLE renditions (
    id             uuid PRIMARY KEY,
    submission_id  uuid NOT NULL,
    header         bytea NOT NULL,
    body           bytea
) PARTITION BY RANGE (id);
ALTER TABLE renditions ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE deliveries (
    id             uuid PRIMARY KEY,
    submission_id  uuid NOT NULL,
    account_id     uuid NOT NULL,
    rendition_id   uuid NOT NULL,
    lane           smallint NOT NULL,
    recipient      text NOT NULL,
    return_path    text NOT NULL,
    kind           text NOT NULL DEFAULT 'to',  -- to, cc, bcc or archive
    site           text NOT NULL DEFAULT ''     -- '' until it is known
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_of_submission ON deliveries (submission_id);

CREATE TABLE attempts (
    delivery_id  uuid NOT NULL,
    claim        integer NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz NOT NULL DEFAULT now(),
    outcome      text NOT NULL,
    scope        text,
    site         text NOT NULL DEFAULT '',
    host         text NOT NULL DEFAULT '',
    tls          text NOT NULL DEFAULT '',
    code         smallint NOT NULL,
    enhanced     text,
    reply        text NOT NULL,
    PRIMARY KEY (delivery_id, claim)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE events (
    id             uuid PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT now(),
    account_id     uuid NOT NULL,
    submission_id  uuid NOT NULL,
    delivery_id    uuid,
    kind           text NOT NULL,
    detail         jsonb
) PARTITION BY RANGE (id);
CREATE INDEX events_of_submission ON events (submission_id);

-- What is still to be done: one slim row per open item, deleted when it is final. `due_at` says
-- when somebody should look at the row again: now, at the next attempt, or when a lease runs out.
-- A held row waits for the operator: no claim takes it, and it keeps no lane waiting.

CREATE TABLE due_submissions (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    lane         smallint NOT NULL,
    size         integer NOT NULL,  -- octets of the message: a claim is limited by them
    due_at       timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    claim        integer NOT NULL DEFAULT 0,
    leased       boolean NOT NULL DEFAULT false,
    held         boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX due_submissions_ready ON due_submissions (lane, due_at) WHERE NOT held;

CREATE TABLE due_deliveries (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    lane         smallint NOT NULL,
    size         integer NOT NULL,
    due_at       timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    claim        integer NOT NULL DEFAULT 0,  -- fencing: a result counts only under its own claim
    tries        integer NOT NULL DEFAULT 0,  -- attempts that had a result
    leased       boolean NOT NULL DEFAULT false,
    held         boolean NOT NULL DEFAULT false,
    claimed_at   timestamptz,
    abandoned    integer NOT NULL DEFAULT 0,  -- claims in a row, before this one, without a result
    site         text NOT NULL DEFAULT '',    -- '' until it is known
    parked_at    text                         -- the site whose limit it waits for, or null
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX due_deliveries_ready ON due_deliveries (lane, due_at)
    WHERE parked_at IS NULL AND NOT held;
CREATE INDEX due_deliveries_leased ON due_deliveries (lane, claimed_at) WHERE leased AND NOT held;
CREATE INDEX due_deliveries_parked ON due_deliveries (parked_at, lane, due_at)
    WHERE parked_at IS NOT NULL AND NOT held;

-- What nobody works on until somebody decides, and why: a submission that policy could not process,
-- a delivery that took its dispatcher with it, all that was open in a database that was restored.

CREATE TABLE shelved_submissions (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    lane         smallint NOT NULL,
    size         integer NOT NULL,
    received_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    held         boolean NOT NULL,
    reason       text NOT NULL,
    shelved_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shelved_deliveries (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    submission_id  uuid,  -- null when the delivery itself is past its retention
    lane         smallint NOT NULL,
    size         integer NOT NULL,
    received_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    claim        integer NOT NULL,
    tries        integer NOT NULL,
    site         text NOT NULL,
    held         boolean NOT NULL,
    reason       text NOT NULL,
    shelved_at   timestamptz NOT NULL DEFAULT now()
);

-- Which database this is. A restored one says so by being another: what was open in it may have
-- been sent since it was saved. It does not see that a whole server was put back.

CREATE TABLE witness (
    database  text NOT NULL,
    folder    text  -- of the server's data, where we run it ourselves
);

CREATE FUNCTION this_database() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    cluster text := '';
BEGIN
    -- Not everybody may ask on every server.
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        SELECT system_identifier INTO cluster FROM pg_control_system();
    END IF;
    RETURN concat_ws('/', cluster,
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'witness'::regclass::oid);
END $$;

INSERT INTO witness (database) VALUES (this_database());

-- The latest time that this database has seen: when its clock says less, it was set back.

CREATE TABLE clock (seen timestamptz NOT NULL);
INSERT INTO clock VALUES (now());

-- Days of partitions: created ahead, dropped when their retention has passed. Both need a moment
-- without readers: rather than let all mail queue up behind a dump that runs for hours, they give
-- up and are tried again later.

-- Ids of a clock that was far off still find a place.
CREATE TABLE contents_default PARTITION OF contents DEFAULT;
CREATE TABLE submissions_default PARTITION OF submissions DEFAULT;
CREATE TABLE renditions_default PARTITION OF renditions DEFAULT;
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- Rows of that day that a clock ahead of its time put into the default partition move over. False
-- when they are too many to move in a moment: that day stays where it is.
CREATE FUNCTION create_partition(parent text, day date) RETURNS boolean LANGUAGE plpgsql
SET lock_timeout = '500ms' AS $$
DECLARE
    partition text := parent || to_char(day, '"_"YYYYMMDD');
    fallback text := parent || '_default';
    key text := CASE parent WHEN 'attempts' THEN 'delivery_id' ELSE 'id' END;
    first uuid := first_id_of(day::timestamp AT TIME ZONE 'UTC');
    beyond uuid := first_id_of((day + 1)::timestamp AT TIME ZONE 'UTC');
    strays integer;
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE %I >= $1 AND %2$I < $2 LIMIT 1001) s',
        fallback, key) INTO strays USING first, beyond;
    IF strays > 1000 THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
    IF strays > 0 THEN
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', fallback);
        EXECUTE format('WITH strays AS (DELETE FROM %I WHERE %I >= $1 AND %2$I < $2 RETURNING *)
                        INSERT INTO %I SELECT * FROM strays', fallback, key, partition)
            USING first, beyond;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, partition, first, beyond);
    RETURN true;
END $$;

CREATE FUNCTION drop_partition(partition text) RETURNS void LANGUAGE plpgsql
SET lock_timeout = '500ms' AS $$
BEGIN
    EXECUTE format('DROP TABLE %I', partition);
END $$;

SELECT create_partition(parent, (now() AT TIME ZONE 'UTC')::date + ahead)
FROM unnest(ARRAY['contents', 'submissions', 'renditions', 'deliveries', 'attempts', 'events'])
    AS parent, generate_series(-2, 7) AS ahead;
