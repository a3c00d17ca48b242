-- migrate:up

-- A dispatcher of a version before 0029 takes a rendition without a body for the submitted body, and would
-- send that under the signature of another: decision 0049. So a delivery of a rendition with edits is not
-- claimed by a session that does not say `posthouse.schema` (`posthouse.store.postgres`): instead the body
-- is written whole, and the next claim has it. No version after the next one needs this.
CREATE FUNCTION unsigned_at(octets bytea, place integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || encode(substr(octets, place, 4), 'hex'))::bit(32)::bigint
$$;

-- As posthouse.mail.body_edits.with_packed.
CREATE FUNCTION with_edits(body bytea, edits bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    common bytea := substr(edits, 5, unsigned_at(edits, 1)::integer);
    place integer := 5 + octet_length(common);
    rest integer := 1;  -- where what is left of the body begins
    first integer;
    length bigint;
    made bytea := '';
BEGIN
    WHILE place <= octet_length(edits) LOOP
        first := 1 + unsigned_at(edits, place)::integer;
        length := unsigned_at(edits, place + 8);
        made := made || substr(body, rest, first - rest);
        rest := first + unsigned_at(edits, place + 4)::integer;
        IF length >= 1::bigint << 31 THEN
            made := made || common;
            length := length - (1::bigint << 31);
        END IF;
        made := made || substr(edits, place + 12, length::integer);
        place := place + 12 + length::integer;
    END LOOP;
    RETURN made || substr(body, rest);
END $$;

-- As the statement sees it that claims: it is STABLE, so that what another claim is writing, or an earlier
-- row of the same one has written, does not count, since the statement will not read it.
CREATE FUNCTION is_stored_as_edits(delivery uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM deliveries v JOIN renditions r ON r.id = v.rendition_id
                   WHERE v.id = delivery AND r.edits IS NOT NULL);
END $$;

CREATE FUNCTION write_body_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE renditions r SET body = with_edits(c.body, r.edits), edits = NULL
    FROM contents c
    WHERE c.id = r.submission_id AND r.id = (
        SELECT r.id FROM deliveries v JOIN renditions r ON r.id = v.rendition_id
        WHERE v.id = NEW.id AND r.edits IS NOT NULL FOR UPDATE OF r SKIP LOCKED);
    RETURN NULL;
END $$;

CREATE TRIGGER older_dispatcher BEFORE UPDATE OF claim ON due_deliveries FOR EACH ROW
WHEN (NEW.claim > OLD.claim AND COALESCE(current_setting('posthouse.schema', true), '') = ''
      AND is_stored_as_edits(NEW.id))
EXECUTE FUNCTION write_body_whole();
