-- Every statement of the product, by name. A test prepares each against the migrated schema.
-- A batch of rows is one array of a named type, one statement and one transaction.
--
-- A connection plans a statement once, perhaps while the tables are empty, and the plan must be good
-- when a million rows wait. So the planner must have no choice that could read a whole table: whether
-- a lane has anything is a scalar subquery (an EXISTS would become a join), rows are looked up one by
-- one by LATERAL behind OFFSET 0, rows to change are named by `id = ANY`, and leases are found by
-- claim number in a CASE (a plain `leased` would invite a scan of its index). A test counts the pages
-- that these plans read.

-- name: accept_submissions
-- A submission that is handed over is written as claimed. That of a held account is not handed over:
-- these are returned. There are few holds, so all are read at once: a look-up for each row costs
-- three times as much.
WITH input AS (
    SELECT t.*, t.account_id = ANY(ARRAY(SELECT account_id FROM account_holds)) AS held
    FROM unnest($1::accept_row_1[]) AS t
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
), opened AS (
    INSERT INTO due_submissions (id, account_id, lane, size, due_at, expires_at, claim, leased, held)
    SELECT id, account_id, lane, size,
           CASE WHEN handed AND NOT held THEN now() + $4::interval ELSE now() END,
           now() + $3::interval, (handed AND NOT held)::integer, handed AND NOT held, held
    FROM input
    RETURNING id, held
)
SELECT id FROM opened WHERE held;

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
    RETURNING d.id, d.account_id, d.lane, d.received_at, d.expires_at,
              d.held OR d.account_id = ANY(ARRAY(SELECT account_id FROM account_holds)) AS held
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

-- name: return_submission_leases
-- As if they had not been claimed, except that they come due only after $2: a claim that could not
-- begin does not count against a message.
UPDATE due_submissions d SET due_at = now() + $2::interval, claim = d.claim - 1, leased = false
FROM unnest($1::claim_row_1[]) AS t
WHERE d.id = ANY(ARRAY(SELECT id FROM unnest($1))) AND d.id = t.id AND d.claim = t.claim;

-- name: quarantine_submission
WITH done AS (
    DELETE FROM due_submissions WHERE id = $1 AND claim = $2
    RETURNING id, account_id, lane, size, received_at, expires_at, held
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), account_id, id, 'quarantined', jsonb_build_object('reason', $3::text) FROM done
)
INSERT INTO quarantined_submissions (id, account_id, lane, size, received_at, expires_at, held, reason)
SELECT id, account_id, lane, size, received_at, expires_at, held, $3 FROM done;

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

-- name: claim_parked_deliveries
-- Up to $2 of those that wait for $1; of messages above $4 octets without the text.
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
SELECT found.*, message.header, message.body FROM found
LEFT JOIN LATERAL (
    SELECT r.header, COALESCE(r.body, c.body) AS body
    FROM renditions r
    CROSS JOIN LATERAL (SELECT body FROM contents WHERE id = r.submission_id OFFSET 0) c
    WHERE found.first AND found.size <= $4 AND r.id = found.rendition_id OFFSET 0
) message ON true
ORDER BY found.lane, found.received_at;

-- name: read_message
-- The text of a large message, which claims leave out.
SELECT r.header, COALESCE(r.body, c.body) AS body
FROM renditions r
CROSS JOIN LATERAL (SELECT body FROM contents WHERE id = r.submission_id OFFSET 0) c
WHERE r.id = $1;

-- name: park_deliveries
UPDATE due_deliveries d
SET parked_at = t.site, leased = false, due_at = d.received_at
FROM unnest($1::park_row_1[]) AS t
WHERE d.id = ANY(ARRAY(SELECT id FROM unnest($1))) AND d.id = t.id AND CASE WHEN d.leased THEN d.claim END = t.claim;

-- name: parked_sites
WITH RECURSIVE sites AS (
    (SELECT parked_at AS site FROM due_deliveries WHERE parked_at IS NOT NULL AND NOT held
     ORDER BY parked_at LIMIT 1)
    UNION ALL
    SELECT (SELECT d.parked_at FROM due_deliveries d
            WHERE d.parked_at > sites.site AND NOT d.held ORDER BY d.parked_at LIMIT 1)
    FROM sites WHERE sites.site IS NOT NULL
)
SELECT site FROM sites WHERE site IS NOT NULL;

-- name: unpark_expired_deliveries
UPDATE due_deliveries SET parked_at = NULL, due_at = now()
WHERE id = ANY(ARRAY(
    SELECT id FROM due_deliveries WHERE parked_at IS NOT NULL AND NOT held AND expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING id;

-- name: settle_deliveries
-- A result without a wait is final and deletes its row. A result under a lost claim, or under one
-- that has its result already, changes nothing.
WITH input AS (
    SELECT * FROM unnest($1::result_row_2[])
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
), counts AS MATERIALIZED (
    -- A delivery ends the count of bounces. Where the last one came in a report, the message had been
    -- taken too: then only the second delivery without a report in between ends it. A row that is
    -- locked is being counted or cleared.
    SELECT s.ctid, s.reported FROM done d CROSS JOIN LATERAL (
        SELECT s.ctid, CASE WHEN s.evidence->'bounces'->-1->>'stage'
                                 IN ('report', 'report of final dot', 'prose')
                             AND s.evidence->'delivered_after' IS DISTINCT FROM
                                 s.evidence->'bounces'->-1->'delivery'
                            THEN s.evidence->'bounces'->-1->'delivery' END AS reported
        FROM suppressions s
        WHERE s.account_id = d.account_id AND s.normal = d.normal AND s.list = 'bounce'
          AND s.scope = '' AND s.expires_at IS NOT NULL
        OFFSET 0 FOR UPDATE SKIP LOCKED
    ) s
    WHERE d.kind = 'delivered'
), cleared AS (
    DELETE FROM suppressions
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM counts WHERE reported IS NULL))
), waiting AS (
    UPDATE suppressions s SET evidence = s.evidence || jsonb_build_object('delivered_after', c.reported)
    FROM counts c
    WHERE s.ctid = ANY(ARRAY(SELECT ctid FROM counts WHERE reported IS NOT NULL)) AND s.ctid = c.ctid
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), account_id, submission_id, id, kind,
           CASE WHEN (failure).normal IS NULL THEN detail
                ELSE detail || jsonb_strip_nulls(jsonb_build_object(
                    'rule', (failure).rule, 'rules', (failure).version,
                    'listed', count_bounce(account_id, id, failure))) END
    FROM done
    -- Two batches that name the same addresses must not wait for each other.
    ORDER BY account_id, (failure).normal
)
SELECT id FROM done;

