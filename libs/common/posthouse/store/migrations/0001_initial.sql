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

-- History: what came in, what was decided, what happened. Inserted and never updated.

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

-- Followed in the order of (xid, id) within one incarnation: see `posthouse.store.event_feed`.
CREATE TABLE events (
    id             uuid PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT now(),
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    incarnation    smallint NOT NULL DEFAULT 1,  -- of the database; a restore counts it up
    account_id     uuid NOT NULL,
    submission_id  uuid NOT NULL,
    delivery_id    uuid,
    kind           text NOT NULL,
    detail         jsonb
) PARTITION BY RANGE (id);
CREATE INDEX events_of_submission ON events (submission_id);
CREATE INDEX events_by_commit ON events (xid, id);

-- Open work: one slim row for each open item, deleted when it is final. `due_at` is when a worker may
-- claim the row: now, at the next attempt, or when a lease runs out. A held row waits for the
-- operator: no claim takes it, and it keeps no lane waiting.

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
    parked_at    text                         -- the limit it waits for: a site's, or one of octets
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX due_deliveries_ready ON due_deliveries (lane, due_at)
    WHERE parked_at IS NULL AND NOT held;
CREATE INDEX due_deliveries_leased ON due_deliveries (lane, claimed_at) WHERE leased AND NOT held;
-- Suspects: deliveries that may end the process that tries them. There are few at any time.
CREATE INDEX due_deliveries_suspects ON due_deliveries (lane, due_at)
    WHERE leased AND abandoned >= 1 AND NOT held;
CREATE INDEX due_deliveries_parked ON due_deliveries (parked_at, lane, due_at)
    WHERE parked_at IS NOT NULL AND NOT held;
CREATE INDEX due_deliveries_parked_expiry ON due_deliveries (expires_at)
    WHERE parked_at IS NOT NULL AND NOT held;

-- Quarantine: mail that waits until the operator decides, and why. A submission that policy could not
-- process, a delivery that ended its dispatcher each time, all open mail of a restored database.

