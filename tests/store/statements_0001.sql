-- Statements of version 0.1.0 with migration 0001 that read and write suppressions.

-- name: settle_deliveries
-- A result without a wait is final and deletes its row. A result under a lost claim, or under one
-- that has its result already, changes nothing.
WITH input AS (
    SELECT * FROM unnest($1::result_row_1[])
), gone AS (
    DELETE FROM due_deliveries d USING input i
    WHERE d.id = ANY(ARRAY(SELECT id FROM unnest($1))) AND d.id = i.id AND CASE WHEN d.leased THEN d.claim END = i.claim
      AND i.wait IS NULL
    RETURNING d.id
), kept AS (
    UPDATE due_deliveries d
    SET leased = false, tries = d.tries + 1,
        -- Look at it when it expires, if that is before the next try.
        due_at = CASE WHEN d.expires_at BETWEEN now() AND now() + i.wait THEN d.expires_at
                      ELSE now() + i.wait END
    FROM input i
    WHERE d.id = ANY(ARRAY(SELECT id FROM unnest($1))) AND d.id = i.id AND CASE WHEN d.leased THEN d.claim END = i.claim
      AND i.wait IS NOT NULL
    RETURNING d.id
), done AS (
    SELECT i.* FROM input i WHERE i.id IN (SELECT id FROM gone UNION ALL SELECT id FROM kept)
), attempted AS (
    INSERT INTO attempts (delivery_id, claim, started_at, outcome, scope, site, host, tls, code,
                          enhanced, reply)
    SELECT id, claim, started_at, outcome, scope, site, host, tls, code, enhanced, reply
    FROM done WHERE attempted
    ON CONFLICT DO NOTHING
), suppressed AS (
    INSERT INTO suppressions (account_id, normal, list, address, reason, delivery_id, evidence,
                              rule, version)
    SELECT DISTINCT ON (account_id, normal) account_id, normal, 'bounce', address, 'bounced', id,
           detail, COALESCE(detail->>'rule', ''), COALESCE(detail->>'rules', '')
    FROM done WHERE normal IS NOT NULL
    -- Always in this order: two batches that name the same addresses must not wait for each other.
    ORDER BY account_id, normal
    ON CONFLICT (account_id, normal, list, scope) DO UPDATE
    SET address = EXCLUDED.address, reason = EXCLUDED.reason, delivery_id = EXCLUDED.delivery_id,
        evidence = EXCLUDED.evidence, rule = EXCLUDED.rule, version = EXCLUDED.version,
        created_at = now(), expires_at = NULL
    WHERE suppressions.expires_at IS NOT NULL
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), account_id, submission_id, id, kind, detail FROM done
)
SELECT id FROM done;

-- name: record_return
WITH told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), $1, $2, $3, $4, $5::jsonb
    WHERE NOT EXISTS (SELECT FROM events
                      WHERE submission_id = $2 AND delivery_id = $3 AND kind = $4)
    RETURNING id
), suppressed AS (
    INSERT INTO suppressions (account_id, normal, list, address, reason, delivery_id, evidence,
                              rule, version)
    SELECT $1, $7::text, 'bounce', $6::text, 'bounced', $3, $5::jsonb,
           COALESCE($5::jsonb->>'rule', ''), COALESCE($5::jsonb->>'rules', '')
    FROM told WHERE $6::text IS NOT NULL
    ON CONFLICT (account_id, normal, list, scope) DO UPDATE
    SET address = EXCLUDED.address, reason = EXCLUDED.reason, delivery_id = EXCLUDED.delivery_id,
        evidence = EXCLUDED.evidence, rule = EXCLUDED.rule, version = EXCLUDED.version,
        created_at = now(), expires_at = NULL
    WHERE suppressions.expires_at IS NOT NULL
)
SELECT id FROM told;

-- name: add_suppression
-- Of two entries for the same the one that lasts longer stays.
INSERT INTO suppressions (account_id, address, normal, list, scope, reason, evidence, rule, version,
                          expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (account_id, normal, list, scope) DO UPDATE
SET address = EXCLUDED.address, reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
    rule = EXCLUDED.rule, version = EXCLUDED.version, delivery_id = NULL, created_at = now(),
    expires_at = EXCLUDED.expires_at
WHERE COALESCE(EXCLUDED.expires_at, 'infinity') > COALESCE(suppressions.expires_at, 'infinity')
RETURNING address;

-- name: find_suppressed
-- The entries that count for each account and normal form of an address.
SELECT t.place, s.list, s.scope
FROM unnest($1::address_row_1[]) WITH ORDINALITY AS t(account_id, normal, place)
CROSS JOIN LATERAL (
    SELECT list, scope FROM suppressions s
    WHERE s.account_id = t.account_id AND s.normal = t.normal
      AND COALESCE(s.expires_at > now(), true) OFFSET 0
) s;