-- name: renew_deliveries
-- Waits for no row: a locked one is being settled, or claimed by another worker.
WITH ours AS (
    SELECT d.id FROM unnest($1::claim_row_1[]) AS t
    CROSS JOIN LATERAL (
        SELECT id FROM due_deliveries d
        WHERE d.id = t.id AND CASE WHEN d.leased THEN d.claim END = t.claim
        OFFSET 0 FOR UPDATE SKIP LOCKED
    ) d
)
UPDATE due_deliveries SET due_at = now() + $2::interval
WHERE id = ANY(ARRAY(SELECT id FROM ours))
RETURNING id;

-- name: return_leases
UPDATE due_deliveries d SET due_at = now(), leased = false
FROM unnest($1::claim_row_1[]) AS t
WHERE d.id = ANY(ARRAY(SELECT id FROM unnest($1))) AND d.id = t.id AND CASE WHEN d.leased THEN d.claim END = t.claim;

-- name: quarantine_claimed_delivery
WITH gone AS (
    DELETE FROM due_deliveries d WHERE id = $1 AND CASE WHEN leased THEN claim END = $2
    RETURNING id, account_id, lane, size, received_at, expires_at, claim, tries, site, held,
              (SELECT submission_id FROM deliveries v WHERE v.id = d.id) AS submission_id
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), account_id, submission_id, id, 'quarantined',
           jsonb_build_object('reason', $3::text)
    FROM gone WHERE submission_id IS NOT NULL
)
INSERT INTO quarantined_deliveries (id, account_id, submission_id, lane, size, received_at, expires_at,
                                claim, tries, site, held, reason)
SELECT id, account_id, submission_id, lane, size, received_at, expires_at, claim, tries, site, held,
       $3
FROM gone;

-- name: end_submission_leases
UPDATE due_submissions SET due_at = now() WHERE leased AND due_at > now();

-- name: end_delivery_leases
UPDATE due_deliveries SET due_at = now() WHERE leased AND due_at > now();

-- name: find_delivery
SELECT * FROM deliveries WHERE id = $1;

-- name: find_deliveries_of
SELECT * FROM deliveries WHERE submission_id = $1;

-- name: find_return_path_host
SELECT FROM sending_domains WHERE return_path_host = $1 LIMIT 1;

-- name: lock_returned
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0));

-- name: record_return
-- Once for each digest about a submission, and at most $7 times for each of its deliveries.
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), $1, $2, $3, $4,
       CASE WHEN $6::failure_row_1 IS NULL THEN $5::jsonb
            ELSE $5::jsonb || jsonb_strip_nulls(jsonb_build_object(
                'listed', count_bounce($1, $3, $6))) END
WHERE NOT EXISTS (
    SELECT FROM events WHERE submission_id = $2 AND detail->>'digest' = $5::jsonb->>'digest'
) AND (
    SELECT count(*) FROM events
    WHERE submission_id = $2 AND delivery_id IS NOT DISTINCT FROM $3 AND detail ? 'digest'
) < $7
RETURNING COALESCE(detail->>'listed', 'none') AS listed;

-- name: find_submission_profiles
-- A message has the profile of its credential, whose account may be the parent of the message's.
SELECT s.id, s.profile, s.profile_revision, p.preset, p.preset_revision, p.knobs
FROM unnest($1::uuid[]) AS t(id)
CROSS JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = t.id OFFSET 0) s
LEFT JOIN credentials c ON c.id = s.credential_id
LEFT JOIN profiles p
    ON (p.account_id, p.name, p.revision) = (c.account_id, s.profile, s.profile_revision);

-- name: take_turn
SELECT pg_try_advisory_xact_lock($1::bigint) AS free;

-- name: read_event_cursor
SELECT incarnation, xid, id FROM event_cursors WHERE reader = $1;

-- name: move_event_cursor
UPDATE event_cursors SET incarnation = $2, xid = $3, id = $4 WHERE reader = $1;

-- name: note_failures
-- Failures of messages of ours, whose sender is empty, concern nobody. A recipient is told about
-- once, by each means.
WITH input AS (
    SELECT t.*, s.sender, a.dsn, a.bounce_address,
           COALESCE(t.detail->>'recipient', v.recipient) AS recipient
    FROM unnest($1::untold_row_1[]) AS t
    CROSS JOIN LATERAL (
        SELECT sender FROM submissions s WHERE s.id = t.submission_id AND s.sender <> '' OFFSET 0
    ) s
    JOIN accounts a ON a.id = t.account_id
    LEFT JOIN LATERAL (
        SELECT recipient FROM deliveries v WHERE v.id = t.delivery_id OFFSET 0
    ) v ON true
)
INSERT INTO untold_failures (submission_id, recipient, means, address, account_id, delivery_id, kind,
                             at, detail, due_at)
SELECT i.submission_id, i.recipient, w.means, w.address, i.account_id, i.delivery_id, i.kind, i.at,
       i.detail, now() + $2::interval
FROM input i CROSS JOIN LATERAL (
    VALUES ('dsn', CASE WHEN i.dsn THEN i.sender END), ('forward', i.bounce_address)
) AS w(means, address)
WHERE w.address IS NOT NULL AND i.recipient IS NOT NULL AND NOT EXISTS (
    SELECT FROM events e
    WHERE e.submission_id = i.submission_id AND e.kind = 'notified'
      AND e.detail->>'recipient' = i.recipient AND e.detail->>'means' = w.means
)
ON CONFLICT DO NOTHING;

-- name: due_undelivered
-- The submission whose failures have been due longest, and the address to tell.
SELECT u.submission_id, u.account_id, u.means, u.address, s.sender, s.lane, s.credential_id,
       s.profile, s.profile_revision, c.header, CASE WHEN u.means = 'forward' THEN c.body END AS body,
       EXISTS (SELECT FROM notice_windows w
               WHERE w.account_id = u.account_id AND w.address = u.address
                 AND w.began_at > now() - $1::interval AND w.sent >= $2
                 AND u.means = 'dsn') AS full