CREATE TABLE quarantined_submissions (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    lane         smallint NOT NULL,
    size         integer NOT NULL,
    received_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    held         boolean NOT NULL,
    reason       text NOT NULL,
    quarantined_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE quarantined_deliveries (
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
    quarantined_at   timestamptz NOT NULL DEFAULT now()
);

-- Rows that statements take, an array for each kind of row. The version before uses a type as long
-- as it runs: a statement that needs another column gets a new type with the next number.

CREATE TYPE accept_row_1 AS (
    id uuid, account_id uuid, credential_id uuid, profile text, profile_revision integer,
    lane smallint, sender text, recipients text[], smtputf8 boolean, client text, helo text,
    tls text, size integer, attributes jsonb, handed boolean
);
CREATE TYPE content_row_1 AS (id uuid, header bytea, body bytea);
CREATE TYPE claim_row_1 AS (id uuid, claim integer);
CREATE TYPE park_row_1 AS (id uuid, claim integer, site text);
CREATE TYPE rendition_row_1 AS (id uuid, submission_id uuid, header bytea, body bytea);
CREATE TYPE delivery_row_1 AS (
    id uuid, submission_id uuid, rendition_id uuid, recipient text, kind text, return_path text,
    site text, size integer, handed boolean
);
CREATE TYPE event_row_1 AS (account_id uuid, submission_id uuid, kind text, detail jsonb);
CREATE TYPE result_row_1 AS (
    id uuid, claim integer, wait interval, account_id uuid, submission_id uuid, kind text,
    detail jsonb, address text, normal text, attempted boolean, started_at timestamptz,
    outcome text, scope text, site text, host text, tls text, code smallint, enhanced text,
    reply text
);
CREATE TYPE domain_row_1 AS (account_id uuid, name text);
CREATE TYPE address_row_1 AS (account_id uuid, normal text);
CREATE TYPE profile_row_1 AS (account_id uuid, name text, revision integer);

-- Which database this is. A restored one finds that it is another: mail that is open in it may have
-- been sent since it was saved. That the files of a whole server were put back cannot be seen here.

CREATE TABLE witness (
    database     text NOT NULL,
    folder       text,  -- of the server's data, where we run it ourselves
    incarnation  uuid NOT NULL DEFAULT gen_random_uuid(),
    number       smallint NOT NULL DEFAULT 1  -- of the incarnation, as events have it
);

-- Transactions of a restored database have lower numbers than those it was saved with: what is
-- written from now on must not be mixed up with what came with the backup.
CREATE FUNCTION begin_incarnation() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next smallint;
BEGIN
    UPDATE witness SET incarnation = gen_random_uuid(), number = number + 1
    RETURNING number INTO next;
    EXECUTE format('ALTER TABLE events ALTER COLUMN incarnation SET DEFAULT %s', next);
END $$;

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

-- The latest time that was noted: if the clock says less, it was set back.

CREATE TABLE clock (seen timestamptz NOT NULL);
INSERT INTO clock VALUES (now());

-- Partitions. Bodies (contents, renditions) and history (the other four) are cut by the time in their
-- id, by the hour, day or week: see posthouse.store.retention. Adding or dropping a partition needs
-- an exclusive lock for a moment. Rather than let mail queue up behind a dump that runs for hours,
-- these functions give up after half a second, and housekeeping tries again later.
--
-- A default partition takes what has no other place: rows whose id comes from a clock that is far
-- off, and rows that open work still needs, moved out of partitions that were dropped.

CREATE TABLE contents_default PARTITION OF contents DEFAULT;
CREATE TABLE submissions_default PARTITION OF submissions DEFAULT;
CREATE TABLE renditions_default PARTITION OF renditions DEFAULT;
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
CREATE TABLE events_default PARTITION OF events DEFAULT;

CREATE FUNCTION time_of_id(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
$$;

CREATE FUNCTION partition_key(parent text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE parent WHEN 'attempts' THEN 'delivery_id' ELSE 'id' END
$$;

-- All partitions of a table but the default one, oldest first.
CREATE FUNCTION partitions_of(parent text)
RETURNS TABLE (name text, first uuid, beyond uuid) LANGUAGE sql STABLE AS $$
    SELECT c.relname::text, bounds[1]::uuid, bounds[2]::uuid
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
        LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$'(.*)'.*'(.*)'$re$) AS bounds
    WHERE i.inhparent = parent::regclass AND bounds IS NOT NULL
    ORDER BY 2
$$;

-- Rows of that range in the default partition move over. False, and no partition, when they are more
-- than can be moved in a moment: they stay in the default partition, which is swept.
CREATE FUNCTION create_partition(parent text, name text, first uuid, beyond uuid) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    fallback text := parent || '_default';
    key text := partition_key(parent);
    strays integer;
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE %I >= $1 AND %2$I < $2 LIMIT 1001) s',
        fallback, key) INTO strays USING first, beyond;
    IF strays > 1000 THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, parent);
    IF parent IN ('contents', 'renditions') THEN
        -- Bodies are written once and dropped: to vacuum them would only read them all once more.
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)',
            name);
    END IF;
    IF strays > 0 THEN
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', fallback);
        EXECUTE format('WITH strays AS (DELETE FROM %I WHERE %I >= $1 AND %2$I < $2 RETURNING *)
                        INSERT INTO %I SELECT * FROM strays', fallback, key, name)
            USING first, beyond;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, name, first, beyond);
    RETURN true;
END $$;

-- Adds what is missing for this unit of time ('hour', 'day', 'week') and for the next *ahead* ones. Where the
-- unit has changed, a new partition begins where the last one of the old unit ends.
CREATE FUNCTION add_partitions(parent text, unit text, ahead integer)
RETURNS TABLE (partition text, made boolean) LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    step interval := ('1 ' || unit)::interval;
    this timestamptz := date_trunc(unit, now());
    slot timestamptz;
    begin_id uuid;
    end_id uuid;
BEGIN
    FOR slot IN SELECT generate_series(this, this + ahead * step, step) LOOP
        end_id := first_id_of(slot + step);
        begin_id := COALESCE((SELECT p.beyond FROM partitions_of(parent) p
                              WHERE p.first < end_id AND p.beyond > first_id_of(slot)
                              ORDER BY p.beyond DESC LIMIT 1), first_id_of(slot));
        CONTINUE WHEN begin_id >= end_id;
        partition := parent || to_char(time_of_id(begin_id), '"_"YYYYMMDD"_"HH24');
        made := create_partition(parent, partition, begin_id, end_id);
        RETURN NEXT;
    END LOOP;
END $$;

