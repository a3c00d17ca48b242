-- Statements of the version before migration 0004 that write open work, and that claim it.

-- name: accept_submissions
-- A submission that is handed over is written as claimed.
WITH input AS (
    SELECT * FROM unnest($1::accept_row_1[])
), kept AS (
    INSERT INTO contents (id, header, body) SELECT * FROM unnest($2::content_row_1[])
), submitted AS (
    INSERT INTO submissions (id, account_id, credential_id, profile, profile_revision, lane, sender,
                             recipients, smtputf8, client, helo, tls, size, attributes)
    SELECT id, account_id, credential_id, profile, profile_revision, lane, sender, recipients,
           smtputf8, client, helo, tls, size, attributes
    FROM input
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind)
    SELECT id, account_id, id, 'accepted' FROM input
)
INSERT INTO due_submissions (id, account_id, lane, size, due_at, expires_at, claim, leased)
SELECT id, account_id, lane, size, CASE WHEN handed THEN now() + $4::interval ELSE now() END,
       now() + $3::interval, handed::integer, handed
FROM input;

-- name: claim_submissions
-- Up to $1 of lane $5 or above, and no more once they hold $3 octets; `more`: others of those lanes
-- may be due. One that was claimed twice without a result may kill the process that claims it:
-- these come one at a time, and none unless $4.
WITH due AS (
    SELECT array_agg(lane ORDER BY lane) AS lanes FROM generate_series(1, $5::integer) AS lane
    WHERE (SELECT true FROM due_submissions d
           WHERE d.lane = lane.lane AND d.due_at <= now() AND NOT d.held LIMIT 1)
), picked AS (
    SELECT id, size, due_at, claim >= 2 AS suspect FROM due_submissions
    WHERE lane = (SELECT lanes[1] FROM due) AND due_at <= now() AND NOT held
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
), fitting AS (
    SELECT id, sum(size) OVER (ORDER BY due_at, id) - size AS before,
           NOT suspect OR $4 AND 1 = row_number() OVER (PARTITION BY suspect ORDER BY due_at, id)
               AS fits
    FROM picked
), claimed AS (
    UPDATE due_submissions
    SET due_at = now() + $2::interval, claim = claim + 1, leased = true
    WHERE id = ANY(ARRAY(SELECT id FROM fitting WHERE before < $3 AND fits))
    RETURNING id, claim
)
SELECT s.*, c.id IS NOT NULL AS kept, c.header, c.body, claimed.claim,
    (SELECT cardinality(lanes) > 1 FROM due)
    OR (SELECT count(*) FROM picked) = $1
    OR (SELECT count(*) FROM picked) > (SELECT count(*) FROM claimed) AS more
FROM claimed CROSS JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = claimed.id OFFSET 0) s
LEFT JOIN LATERAL (SELECT * FROM contents c WHERE c.id = claimed.id OFFSET 0) c ON true
ORDER BY s.id;

-- name: prepare_submissions
-- A delivery that is to be handed over is claimed at once, if claim_deliveries would give it to
-- a dispatcher now: no lane above its own has anything due, nor, of the two highest, anything young.
WITH free AS (
    SELECT COALESCE(min(lane), 5) AS lowest FROM generate_series(1, 5) AS lane
    WHERE (SELECT true FROM due_deliveries d
           WHERE d.lane = lane.lane AND d.due_at <= now() AND d.parked_at IS NULL AND NOT d.held
           LIMIT 1)
       OR lane <= 2 AND COALESCE(
          (SELECT true FROM due_deliveries d
           WHERE d.leased AND NOT d.held AND d.lane = lane.lane
             AND d.claimed_at > now() - $6::interval LIMIT 1),
          (SELECT true FROM due_submissions s
           WHERE s.lane = lane.lane AND NOT s.held AND s.due_at > now() - $6::interval
             AND s.received_at > now() - $6::interval LIMIT 1))
), sent AS (
    SELECT * FROM unnest($3::delivery_row_1[])
), done AS (
    DELETE FROM due_submissions d USING unnest($1::claim_row_1[]) AS t
    WHERE d.id = ANY(ARRAY(SELECT id FROM unnest($1))) AND d.id = t.id AND d.claim = t.claim
    RETURNING d.id, d.account_id, d.lane, d.held, d.received_at, d.expires_at
), rendered AS (
    INSERT INTO renditions (id, submission_id, header, body)
    SELECT t.* FROM unnest($2::rendition_row_1[]) AS t JOIN done ON done.id = t.submission_id
), delivering AS (
    INSERT INTO deliveries (id, submission_id, account_id, rendition_id, lane, recipient,
                            return_path, kind, site)
    SELECT t.id, t.submission_id, done.account_id, t.rendition_id, done.lane, t.recipient,
           t.return_path, t.kind, t.site
    FROM sent t JOIN done ON done.id = t.submission_id
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), t.account_id, t.submission_id, t.kind, t.detail
    FROM unnest($4::event_row_1[]) AS t JOIN done ON done.id = t.submission_id
), opened AS (
    INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at, claim,
                                leased, held, claimed_at, site)
    SELECT t.id, done.account_id, done.lane, t.size,
           CASE WHEN h.handed THEN now() + $5::interval ELSE now() END,
           done.received_at, done.expires_at, h.handed::integer, h.handed, done.held,
           CASE WHEN h.handed THEN now() END, t.site
    FROM sent t JOIN done ON done.id = t.submission_id
    CROSS JOIN LATERAL (
        SELECT t.handed AND NOT done.held AND done.lane <= (SELECT lowest FROM free) AS handed
    ) h
    RETURNING id, lane, leased, received_at, expires_at
)
SELECT * FROM opened;