FROM (SELECT * FROM untold_failures WHERE NOT in_digest AND due_at <= now()
      ORDER BY due_at LIMIT 1) u
LEFT JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = u.submission_id OFFSET 0) s ON true
LEFT JOIN LATERAL (SELECT * FROM contents c WHERE c.id = u.submission_id OFFSET 0) c ON true;

-- name: failures_of_submission
SELECT recipient, kind, at, detail FROM untold_failures
WHERE submission_id = $1 AND means = $2 ORDER BY at, recipient;

-- name: put_into_digest
-- All of an address whose hour is full, up to the end of that hour.
UPDATE untold_failures u SET in_digest = true, due_at = w.began_at + $3::interval
FROM notice_windows w
WHERE w.account_id = $1 AND w.address = $2
  AND u.account_id = $1 AND u.address = $2 AND u.means = 'dsn' AND NOT u.in_digest;

-- name: put_off_undelivered
UPDATE untold_failures SET due_at = now() + interval '1 minute'
WHERE submission_id = $1 AND means = $2;

-- name: due_digest
-- The first $1 failures of the address whose digest has been due longest; `count`: of all.
WITH due AS (
    SELECT account_id, address FROM untold_failures WHERE in_digest AND due_at <= now()
    ORDER BY due_at LIMIT 1
)
SELECT u.submission_id, u.account_id, u.address, u.recipient, u.kind, u.at, u.detail,
       count(*) OVER () AS count
FROM due JOIN untold_failures u USING (account_id, address) WHERE u.in_digest
ORDER BY u.at, u.submission_id LIMIT $1;

-- name: end_undelivered
-- Nobody is to be told any more. With a notice $3, it is the one that tells.
WITH gone AS (
    DELETE FROM untold_failures WHERE submission_id = $1 AND means = $2 RETURNING *
)
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), account_id, submission_id, delivery_id, 'notified', jsonb_build_object(
           'recipient', recipient, 'means', means, 'address', address, 'notice', $3::text)
FROM gone WHERE $3::text IS NOT NULL;

-- name: end_digest
WITH gone AS (
    DELETE FROM untold_failures WHERE account_id = $1 AND address = $2 AND in_digest RETURNING *
)
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), account_id, submission_id, delivery_id, 'notified', jsonb_build_object(
           'recipient', recipient, 'means', means, 'address', address, 'notice', $3::text)
FROM gone;

-- name: forget_notice_windows
DELETE FROM notice_windows WHERE began_at <= now() - $1::interval;

-- name: count_notice
INSERT INTO notice_windows AS w (account_id, address, sent) VALUES ($1, $2, 1)
ON CONFLICT (account_id, address) DO UPDATE SET sent = w.sent + 1 RETURNING sent;

-- name: forget_untold_failures
DELETE FROM untold_failures;

