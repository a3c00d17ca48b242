-- migrate:up

-- An address on its way to the bounce list has an entry whose `expires_at` is '-infinity'. A soft one
-- ends at `expires_at`, and the next soft failure brings it back. `evidence->'bounces'` has the
-- failures that count: weight (hard, gone, soft), kind, answer, stage, rule, rules, delivery, at.
-- `normal` is '@' and a domain where an entry is for all addresses in it.

-- Every delivery looks whether it ends a count. There are few counts, so that this index is small and in
-- memory, however long the lists are.
CREATE INDEX suppressions_counted ON suppressions (account_id, normal)
    WHERE list = 'bounce' AND expires_at IS NOT NULL;

CREATE TYPE failure_row_1 AS (
    address text, normal text, reason text, rule text, version text, bounce jsonb,
    hard_limit integer, soft_limit integer, counted interval, soft_stay interval
);

-- Counts a failure against an address. 'hard' or 'soft' when this one put it on the bounce list. Takes a
-- row lock: who counts several at once does so in the order of (account, normal).
CREATE FUNCTION count_bounce(account uuid, delivery uuid, f failure_row_1) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    entry suppressions;
    bounces jsonb;
    hard bigint;
    soft bigint;
    listed text;
BEGIN
    INSERT INTO suppressions AS s (account_id, normal, list, address, reason, expires_at)
    VALUES (account, f.normal, 'bounce', f.address, '', '-infinity')
    ON CONFLICT (account_id, normal, list, scope) DO UPDATE SET address = EXCLUDED.address
    WHERE s.expires_at IS NOT NULL
    RETURNING * INTO entry;
    IF NOT FOUND THEN
        RETURN NULL;  -- it is on the list for good
    END IF;

    -- One for each delivery, of soft ones one for each day: there are never many.
    WITH known AS (
        SELECT b, b->>'weight' AS weight, (b->>'at')::timestamptz AS at
        FROM jsonb_array_elements(CASE jsonb_typeof(entry.evidence->'bounces')
            WHEN 'array' THEN entry.evidence->'bounces' ELSE '[]' END) AS b
        UNION ALL
        SELECT f.bounce || jsonb_build_object('delivery', delivery, 'at', now()),
               f.bounce->>'weight', now()
    ), each AS (
        SELECT DISTINCT ON (weight, CASE WHEN weight = 'soft' THEN (at AT TIME ZONE 'UTC')::date::text
                                         ELSE b->>'delivery' END) *
        FROM known WHERE at > now() - f.counted
        ORDER BY weight, CASE WHEN weight = 'soft' THEN (at AT TIME ZONE 'UTC')::date::text
                              ELSE b->>'delivery' END, at DESC
    )
    SELECT jsonb_agg(b ORDER BY at),
           count(*) FILTER (WHERE weight = 'hard')
               + CASE WHEN count(*) FILTER (WHERE weight = 'gone') > 1
                      THEN count(*) FILTER (WHERE weight = 'gone') ELSE 0 END,
           count(*) FILTER (WHERE weight = 'soft')
    INTO bounces, hard, soft FROM each;

    -- A soft entry that has ended without a delivery since comes back with one more failure.
    IF f.hard_limit > 0 AND f.bounce->>'weight' <> 'soft' AND hard >= f.hard_limit THEN
        listed := 'hard';
    ELSIF f.soft_limit > 0 AND f.bounce->>'weight' = 'soft' AND entry.expires_at <= now()
          AND (soft >= f.soft_limit OR entry.expires_at > now() - f.counted) THEN
        listed := 'soft';
    END IF;

    UPDATE suppressions s
    SET reason = f.reason, rule = f.rule, version = f.version, delivery_id = delivery,
        evidence = entry.evidence || jsonb_build_object('bounces', bounces),
        created_at = CASE WHEN listed IS NULL THEN s.created_at ELSE now() END,
        expires_at = CASE listed WHEN 'hard' THEN NULL WHEN 'soft' THEN now() + f.soft_stay
                                 ELSE s.expires_at END
    WHERE s.account_id = account AND s.normal = f.normal AND s.list = 'bounce' AND s.scope = '';
    RETURN listed;
END $$;

-- `normal` without `failure`: it was delivered to this address, which ends its count of bounces.
CREATE TYPE result_row_2 AS (
    id uuid, claim integer, wait interval, account_id uuid, submission_id uuid, kind text,
    detail jsonb, normal text, failure failure_row_1, attempted boolean, started_at timestamptz,
    outcome text, scope text, site text, host text, tls text, code smallint, enhanced text,
    reply text
);

-- What operators did, and who.
CREATE TABLE audit (
    id          uuid PRIMARY KEY DEFAULT new_id(),
    at          timestamptz NOT NULL DEFAULT now(),
    actor       text NOT NULL,
    action      text NOT NULL,
    account_id  uuid,
    detail      jsonb NOT NULL DEFAULT '{}'
);
