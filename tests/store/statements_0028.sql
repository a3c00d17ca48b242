-- Statements of the version before migration 0029 that claim deliveries.

-- name: claim_deliveries
WITH due AS (
    SELECT array_agg(lane ORDER BY lane) AS lanes FROM generate_series(1, 5) AS lane
    WHERE (SELECT true FROM due_deliveries d
           WHERE d.lane = lane.lane AND d.due_at <= now() AND d.parked_at IS NULL AND NOT d.held
             AND (lane.lane <= $6 OR NOT (d.leased AND d.abandoned >= 1)) LIMIT 1)
), preempting AS (
    SELECT min(lane) AS by FROM generate_series(1, 2) AS lane
    WHERE lane < (SELECT lanes[1] FROM due)
      AND COALESCE(
          (SELECT true FROM due_deliveries d
           WHERE d.leased AND NOT d.held AND d.lane = lane.lane
             AND d.claimed_at > now() - $3::interval LIMIT 1),
          (SELECT true FROM due_submissions s
           WHERE s.lane = lane.lane AND NOT s.held AND s.due_at > now() - $3::interval
             AND s.received_at > now() - $3::interval LIMIT 1))
), picked AS (
    SELECT id FROM due_deliveries
    WHERE lane = (SELECT lanes[1] FROM due) AND due_at <= now() AND parked_at IS NULL
      AND NOT held AND lane <= $4 AND (SELECT by IS NULL FROM preempting)
      AND (NOT leased OR $7 AND abandoned < 1)
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
), suspect AS (
    SELECT id FROM due_deliveries
    WHERE leased AND abandoned >= 1 AND NOT held AND lane = (SELECT lanes[1] FROM due)
      AND due_at <= now() AND lane <= LEAST($4, $6) AND (SELECT by IS NULL FROM preempting) AND $7
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE due_deliveries
    SET due_at = now() + $2::interval, claim = claim + 1, leased = true, claimed_at = now(),
        abandoned = CASE WHEN leased THEN abandoned + 1 ELSE 0 END
    WHERE id = ANY(ARRAY(SELECT id FROM picked UNION ALL SELECT id FROM suspect))
    RETURNING id, claim, tries, abandoned, expires_at <= now() AS expired, received_at, expires_at,
              size
), found AS (
    SELECT v.*, c.claim, c.tries, c.abandoned, c.expired, c.received_at, c.expires_at, c.size,
           row_number() OVER (PARTITION BY v.rendition_id) = 1 AS first
    FROM claimed c CROSS JOIN LATERAL (SELECT * FROM deliveries v WHERE v.id = c.id OFFSET 0) v
), uncertain AS (
    INSERT INTO attempts (delivery_id, claim, outcome, code, reply)
    SELECT id, claim - 1, 'uncertain', 0, 'the worker that held this claim ended without a result'
    FROM found WHERE abandoned > 0
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), account_id, submission_id, id, 'uncertain',
           jsonb_build_object('claim', claim - 1)
    FROM found WHERE abandoned > 0
)
SELECT due.lanes AS due_lanes, preempting.by AS preempted_by, found.*, message.*,
    cardinality(due.lanes) > 1 OR preempting.by IS NOT NULL OR due.lanes[1] > $4
    OR (SELECT count(*) FROM picked) = $1
    OR (SELECT count(*) FROM suspect) > 0 AS more
FROM due CROSS JOIN preempting LEFT JOIN found ON true
LEFT JOIN LATERAL (
    SELECT CASE WHEN found.size <= $5 THEN r.header END AS header,
           CASE WHEN found.size <= $5 THEN COALESCE(r.body, c.body) END AS body, c.dsn
    FROM renditions r
    CROSS JOIN LATERAL (SELECT body, dsn FROM contents WHERE id = r.submission_id OFFSET 0) c
    WHERE found.first AND r.id = found.rendition_id OFFSET 0
) message ON true
ORDER BY found.received_at;

-- name: claim_parked_deliveries
WITH busiest AS (
    SELECT min(lane) AS lane FROM generate_series(1, 5) AS lane
    WHERE (SELECT true FROM due_deliveries d
           WHERE d.lane = lane.lane AND d.due_at <= now() AND d.parked_at IS NULL AND NOT d.held
             AND NOT (d.leased AND d.abandoned >= 1) LIMIT 1)
), picked AS (
    SELECT id FROM due_deliveries
    WHERE parked_at = $1 AND NOT held AND lane <= COALESCE((SELECT lane FROM busiest), 5)
    ORDER BY lane, due_at LIMIT $2 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE due_deliveries
    SET due_at = now() + $3::interval, claim = claim + 1, leased = true, claimed_at = now(),
        abandoned = 0, parked_at = NULL
    WHERE id = ANY(ARRAY(SELECT id FROM picked))
    RETURNING id, claim, tries, abandoned, expires_at <= now() AS expired, received_at, expires_at,
              size
), found AS (
    SELECT v.*, c.claim, c.tries, c.abandoned, c.expired, c.received_at, c.expires_at, c.size,
           row_number() OVER (PARTITION BY v.rendition_id) = 1 AS first
    FROM claimed c CROSS JOIN LATERAL (SELECT * FROM deliveries v WHERE v.id = c.id OFFSET 0) v
)
SELECT found.*, message.* FROM found
LEFT JOIN LATERAL (
    SELECT CASE WHEN found.size <= $4 THEN r.header END AS header,
           CASE WHEN found.size <= $4 THEN COALESCE(r.body, c.body) END AS body, c.dsn
    FROM renditions r
    CROSS JOIN LATERAL (SELECT body, dsn FROM contents WHERE id = r.submission_id OFFSET 0) c
    WHERE found.first AND r.id = found.rendition_id OFFSET 0
) message ON true
ORDER BY found.lane, found.received_at;