-- name: create_operator_account
INSERT INTO accounts (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: keep_operator_mail
WITH kept AS (
    INSERT INTO operator_mail (id, received_at, recipient, sender, client, size, content, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
)
DELETE FROM operator_mail WHERE id = ANY(ARRAY(
    SELECT id FROM operator_mail ORDER BY received_at DESC OFFSET $9 - 1
));

-- name: list_operator_mail
SELECT * FROM operator_mail ORDER BY received_at DESC LIMIT $1;

-- name: find_operator_mail
SELECT * FROM operator_mail WHERE id = $1;

-- name: remove_operator_mail
DELETE FROM operator_mail WHERE COALESCE(id = $1, true) RETURNING id;

-- name: find_bounce_address
-- Of the account of submission $1, with its sender.
SELECT s.sender, a.bounce_address FROM submissions s JOIN accounts a ON a.id = s.account_id
WHERE s.id = $1 AND s.sender <> '' AND a.bounce_address IS NOT NULL;

-- name: note_forwarded
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), $1, $2, v.id, 'notified', jsonb_build_object('recipient', v.recipient) || $4::jsonb
FROM deliveries v WHERE v.id = $3;

-- name: find_login
-- With the domains of the account's children (of several that may use one, the oldest), and the
-- newest revision of a profile of its own.
SELECT c.id AS credential_id, c.account_id, c.username, c.secret_hash, c.profile, c.lane,
       c.highest_lane, p.revision, p.preset, p.preset_revision, p.knobs,
       ARRAY(SELECT d.name FROM domain_accounts o JOIN sending_domains d ON d.id = o.domain_id
             WHERE o.account_id = c.account_id AND d.verified_at IS NOT NULL) AS domains,
       (SELECT jsonb_object_agg(d.name, a.id ORDER BY a.id DESC)
        FROM accounts a JOIN domain_accounts o ON o.account_id = a.id
        JOIN sending_domains d ON d.id = o.domain_id
        WHERE a.parent_id = c.account_id AND d.verified_at IS NOT NULL) AS child_domains
FROM credentials c LEFT JOIN LATERAL (
    SELECT * FROM profiles p WHERE p.account_id = c.account_id AND p.name = c.profile
    ORDER BY p.revision DESC LIMIT 1
) p ON true
WHERE c.username = $1 AND c.active;

-- name: find_sending_domains
-- A row for each active key of those that are verified and may be used by the account beside them.
SELECT t.place, d.name, d.return_path_host, k.selector, k.algorithm, k.sealed
FROM unnest($1::domain_row_1[]) WITH ORDINALITY AS t(account_id, name, place)
CROSS JOIN LATERAL (
    SELECT d.id, d.name, d.return_path_host FROM sending_domains d
    JOIN domain_accounts o ON o.domain_id = d.id AND o.account_id = t.account_id
    WHERE d.name = t.name AND d.verified_at IS NOT NULL OFFSET 0
) d
LEFT JOIN LATERAL (
    SELECT selector, algorithm, sealed FROM dkim_keys
    WHERE domain_id = d.id AND state = 'active' OFFSET 0
) k ON true
ORDER BY t.place, k.algorithm DESC, k.selector;

-- name: create_account
INSERT INTO accounts (name, parent_id) VALUES ($1, $2) RETURNING id;

-- name: create_profile
INSERT INTO profiles (account_id, name, revision, preset, preset_revision, knobs)
SELECT $1, $2, 1 + COALESCE(max(revision), 0), $3, $4, $5
FROM profiles WHERE account_id = $1 AND name = $2
RETURNING revision;

-- name: find_profiles
-- A message has the profile of its credential, whose account may be the parent of the message's.
SELECT t.credential_id, p.account_id, p.name, p.revision, p.preset, p.preset_revision, p.knobs
FROM unnest($1::profile_row_1[]) AS t(credential_id, name, revision)
JOIN credentials c ON c.id = t.credential_id
JOIN profiles p ON (p.account_id, p.name, p.revision) = (c.account_id, t.name, t.revision);

-- name: set_dsn
UPDATE accounts SET dsn = $2 WHERE id = $1;

-- name: set_bounce_address
-- Null removes it. $3: its domain and those above it. None may be a sending domain of the account,
-- nor a host that takes returned mail; the names of those that are.
WITH forbidden AS (
    SELECT d.name FROM sending_domains d JOIN domain_accounts o ON o.domain_id = d.id
    WHERE o.account_id = $1 AND d.name = ANY($3::text[])
    UNION
    SELECT return_path_host FROM sending_domains WHERE return_path_host = ($3::text[])[1]
), done AS (
    UPDATE accounts SET bounce_address = $2
    WHERE id = $1 AND NOT EXISTS (SELECT FROM forbidden)
)
SELECT name FROM forbidden;

-- name: read_account_settings
SELECT dsn, bounce_address, automatic_hold FROM accounts WHERE id = $1;

-- name: set_automatic_hold
UPDATE accounts SET automatic_hold = $2 WHERE id = $1;

-- name: list_profiles
SELECT DISTINCT ON (a.name, p.name) a.name AS account, p.account_id, p.name, p.revision, p.preset,
       p.preset_revision, p.knobs
FROM profiles p JOIN accounts a ON a.id = p.account_id ORDER BY a.name, p.name, p.revision DESC;

-- name: find_account
SELECT id, name, created_at FROM accounts WHERE name = $1;

-- name: list_accounts
SELECT a.name, p.name AS parent, a.created_at, h.held_at, h.actor AS held_by, h.reason AS held_for
FROM accounts a LEFT JOIN accounts p ON p.id = a.parent_id
LEFT JOIN account_holds h ON h.account_id = a.id ORDER BY a.name;

-- name: find_children
SELECT id, name FROM accounts WHERE parent_id = $1 ORDER BY name;

-- name: lock_holds
SELECT pg_advisory_xact_lock($1::bigint);

-- name: hold_account
INSERT INTO account_holds (account_id, actor, by_relay, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING account_id;

-- name: release_account
WITH released AS (
    DELETE FROM account_holds WHERE account_id = $1 RETURNING *
), noted AS (
    UPDATE accounts SET released_at = now() WHERE id IN (SELECT account_id FROM released)
)
SELECT held_at, actor, by_relay, reason FROM released;

-- name: mark_submissions
-- Of the $3 after $2 those of the held account $1. `passed`: rows that others are writing now.
WITH page AS (
    SELECT id, account_id = $1 AND NOT held AND EXISTS (
               SELECT FROM account_holds h WHERE h.account_id = $1) AS unmarked
    FROM due_submissions WHERE id > $2 ORDER BY id LIMIT $3
), free AS (
    SELECT id FROM due_submissions
    WHERE id = ANY(ARRAY(SELECT id FROM page WHERE unmarked)) FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE due_submissions SET held = true WHERE id = ANY(ARRAY(SELECT id FROM free))
)
SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM page WHERE unmarked) - (SELECT count(*) FROM free) AS passed;

-- name: mark_deliveries
WITH page AS (
    SELECT id, account_id = $1 AND NOT held AND EXISTS (
               SELECT FROM account_holds h WHERE h.account_id = $1) AS unmarked
    FROM due_deliveries WHERE id > $2 ORDER BY id LIMIT $3
), free AS (
    SELECT id FROM due_deliveries
    WHERE id = ANY(ARRAY(SELECT id FROM page WHERE unmarked)) FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE due_deliveries SET held = true WHERE id = ANY(ARRAY(SELECT id FROM free))
)
SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM page WHERE unmarked) - (SELECT count(*) FROM free) AS passed;

-- name: end_marking
UPDATE account_holds SET marked = true WHERE account_id = $1;