-- name: claim_deliveries
-- Up to $1 deliveries of the highest lane that has any due, oldest first; `more`: others may be due.
-- A suspect (abandoned twice in a row when it is claimed) comes beside them: one at a time, and only
-- down to lane $6. One that may not come counts as due for no lane, so no lane waits for it.
-- Deliveries whose lease ran out come only if $7.
-- A message of more than $5 octets comes without its text (see read_message). A message that several
-- deliveries share comes once, with the first.
-- A lane gets deliveries only when no higher lane has anything due: strict lanes across all
-- dispatchers. Lower lanes also wait while the two highest have deliveries claimed within the
-- window and without a result, or submissions accepted within it and still with policy:
-- a burst of alerts comes in parts, and bulk must not go in between. Other lanes pause none: mail
-- on the wire does not wait for us, and a steady trickle of normal mail would leave bulk no time.
-- When nothing could be claimed there is one row without an id: which lanes have something due, and
-- which lane's young claims they wait for.
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
SELECT due.lanes AS due_lanes, preempting.by AS preempted_by, found.*, message.header, message.body,
    cardinality(due.lanes) > 1 OR preempting.by IS NOT NULL OR due.lanes[1] > $4
    OR (SELECT count(*) FROM picked) = $1
    OR (SELECT count(*) FROM suspect) > 0 AS more
FROM due CROSS JOIN preempting LEFT JOIN found ON true
LEFT JOIN LATERAL (
    SELECT r.header, COALESCE(r.body, c.body) AS body
    FROM renditions r
    CROSS JOIN LATERAL (SELECT body FROM contents WHERE id = r.submission_id OFFSET 0) c
    WHERE found.first AND found.size <= $5 AND r.id = found.rendition_id OFFSET 0
) message ON true
ORDER BY found.received_at;

-- name: unquarantine_submissions
-- Those of account $1, quarantined for reason $2, accepted after $3 and not after $4; a null does not
-- choose. They get as much time as when they were accepted. Mail that the operator held stays held.
WITH gone AS (
    DELETE FROM quarantined_submissions
    WHERE COALESCE(account_id = $1, true) AND COALESCE(reason = $2, true)
      AND COALESCE(received_at > $3, true) AND COALESCE(received_at <= $4, true)
    RETURNING id, account_id, lane, size, received_at, expires_at, held
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind)
    SELECT new_id(), account_id, id, 'unquarantined' FROM gone
)
INSERT INTO due_submissions (id, account_id, lane, size, due_at, received_at, expires_at, held)
SELECT id, account_id, lane, size, now(), received_at, now() + (expires_at - received_at), held
FROM gone
RETURNING id;

-- name: unquarantine_deliveries
WITH gone AS (
    DELETE FROM quarantined_deliveries
    WHERE COALESCE(account_id = $1, true) AND COALESCE(reason = $2, true)
      AND COALESCE(received_at > $3, true) AND COALESCE(received_at <= $4, true)
    RETURNING *
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind)
    SELECT new_id(), account_id, submission_id, id, 'unquarantined' FROM gone
    WHERE submission_id IS NOT NULL
)
INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at, claim,
                            tries, site, held)
SELECT id, account_id, lane, size, now(), received_at, now() + (expires_at - received_at), claim,
       tries, site, held
FROM gone
RETURNING id;