-- What is not finished: submissions that policy has not prepared, and deliveries without a result,
-- whether they are due, wait, or are quarantined.
CREATE FUNCTION open_work() RETURNS TABLE (submission_id uuid, delivery_id uuid, rendition_id uuid)
LANGUAGE sql STABLE AS $$
    SELECT id, NULL::uuid, NULL::uuid FROM due_submissions
    UNION ALL
    SELECT id, NULL, NULL FROM quarantined_submissions
    UNION ALL
    SELECT v.submission_id, v.id, v.rendition_id
    FROM (SELECT id FROM due_deliveries UNION ALL SELECT id FROM quarantined_deliveries) AS o
    CROSS JOIN LATERAL (SELECT * FROM deliveries v WHERE v.id = o.id OFFSET 0) AS v
$$;

CREATE FUNCTION is_open(submission uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM due_submissions d WHERE d.id = submission)
        OR EXISTS (SELECT FROM quarantined_submissions d WHERE d.id = submission)
        OR EXISTS (SELECT FROM deliveries v WHERE v.submission_id = submission
                   AND (EXISTS (SELECT FROM due_deliveries d WHERE d.id = v.id)
                        OR EXISTS (SELECT FROM quarantined_deliveries d WHERE d.id = v.id)))
$$;

-- Drops the partitions whose time ended *before* a moment, oldest first. Rows that open work needs
-- move to the default partition; a partition stays while more rows or octets than given would have
-- to move. With *early* a partition goes once its time has begun, and an empty one takes its place.
--
-- No row that is needed can be missed. While we look, a SHARE lock keeps new rows out, and finished
-- work never opens again: so open work needs at the drop no more than it needed when we looked.
-- Readers take their snapshot after their locks: they find a row here, or in the default partition.
CREATE FUNCTION retire_partitions(
    parent text, before timestamptz, early boolean, most_rows bigint, most_octets bigint
) RETURNS TABLE (partition text, octets bigint, open_rows bigint, dropped boolean)
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    key text := partition_key(parent);
    -- Events are needed for the submission that they tell about.
    owner text := CASE parent WHEN 'events' THEN 'submission_id' ELSE key END;
    owned_by text := CASE WHEN parent IN ('deliveries', 'attempts') THEN 'delivery_id'
        WHEN parent = 'renditions' THEN 'rendition_id' ELSE 'submission_id' END;
    size_of text := CASE parent WHEN 'contents' THEN 'octet_length(header) + octet_length(body)'
        WHEN 'renditions' THEN 'octet_length(header) + COALESCE(octet_length(body), 0)'
        ELSE '0' END;
    bound uuid := first_id_of(before);
    now_id uuid := first_id_of(now());
    ended text[] := ARRAY(SELECT p.name FROM partitions_of(parent) p WHERE p.beyond <= bound
        OR early AND p.first < bound AND pg_total_relation_size(p.name::regclass) > 1000000);
    needed uuid[];
    here uuid[];
    moving uuid[] := '{}';
    leaf record;
    size bigint;
BEGIN
    IF ended = '{}' OR NOT pg_try_advisory_xact_lock(hashtext(parent)) THEN
        RETURN;
    END IF;
    IF early THEN
        EXECUTE format('LOCK TABLE ONLY %I IN SHARE MODE', parent);
    ELSE
        EXECUTE (SELECT 'LOCK TABLE ' || string_agg(quote_ident(n), ', ') || ' IN SHARE MODE'
                 FROM unnest(ended) AS n);
    END IF;
    EXECUTE format('SELECT array_agg(DISTINCT %I) FROM open_work() WHERE %1$I IS NOT NULL', owned_by)
        INTO needed;
    FOR leaf IN SELECT * FROM partitions_of(parent) p WHERE p.name = ANY(ended) LOOP
        here := CASE parent WHEN 'events' THEN needed ELSE
            ARRAY(SELECT n FROM unnest(needed) AS n WHERE n >= leaf.first AND n < leaf.beyond) END;
        EXECUTE format('SELECT count(*), COALESCE(sum(%s), 0)
                        FROM (SELECT * FROM %I WHERE %I = ANY($1) LIMIT $2 + 1) s',
            size_of, leaf.name, owner) INTO open_rows, size USING here, most_rows;
        partition := leaf.name;
        octets := pg_total_relation_size(leaf.name::regclass);
        dropped := open_rows <= most_rows AND size <= most_octets;
        IF dropped THEN
            most_rows := most_rows - open_rows;
            most_octets := most_octets - size;
            moving := moving || here;
        ELSE
            ended := array_remove(ended, leaf.name);
        END IF;
        RETURN NEXT;
    END LOOP;
    FOR leaf IN SELECT * FROM partitions_of(parent) p WHERE p.name = ANY(ended) LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, leaf.name);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', leaf.name, leaf.name || '_old');
        IF leaf.beyond > now_id THEN
            PERFORM create_partition(parent, leaf.name, leaf.first, leaf.beyond);
        END IF;
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY($1)',
            parent, leaf.name || '_old', owner) USING moving;
        EXECUTE format('DROP TABLE %I', leaf.name || '_old');
        EXECUTE format('DROP TABLE IF EXISTS %I', leaf.name || '_thin');
    END LOOP;