-- name: unmark_submissions
-- Up to $2 of an account that is not held. They get as much time as when they were accepted.
WITH free AS (
    SELECT id FROM due_submissions d
    WHERE account_id = $1 AND held
      AND NOT EXISTS (SELECT FROM account_holds h WHERE h.account_id = $1)
    LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE due_submissions SET held = false, expires_at = now() + (expires_at - received_at)
WHERE id = ANY(ARRAY(SELECT id FROM free))
RETURNING id;

-- name: unmark_deliveries
WITH free AS (
    SELECT id FROM due_deliveries d
    WHERE account_id = $1 AND held
      AND NOT EXISTS (SELECT FROM account_holds h WHERE h.account_id = $1)
    LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE due_deliveries SET held = false, expires_at = now() + (expires_at - received_at)
WHERE id = ANY(ARRAY(SELECT id FROM free))
RETURNING id;

-- name: unfinished_holds
-- Accounts whose rows are not all marked, and accounts that were released while a row was written.
WITH RECURSIVE submitted AS (
    (SELECT account_id FROM due_submissions WHERE held ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.account_id FROM due_submissions d
            WHERE d.held AND d.account_id > s.account_id ORDER BY d.account_id LIMIT 1)
    FROM submitted s WHERE s.account_id IS NOT NULL
), delivering AS (
    (SELECT account_id FROM due_deliveries WHERE held ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.account_id FROM due_deliveries d
            WHERE d.held AND d.account_id > s.account_id ORDER BY d.account_id LIMIT 1)
    FROM delivering s WHERE s.account_id IS NOT NULL
)
SELECT account_id, true AS is_held FROM account_holds WHERE NOT marked
UNION ALL
SELECT account_id, false
FROM (SELECT account_id FROM submitted UNION SELECT account_id FROM delivering) AS marked
WHERE account_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM account_holds h WHERE h.account_id = marked.account_id);

-- name: count_holds
SELECT by_relay, count(*) FROM account_holds GROUP BY by_relay;

-- name: read_hold
-- Of the account of submission $1; `waits`: policy has not prepared it, and it is held.
SELECT h.held_at, h.reason,
       COALESCE((SELECT held FROM due_submissions d WHERE d.id = $1), false) AS waits
FROM submissions s JOIN account_holds h ON h.account_id = s.account_id WHERE s.id = $1;

-- name: create_credential
INSERT INTO credentials (account_id, username, secret_hash, profile, lane, highest_lane, note)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id;

-- name: list_credentials
SELECT c.username, a.name AS account, c.profile, c.lane, c.highest_lane, c.active, c.note, c.created_at
FROM credentials c JOIN accounts a ON a.id = c.account_id ORDER BY a.name, c.username;

-- name: set_credential_active
UPDATE credentials SET active = $2 WHERE username = $1 RETURNING id;

-- name: create_sending_domain
WITH made AS (
    INSERT INTO sending_domains (name, return_path_host, verified_at)
    VALUES ($2, $3, CASE WHEN $4::boolean THEN now() END) RETURNING id
)
INSERT INTO domain_accounts (account_id, domain_id) SELECT $1, id FROM made RETURNING domain_id;

-- name: share_sending_domain
INSERT INTO domain_accounts (account_id, domain_id)
SELECT $1, id FROM sending_domains WHERE name = $2
ON CONFLICT DO NOTHING RETURNING domain_id;

-- name: create_dkim_key
INSERT INTO dkim_keys (domain_id, selector, algorithm, sealed, record, state, activated_at)
SELECT id, $2, $3, $4, $5, $6, CASE WHEN $6 = 'active' THEN now() END
FROM sending_domains WHERE name = $1
RETURNING selector;

-- name: set_dkim_key_state
UPDATE dkim_keys k SET state = $3,
    activated_at = CASE WHEN $3 = 'active' THEN now() ELSE activated_at END,
    retired_at = CASE WHEN $3 = 'retired' THEN now() END
FROM sending_domains d WHERE d.id = k.domain_id AND d.name = $1 AND k.selector = $2
RETURNING k.selector;

-- name: verify_sending_domain
UPDATE sending_domains d SET verified_at = COALESCE(verified_at, now())
FROM domain_accounts o WHERE o.domain_id = d.id AND o.account_id = $1 AND d.name = $2
RETURNING d.id;

-- name: list_sending_domains
SELECT a.name AS account, d.name, d.return_path_host, d.verified_at, k.selector, k.algorithm,
       k.record, k.state, COALESCE(k.retired_at, k.activated_at, k.created_at) AS since
FROM sending_domains d JOIN domain_accounts o ON o.domain_id = d.id
JOIN accounts a ON a.id = o.account_id
LEFT JOIN dkim_keys k ON k.domain_id = d.id
ORDER BY a.name, d.name, k.selector;

-- name: keep_secret_check
INSERT INTO secret_check (value) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: read_secret_check
SELECT value FROM secret_check;

-- name: add_suppression
-- Of two entries for the same the one that lasts longer stays.
INSERT INTO suppressions (account_id, address, normal, list, scope, reason, evidence, rule, version,
                          expires_at, delivery_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (account_id, normal, list, scope) DO UPDATE
SET address = EXCLUDED.address, reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
    rule = EXCLUDED.rule, version = EXCLUDED.version, delivery_id = EXCLUDED.delivery_id,
    created_at = now(), expires_at = EXCLUDED.expires_at
WHERE COALESCE(EXCLUDED.expires_at, 'infinity') > COALESCE(suppressions.expires_at, 'infinity')
RETURNING address;

-- name: find_suppressed
-- The entries that count for each account and normal form of an address, or "@" and a domain.
SELECT t.place, s.list, s.scope, s.address, s.reason, s.created_at
FROM unnest($1::address_row_1[]) WITH ORDINALITY AS t(account_id, normal, place)
CROSS JOIN LATERAL (
    SELECT list, scope, address, reason, created_at FROM suppressions s
    WHERE s.account_id = t.account_id AND s.normal = t.normal
      AND COALESCE(s.expires_at > now(), true) OFFSET 0
) s;

-- name: remove_suppression
DELETE FROM suppressions
WHERE account_id = $1 AND normal = $2 AND COALESCE(list = $3, true) AND COALESCE(scope = $4, true)
RETURNING address, list, scope, reason, evidence, rule, version, delivery_id, created_at, expires_at,
          COALESCE(expires_at > now(), true) AS counted;

-- name: list_suppressions
SELECT a.name AS account, s.address, s.list, s.scope, s.reason, s.rule, s.version, s.delivery_id,
       s.evidence, s.created_at, s.expires_at
FROM suppressions s JOIN accounts a ON a.id = s.account_id
WHERE COALESCE(s.account_id = $1, true) AND COALESCE(position($2 IN s.normal) > 0, true)
  AND COALESCE(s.list = $3, true) AND COALESCE(s.scope = $4, true)
  AND COALESCE(s.reason = $5, true) AND COALESCE(s.expires_at > now(), true)
ORDER BY s.created_at DESC LIMIT $6;

-- name: forget_counted_bounces
-- No profile counts what is older.
DELETE FROM suppressions WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM suppressions
    WHERE list = 'bounce' AND expires_at < now() - interval '90 days'
      AND COALESCE((evidence->'bounces'->-1->>'at')::timestamptz < now() - interval '90 days', true)
    LIMIT $1
))
RETURNING normal;

-- name: begin_import
CREATE TEMP TABLE imported_suppressions (
    normal text, list text, scope text, address text, reason text, evidence jsonb, rule text,
    version text, delivery_id uuid, created_at timestamptz, expires_at timestamptz
);

