-- migrate:up

-- What each place that looks at the installation found last: decision 0048.
CREATE TABLE examinations (
    program     text NOT NULL,
    host        text NOT NULL,  -- the machine's own name
    examined_at timestamptz NOT NULL DEFAULT now(),
    results     jsonb NOT NULL,
    PRIMARY KEY (program, host)
);

-- A server that was recovered to a point in time goes on upon a new timeline, and so does a standby
-- that takes over. Null where it cannot be told.
CREATE FUNCTION this_timeline() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT pg_is_in_recovery()
                THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer END
$$;
ALTER TABLE witness ADD COLUMN timeline integer;
UPDATE witness SET timeline = this_timeline();