END $$;

-- Gives back the room of a partition of bodies that open work needs too much of to move at once. What
-- is needed is copied to a table beside it, *most_rows* at a time, while all goes on. With the last
-- of them that table takes the place of the partition. Whether it did; null where more than a
-- quarter is needed, so that little would be won.
CREATE FUNCTION thin_partition(parent text, name text, most_rows integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    thin text := name || '_thin';
    leaf record;
    needed uuid[];
    missing uuid[];
    present bigint;
BEGIN
    SELECT p.first, p.beyond INTO leaf FROM partitions_of(parent) p WHERE p.name = thin_partition.name;
    IF leaf.first IS NULL OR NOT pg_try_advisory_xact_lock(hashtext(parent)) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', name);  -- as in retire_partitions
    EXECUTE format('SELECT array_agg(DISTINCT %I) FROM open_work() WHERE %1$I >= $1 AND %1$I < $2',
        CASE parent WHEN 'contents' THEN 'submission_id' ELSE 'rendition_id' END)
        INTO needed USING leaf.first, leaf.beyond;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I LIMIT $1) s', name)
        INTO present USING 4 * cardinality(needed);
    IF present < 4 * cardinality(needed) THEN
        RETURN NULL;
    END IF;
    IF to_regclass(thin) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (id >= %L AND id < %L))
            WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)',
            thin, parent, leaf.first, leaf.beyond);
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT n FROM unnest($1) AS n
                    WHERE NOT EXISTS (SELECT FROM %I t WHERE t.id = n))', thin)
        INTO missing USING needed;
    IF cardinality(missing) > most_rows THEN
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE id = ANY($1)', thin, name)
            USING missing[1:most_rows];
        RETURN false;
    END IF;
    EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE id = ANY($1)', thin, name) USING missing;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, name);
    EXECUTE format('DROP TABLE %I', name);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', thin, name);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, name, leaf.first, leaf.beyond);
    RETURN true;
END $$;

-- Looks at up to *most_rows* of a default partition, from the key *after* on, and deletes those whose
-- submission has no open work and no event since a moment. Whether there is more, and from where on.
CREATE FUNCTION sweep_default(parent text, after uuid, most_rows integer, since timestamptz)
RETURNS TABLE (last uuid, looked bigint, deleted bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH batch AS (
            SELECT tableoid, ctid, %2$I AS key, %3$s AS submission FROM %1$I AS r
            WHERE %2$I >= $1 ORDER BY %2$I LIMIT $2
        ), gone AS (
            DELETE FROM %1$I AS r WHERE r.ctid = ANY(ARRAY(
                SELECT b.ctid FROM batch b WHERE NOT is_open(b.submission) AND NOT EXISTS (
                    SELECT FROM events e WHERE e.submission_id = b.submission AND e.at > $3)))
            RETURNING 1
        )
        SELECT (SELECT key FROM batch ORDER BY key DESC LIMIT 1), (SELECT count(*) FROM batch),
               (SELECT count(*) FROM gone)$q$,
        parent || '_default', partition_key(parent),
        CASE WHEN parent IN ('contents', 'submissions') THEN 'id'
             WHEN parent = 'attempts'
             THEN '(SELECT v.submission_id FROM deliveries v WHERE v.id = r.delivery_id)'
             ELSE 'submission_id' END)
        USING after, most_rows, since;
END $$;

SELECT add_partitions(parent, unit, ahead)
FROM (VALUES ('contents', 'hour', 4), ('renditions', 'hour', 4), ('submissions', 'week', 1),
             ('deliveries', 'week', 1), ('attempts', 'week', 1), ('events', 'week', 1))
    AS t(parent, unit, ahead);