-- name: take_import
-- Of two entries for the same the one that lasts longer stays. In the order in which bounces are
-- counted, so that neither waits for the other in a circle.
WITH written AS (
    INSERT INTO suppressions (account_id, normal, list, scope, address, reason, evidence, rule,
                              version, delivery_id, created_at, expires_at)
    SELECT DISTINCT ON (normal, list, scope) $1::uuid, normal, list, scope, address, reason,
           evidence, rule, version, delivery_id, COALESCE(created_at, now()), expires_at
    FROM imported_suppressions
    ORDER BY normal, list, scope, COALESCE(expires_at, 'infinity') DESC
    ON CONFLICT (account_id, normal, list, scope) DO UPDATE
    SET address = EXCLUDED.address, reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
        rule = EXCLUDED.rule, version = EXCLUDED.version, delivery_id = EXCLUDED.delivery_id,
        created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
    WHERE COALESCE(EXCLUDED.expires_at, 'infinity') > COALESCE(suppressions.expires_at, 'infinity')
    RETURNING 1
)
SELECT count(*) FROM written;

-- name: end_import
DROP TABLE IF EXISTS imported_suppressions;

-- name: export_suppressions
SELECT address, list, scope, reason, created_at, expires_at, rule, version, delivery_id, evidence
FROM suppressions
WHERE account_id = $1 AND COALESCE(list = $2, true) AND COALESCE(expires_at > now(), true)
ORDER BY account_id, normal, list, scope;

-- name: read_bounce_list
SELECT s.account_id, a.name AS account, s.address, s.normal, s.list, s.scope, s.reason, s.evidence,
       s.rule, s.version, s.delivery_id, s.created_at, s.expires_at
FROM suppressions s JOIN accounts a ON a.id = s.account_id
WHERE s.list = 'bounce' AND COALESCE(s.account_id = $1, true) AND COALESCE(s.expires_at > now(), true);

-- name: lift_bounces
DELETE FROM suppressions s
USING ROWS FROM (unnest($1::address_row_1[]), unnest($2::timestamptz[]))
    AS t(account_id, normal, created_at)
WHERE s.account_id = t.account_id AND s.normal = t.normal AND s.list = 'bounce' AND s.scope = ''
  AND s.created_at = t.created_at
RETURNING s.account_id, s.address, s.reason, s.evidence, s.rule, s.version, s.delivery_id,
          s.created_at, s.expires_at;

-- name: write_audit
INSERT INTO audit (actor, action, account_id, detail) VALUES ($1, $2, $3, $4);

-- name: list_audit
SELECT t.at, t.actor, t.action, a.name AS account, t.detail
FROM audit t LEFT JOIN accounts a ON a.id = t.account_id ORDER BY t.id DESC LIMIT $1;

-- name: read_submission
SELECT s.id, s.account_id, s.credential_id, c.username, s.profile, s.profile_revision, s.lane,
       s.sender, s.recipients, s.client, s.helo, s.tls, s.size, s.attributes
FROM submissions s LEFT JOIN credentials c ON c.id = s.credential_id WHERE s.id = $1;

-- name: read_deliveries
SELECT v.id, v.recipient, v.kind, v.return_path, d.due_at, d.tries, d.leased, d.held, d.parked_at,
       d.expires_at
FROM deliveries v LEFT JOIN due_deliveries d ON d.id = v.id
WHERE v.submission_id = $1 ORDER BY v.id;

-- name: read_events
SELECT id, at, delivery_id, kind, detail FROM events WHERE submission_id = $1 ORDER BY at, id;

-- name: read_attempts
SELECT t.* FROM attempts t JOIN deliveries v ON v.id = t.delivery_id
WHERE v.submission_id = $1 ORDER BY t.finished_at, t.claim;

-- name: queue_by_lane
SELECT 'policy' AS stage, lane,
       CASE WHEN held THEN 'held' WHEN leased THEN 'inflight' WHEN due_at <= now() THEN 'ready'
            ELSE 'deferred' END AS state,
       count(*) AS messages, EXTRACT(epoch FROM now() - min(received_at))::float8 AS oldest_seconds
FROM due_submissions GROUP BY 1, 2, 3
UNION ALL
SELECT 'delivery', lane,
       CASE WHEN held THEN 'held' WHEN parked_at IS NOT NULL THEN 'parked'
            WHEN leased THEN 'inflight' WHEN due_at <= now() THEN 'ready' ELSE 'deferred' END,
       count(*), EXTRACT(epoch FROM now() - min(received_at))::float8
FROM due_deliveries GROUP BY 1, 2, 3
UNION ALL
SELECT 'policy', lane, 'quarantined', count(*), EXTRACT(epoch FROM now() - min(received_at))::float8
FROM quarantined_submissions GROUP BY 1, 2, 3
UNION ALL
SELECT 'delivery', lane, 'quarantined', count(*), EXTRACT(epoch FROM now() - min(received_at))::float8
FROM quarantined_deliveries GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;

-- name: list_quarantined
WITH quarantined AS (
    SELECT 'policy' AS stage, account_id, reason, received_at FROM quarantined_submissions
    UNION ALL
    SELECT 'delivery', account_id, reason, received_at FROM quarantined_deliveries
)
SELECT stage, a.name AS account, reason, count(*) AS messages,
       min(received_at) AS oldest, max(received_at) AS newest
FROM quarantined JOIN accounts a ON a.id = account_id GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3;

-- name: quarantine_submissions
WITH gone AS (
    DELETE FROM due_submissions
    RETURNING id, account_id, lane, size, received_at, expires_at, held
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), account_id, id, 'quarantined', jsonb_build_object('reason', $1::text) FROM gone
)
INSERT INTO quarantined_submissions (id, account_id, lane, size, received_at, expires_at, held, reason)
SELECT id, account_id, lane, size, received_at, expires_at, held, $1 FROM gone
RETURNING id;

-- name: quarantine_deliveries
WITH gone AS (
    DELETE FROM due_deliveries d
    RETURNING id, account_id, lane, size, received_at, expires_at, claim, tries, site, held,
              (SELECT submission_id FROM deliveries v WHERE v.id = d.id) AS submission_id
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), account_id, submission_id, id, 'quarantined',
           jsonb_build_object('reason', $1::text)
    FROM gone WHERE submission_id IS NOT NULL
)
INSERT INTO quarantined_deliveries (id, account_id, submission_id, lane, size, received_at, expires_at,
                                claim, tries, site, held, reason)
SELECT id, account_id, submission_id, lane, size, received_at, expires_at, claim, tries, site, held,
       $1
FROM gone
RETURNING id;

