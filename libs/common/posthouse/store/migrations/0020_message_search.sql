-- migrate:up

-- Finding messages by what they are about: decision 0040.

-- By what messages are found. Who reads `submissions` for them compares once more: a key is a hash.
CREATE TABLE message_keys (
    key  bigint NOT NULL,  -- of `message_key`
    id   uuid NOT NULL     -- of the submission
) PARTITION BY RANGE (id);
CREATE INDEX message_keys_by_key ON message_keys (key, id);
CREATE TABLE message_keys_default PARTITION OF message_keys DEFAULT;

-- 1: the id of a credential, 2: a sender, 3: a recipient, 4: the id of an account, a blank and a tag.
CREATE FUNCTION message_key(kind bigint, value text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(lower(value COLLATE "C"), kind)
$$;

-- As history has them; rows of the past come in, too.
SELECT create_partition('message_keys', 'message_keys' || substr(p.name, 7), p.first, p.beyond)
FROM partitions_of('events') p;

INSERT INTO event_cursors
SELECT 'message_keys', incarnation, '0', '00000000-0000-0000-0000-000000000000' FROM witness;

-- Drops the partitions of keys whose time ended before a moment. What is open that long is found by
-- its id: to look which rows it needs would read all of them.
CREATE FUNCTION drop_message_keys(before timestamptz) RETURNS TABLE (partition text, octets bigint)
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
BEGIN
    FOR partition IN SELECT p.name FROM partitions_of('message_keys') p
                     WHERE p.beyond <= first_id_of(before) LOOP
        octets := pg_total_relation_size(partition::regclass);
        EXECUTE format('DROP TABLE %I', partition);
        RETURN NEXT;
    END LOOP;
END $$;