-- name: unquarantine_submissions
-- Those of account $1, quarantined for reason $2, accepted after $3 and not after $4; a null does not
-- choose. They get as much time as when they were accepted. That of a held account is held.
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
SELECT id, account_id, lane, size, now(), received_at, now() + (expires_at - received_at),
       EXISTS (SELECT FROM account_holds h WHERE h.account_id = gone.account_id)
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
       tries, site, EXISTS (SELECT FROM account_holds h WHERE h.account_id = gone.account_id)
FROM gone
RETURNING id;

-- name: discard_submissions
WITH gone AS (
    DELETE FROM quarantined_submissions
    WHERE COALESCE(account_id = $1, true) AND COALESCE(reason = $2, true)
      AND COALESCE(received_at > $3, true) AND COALESCE(received_at <= $4, true)
    RETURNING id, account_id
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind)
    SELECT new_id(), account_id, id, 'discarded' FROM gone
)
SELECT id FROM gone;

-- name: discard_deliveries
WITH gone AS (
    DELETE FROM quarantined_deliveries
    WHERE COALESCE(account_id = $1, true) AND COALESCE(reason = $2, true)
      AND COALESCE(received_at > $3, true) AND COALESCE(received_at <= $4, true)
    RETURNING id, account_id, submission_id
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind)
    SELECT new_id(), account_id, submission_id, id, 'discarded' FROM gone
    WHERE submission_id IS NOT NULL
)
SELECT id FROM gone;

-- name: add_partitions
SELECT * FROM add_partitions($1, $2, $3);

-- name: retire_partitions
SELECT * FROM retire_partitions($1, now() - $2::interval, $3, $4, $5);

-- name: thin_partition
SELECT thin_partition($1, $2, $3) AS replaced;

-- name: sweep_default
SELECT * FROM sweep_default($1, $2, $3, now() - $4::interval);

-- name: note_time
-- How far the clock was set back since the time was last noted; negative if it was not. No row while
-- another session notes it.
WITH before AS (SELECT seen FROM clock FOR UPDATE SKIP LOCKED)
UPDATE clock SET seen = now() FROM before RETURNING before.seen - now() AS set_back;

-- name: disable_statement_timeout
SET LOCAL statement_timeout = 0;

-- name: disable_idle_timeout
SET LOCAL idle_in_transaction_session_timeout = 0;

-- name: shift_due_submissions
-- Due times were written while the clock was ahead: they move back by as much. A lease gets its
-- whole time again, because its worker may still be at work and will renew it.
UPDATE due_submissions
SET due_at = GREATEST(due_at - $1::interval, CASE WHEN leased THEN now() + $2::interval ELSE now() END),
    received_at = LEAST(received_at, now()),
    expires_at = expires_at - GREATEST(received_at - now(), interval '0')
WHERE due_at > now() OR received_at > now();

-- name: shift_due_deliveries
UPDATE due_deliveries
SET due_at = GREATEST(due_at - $1::interval, CASE WHEN leased THEN now() + $2::interval ELSE now() END),
    received_at = LEAST(received_at, now()),
    expires_at = expires_at - GREATEST(received_at - now(), interval '0'),
    claimed_at = LEAST(claimed_at, now())
WHERE due_at > now() OR received_at > now();

-- name: reset_future_due_submissions
-- Rows that wait longer than $2, the longest wait there is: they were written while the clock was
-- ahead for a moment, and nothing noted that time.
UPDATE due_submissions
SET due_at = CASE WHEN leased THEN now() + $1::interval ELSE now() END,
    received_at = LEAST(received_at, now()),
    expires_at = expires_at - GREATEST(received_at - now(), interval '0')
WHERE id = ANY(ARRAY(
    SELECT d.id FROM generate_series(1, 5) AS lane CROSS JOIN LATERAL (
        SELECT id FROM due_submissions d
        WHERE d.lane = lane.lane AND NOT d.held AND d.due_at > now() + $2::interval LIMIT 10000
    ) d
))
RETURNING id;

-- name: reset_future_due_deliveries
UPDATE due_deliveries
SET due_at = CASE WHEN leased THEN now() + $1::interval ELSE now() END,
    received_at = LEAST(received_at, now()),
    expires_at = expires_at - GREATEST(received_at - now(), interval '0'),
    claimed_at = LEAST(claimed_at, now())
WHERE id = ANY(ARRAY(
    SELECT d.id FROM generate_series(1, 5) AS lane CROSS JOIN LATERAL (
        SELECT id FROM due_deliveries d
        WHERE d.lane = lane.lane AND d.parked_at IS NULL AND NOT d.held
          AND d.due_at > now() + $2::interval LIMIT 10000
    ) d
))
RETURNING id;

-- name: nobody_leads
-- Cheaper to ask than to keep a session in each process for try_to_lead.
SELECT NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32 | objid::bigint) = $1::bigint
) AS free;

-- name: try_to_lead
SELECT pg_try_advisory_lock($1::bigint) AS leads;

-- name: stop_leading
SELECT pg_advisory_unlock($1::bigint);

-- name: read_events_after
-- Looks at the next $3 events and gives those of the kinds $4 (null: all) that come before every
-- transaction that may still commit. One row at least: the incarnation of the database, the first
-- number that no transaction has yet, the place after all that were looked at, whether others can be
-- read at once, and the age of the first one that was not looked at.
WITH next AS (
    SELECT e.*, e.xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled,
           row_number() OVER (ORDER BY e.xid, e.id) AS place
    FROM witness w CROSS JOIN LATERAL (
        SELECT e.id, e.xid, e.at, e.account_id, e.submission_id, e.delivery_id, e.kind,
               -- Of the others it would only be copied.
               CASE WHEN $4::text[] IS NULL OR e.kind = ANY($4) THEN e.detail END AS detail
        FROM events e WHERE (e.xid, e.id) > ($1, $2) AND e.incarnation = w.number
        ORDER BY e.xid, e.id LIMIT $3 + 1
    ) e
)
SELECT w.incarnation AS of, pg_snapshot_xmax(pg_current_snapshot()) AS unused,
       last.xid AS last_xid, last.id AS last_id, COALESCE(waiting.settled, false) AS more,
       COALESCE(EXTRACT(epoch FROM now() - waiting.at)::float8, 0) AS lag, e.*
FROM witness w
LEFT JOIN LATERAL (
    SELECT xid, id FROM next WHERE settled AND place <= $3 ORDER BY place DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT settled, at FROM next WHERE NOT (settled AND place <= $3) ORDER BY place LIMIT 1
) waiting ON true
LEFT JOIN LATERAL (
    SELECT * FROM next
    WHERE settled AND place <= $3 AND ($4::text[] IS NULL OR kind = ANY($4)) OFFSET 0
) e ON true
ORDER BY e.place;

-- name: tally_events
-- Of the kinds $5, after ($1, $2) up to ($3, $4). Where the event names no host of the other side, it
-- is the one that the message was delivered to. Messages of ours, whose sender is empty, do not count.
-- Of the reports about one delivery the first one counts: its recipient can write any number.
SELECT e.account_id,
       CASE WHEN a.released_at > date_trunc('hour', e.at, 'UTC') AND a.released_at <= e.at
            THEN a.released_at ELSE date_trunc('hour', e.at, 'UTC') END AS began_at,
       COALESCE(s.attributes->>'stream', '') AS stream,
       lower(substring(s.sender FROM '[^@]*$')) AS domain,
       COALESCE(e.detail->>'host', v.host, '') AS host,
       lower(COALESCE(substring(COALESCE(e.detail->>'recipient', v.recipient) FROM '[^@]*$'), ''))
           AS recipient_domain,
       e.kind, COALESCE(e.detail->>'class', '') AS class, count(*) AS count
FROM witness w
CROSS JOIN LATERAL (
    SELECT * FROM events e
    WHERE (e.xid, e.id) > ($1, $2) AND (e.xid, e.id) <= ($3, $4) AND e.incarnation = w.number
      AND e.kind = ANY($5::text[])
      AND NOT (e.kind = 'bounced' AND e.detail ? 'digest' AND EXISTS (
          SELECT FROM events f
          WHERE f.submission_id = e.submission_id AND f.delivery_id = e.delivery_id
            AND f.kind = 'bounced' AND (f.xid, f.id) < (e.xid, e.id)
      ))
) e
JOIN accounts a ON a.id = e.account_id
CROSS JOIN LATERAL (
    SELECT sender, attributes FROM submissions s
    WHERE s.id = e.submission_id AND s.sender <> '' OFFSET 0
) s
LEFT JOIN LATERAL (
    SELECT v.recipient, (SELECT t.host FROM attempts t WHERE t.delivery_id = v.id
                         ORDER BY t.claim DESC LIMIT 1) AS host
    FROM deliveries v WHERE v.id = e.delivery_id AND NOT e.detail ? 'host' OFFSET 0
) v ON true
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- name: add_statistics
INSERT INTO account_statistics AS s
SELECT * FROM unnest($1::statistic_row_1[])
ON CONFLICT (account_id, began_at, stream, domain, provider, kind, class)
DO UPDATE SET count = s.count + EXCLUDED.count;

-- name: sum_statistics
-- Of the accounts $1 that may be held: bounces within $2, complaints within $3, since the release.
SELECT a.id AS account_id, a.name, a.bounce_address, s.*
FROM accounts a CROSS JOIN LATERAL (
    SELECT COALESCE(sum(count) FILTER (WHERE kind IN ('delivered', 'bounced')
                                         AND began_at > now() - $2::interval), 0)::bigint AS ended,
           COALESCE(sum(count) FILTER (WHERE kind = 'bounced' AND class = ANY($4::text[])
                                         AND began_at > now() - $2::interval), 0)::bigint AS hard,
           COALESCE(sum(count) FILTER (WHERE kind = 'delivered'
                                         AND began_at > now() - $3::interval), 0)::bigint AS delivered,
           COALESCE(sum(count) FILTER (WHERE kind = 'complained'
                                         AND began_at > now() - $3::interval), 0)::bigint AS complaints
    FROM account_statistics
    WHERE account_id = a.id AND began_at > now() - GREATEST($2::interval, $3::interval)
      AND began_at >= COALESCE(a.released_at, '-infinity')
) s
WHERE a.id = ANY($1::uuid[]) AND a.automatic_hold
  AND NOT EXISTS (SELECT FROM account_holds h WHERE h.account_id = a.id);

-- name: read_statistics
SELECT CASE $3 WHEN 'stream' THEN stream WHEN 'domain' THEN domain WHEN 'provider' THEN provider
               WHEN 'class' THEN class
               ELSE to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS part,
       COALESCE(sum(count) FILTER (WHERE kind = 'delivered'), 0)::bigint AS delivered,
       COALESCE(sum(count) FILTER (WHERE kind = 'deferred'), 0)::bigint AS deferred,
       COALESCE(sum(count) FILTER (WHERE kind = 'bounced'), 0)::bigint AS bounced,
       COALESCE(sum(count) FILTER (WHERE kind = 'bounced' AND class = ANY($4::text[])), 0)::bigint
           AS hard,
       COALESCE(sum(count) FILTER (WHERE kind = 'expired'), 0)::bigint AS expired,
       COALESCE(sum(count) FILTER (WHERE kind = 'complained'), 0)::bigint AS complained,
       COALESCE(sum(count) FILTER (WHERE kind = 'unsubscribed'), 0)::bigint AS unsubscribed
FROM account_statistics
WHERE account_id = $1 AND began_at > now() - $2::interval
GROUP BY 1 ORDER BY 1;

-- name: forget_statistics
DELETE FROM account_statistics WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM account_statistics WHERE began_at < now() - $1::interval LIMIT $2
))
RETURNING count;

-- name: write_to_disk
-- Commits of all others before this one are on disk when this one is.
SELECT pg_logical_emit_message(true, 'posthouse', '');

-- name: begin_incarnation
SELECT begin_incarnation();

-- name: read_witness
SELECT database = this_database() AS same, folder FROM witness FOR UPDATE;

-- name: stamp_database_identity
UPDATE witness SET database = this_database(), folder = COALESCE($1, folder);

-- name: was_restored
SELECT database <> this_database() AS restored FROM witness;

-- name: schema_version
SELECT max(version) AS version FROM schema_migrations;

-- name: round_trip
SELECT 1 AS answer;
