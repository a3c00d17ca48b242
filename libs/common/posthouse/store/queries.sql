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
    FROM unnest($1::accept_row_2[]) AS t
), kept AS (
    INSERT INTO contents (id, header, body, dsn) SELECT * FROM unnest($2::content_row_2[])
), submitted AS (
    INSERT INTO submissions (id, account_id, credential_id, profile, profile_revision, lane, sender,
                             recipients, smtputf8, client, helo, tls, size, attributes, subject,
                             author, author_name)
    SELECT id, account_id, credential_id, profile, profile_revision, lane, sender, recipients,
           smtputf8, client, helo, tls, size, attributes, subject, author, author_name
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

-- name: has_just_accepted_high
-- Whether a process accepted mail of lane 1 or 2 within the last second, by its clock.
SELECT EXISTS (
    SELECT FROM submissions WHERE id >= first_id_of(now() - interval '1 second') AND lane <= 2
) AS found;

-- name: claim_idempotency_keys
-- Which message each key stands for: the one beside it, if the key was free or counts no more. Of two
-- at the same moment the second waits for the first, and the order keeps batches from waiting for each
-- other in a circle. The timeline of the first tells that it came again, and that of another that is accepted.
WITH input AS (
    SELECT * FROM unnest($1::idempotency_row_2[])
), claimed AS (
    INSERT INTO idempotency_keys AS k (account_id, key, submission_id, digest, until)
    SELECT DISTINCT ON (account_id, key) account_id, key, id, digest, now() + counts_for
    FROM input ORDER BY account_id, key, id
    ON CONFLICT (account_id, key) DO UPDATE
    SET submission_id = CASE WHEN k.until > now() THEN k.submission_id
                             ELSE EXCLUDED.submission_id END,
        digest = CASE WHEN k.until > now() THEN k.digest ELSE EXCLUDED.digest END,
        at = CASE WHEN k.until > now() THEN k.at ELSE EXCLUDED.at END,
        until = CASE WHEN k.until > now() THEN k.until ELSE EXCLUDED.until END
    RETURNING account_id, key, submission_id, digest, until
), judged AS (
    SELECT i.id, c.submission_id AS first, c.digest = i.digest AS same, i.only_reported, i.account_id,
           c.until, CASE WHEN ascii(i.key) < 128 THEN i.key END AS key  -- others are made of the message
    FROM input i JOIN claimed c ON c.account_id = i.account_id AND c.key = i.key
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), account_id, e.of, 'resubmitted', jsonb_strip_nulls(jsonb_build_object(
               'key', key, 'known_until', until, 'accepted_as', e.accepted_as, 'repeats', e.repeats))
    FROM judged CROSS JOIN LATERAL (
        SELECT first, CASE WHEN only_reported THEN id END, NULL::uuid
        UNION ALL SELECT id, NULL, first WHERE only_reported
    ) AS e(of, accepted_as, repeats)
    WHERE first <> id AND same
)
SELECT id, first, same, only_reported FROM judged;

-- name: find_idempotency_key
SELECT submission_id, until FROM idempotency_keys
WHERE account_id = $1 AND key = $2 AND until > now();

-- name: forget_idempotency_keys
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE until < now() LIMIT $1
)) AND until < now()
RETURNING 1;

-- name: count_sandbox_message
-- No row: the account has had $2 accepted.
INSERT INTO sandbox_counts AS c (account_id, accepted) SELECT $1, 1 WHERE $2::integer > 0
ON CONFLICT (account_id) DO UPDATE SET accepted = c.accepted + 1 WHERE c.accepted < $2
RETURNING accepted;

-- name: schedule_submissions
-- Of those that this transaction has just accepted; one whose time has come stays due.
WITH later AS (
    SELECT * FROM unnest($1::schedule_row_1[]) WHERE send_at > now()
), gone AS (
    DELETE FROM due_submissions d USING later l
    WHERE d.id = ANY(ARRAY(SELECT id FROM later)) AND d.id = l.id
    RETURNING d.id, d.account_id, d.lane, d.size, d.received_at, d.expires_at, l.send_at
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), account_id, id, 'scheduled', jsonb_build_object('send_at', send_at) FROM gone
)
INSERT INTO scheduled_submissions (id, account_id, lane, size, received_at, send_at, keep_trying)
SELECT id, account_id, lane, size, received_at, send_at, expires_at - received_at FROM gone
RETURNING id;

-- name: first_scheduled
SELECT EXTRACT(epoch FROM min(send_at) - now())::float8 AS seconds FROM scheduled_submissions;

-- name: open_scheduled_submissions
-- Up to $1 whose time has come, the longest overdue first; how many of each lane came due.
WITH due AS (
    SELECT id FROM scheduled_submissions WHERE send_at <= now()
    ORDER BY send_at LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM scheduled_submissions WHERE id = ANY(ARRAY(SELECT id FROM due)) RETURNING *
), opened AS (
    INSERT INTO due_submissions (id, account_id, lane, size, due_at, expires_at, held, hold_reason)
    SELECT id, account_id, lane, size, send_at, send_at + keep_trying,
           hold_reason IS NOT NULL OR account_id = ANY(ARRAY(SELECT account_id FROM account_holds)),
           hold_reason
    FROM gone
    RETURNING lane
)
SELECT lane, count(*) AS messages FROM opened GROUP BY lane ORDER BY lane;

-- name: list_scheduled
-- Those that come first, of account $1 or of all.
SELECT q.id, a.name AS account, q.lane, q.send_at, s.sender, s.recipients
FROM (SELECT * FROM scheduled_submissions WHERE COALESCE(account_id = $1, true)
      ORDER BY send_at LIMIT $2) q
JOIN accounts a ON a.id = q.account_id
CROSS JOIN LATERAL (SELECT sender, recipients FROM submissions s WHERE s.id = q.id OFFSET 0) s
ORDER BY q.send_at, q.id;

-- name: cancel_scheduled_submission
WITH gone AS (
    DELETE FROM scheduled_submissions WHERE id = $1 RETURNING id, account_id, send_at
)
INSERT INTO events (id, account_id, submission_id, kind, detail)
SELECT new_id(), account_id, id, 'cancelled', jsonb_build_object('by', $2::text, 'send_at', send_at)
FROM gone
RETURNING submission_id;

-- name: lock_rate_limits
-- Those of the owners $1, always locked in one order.
SELECT *, now() AS now FROM rate_limits WHERE owner_id = ANY($1::uuid[])
ORDER BY owner_id, counted, period FOR UPDATE;

-- name: count_rates
UPDATE rate_limits r SET window_at = t.window_at, used = t.used, told = t.told
FROM unnest($1::rate_row_1[]) AS t
WHERE r.owner_id = ANY(ARRAY(SELECT owner_id FROM unnest($1)))
  AND r.owner_id = t.owner_id AND r.counted = t.counted AND r.period = t.period;

-- name: find_limit_owner
SELECT id, account_id FROM credentials WHERE username = $1 AND deleted_at IS NULL;

-- name: set_rate_limit
-- With another action it counts from now on: a window ahead of the clock means nothing to it.
INSERT INTO rate_limits AS r (owner_id, counted, period, most, action) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (owner_id, counted, period) DO UPDATE
SET most = EXCLUDED.most, action = EXCLUDED.action,
    window_at = CASE WHEN r.action = EXCLUDED.action THEN r.window_at ELSE 'epoch' END
RETURNING owner_id;

-- name: remove_rate_limit
DELETE FROM rate_limits WHERE owner_id = $1 AND counted = $2 AND period = $3 RETURNING owner_id;

-- name: list_rate_limits
SELECT *, now() AS now FROM rate_limits WHERE owner_id = $1 ORDER BY counted, period;

-- name: forget_rate_windows
-- Those that lie ahead of a clock that was set back: they would be counted in for too long.
UPDATE rate_limits SET window_at = 'epoch' WHERE window_at > now();

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
    RETURNING d.id, d.account_id, d.lane, d.received_at, d.expires_at, d.hold_reason,
              d.held OR d.account_id = ANY(ARRAY(SELECT account_id FROM account_holds)) AS held
), rendered AS (
    INSERT INTO renditions (id, submission_id, header, body, edits)
    SELECT t.* FROM unnest($2::rendition_row_2[]) AS t JOIN done ON done.id = t.submission_id
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
                                leased, held, hold_reason, claimed_at, site)
    SELECT t.id, done.account_id, done.lane, t.size,
           CASE WHEN h.handed THEN now() + $5::interval ELSE now() END,
           done.received_at, done.expires_at, h.handed::integer, h.handed, done.held, done.hold_reason,
           CASE WHEN h.handed THEN now() END, t.site
    FROM sent t JOIN done ON done.id = t.submission_id
    CROSS JOIN LATERAL (
        SELECT t.handed AND NOT done.held AND done.lane <= (SELECT lowest FROM free) AS handed
    ) h
    RETURNING id, lane, leased, received_at, expires_at
)
SELECT * FROM opened;

-- name: keep_link_sets
-- Before prepare_submissions, for which it would cost a third more, also without links. A set that no
-- message has in the end, because its claim was lost, is forgotten in time. Those are returned that
-- were there a minute ago, so that no crash can take them back, and that nobody forgets.
WITH kept AS (
    -- Once in four weeks at most, so that mail with the same links writes nothing.
    UPDATE link_sets l SET used_at = now()
    WHERE l.id = ANY(ARRAY(SELECT id FROM unnest($1::link_set_row_1[])))
      AND l.used_at < now() - interval '28 days'
    RETURNING 1
), added AS (
    INSERT INTO link_sets (id, account_id, targets)
    SELECT id, account_id, targets FROM unnest($1::link_set_row_1[])
    -- After the update: one that is old is ours then, or was forgotten and is written again.
    WHERE (SELECT count(*) FROM kept) >= 0
    ON CONFLICT (id) DO NOTHING
)
SELECT id FROM link_sets
WHERE id = ANY(ARRAY(SELECT id FROM unnest($1::link_set_row_1[])))
  AND used_at BETWEEN now() - interval '28 days' AND now() - interval '1 minute';

-- name: keep_in_sandbox
-- Before prepare_submissions, in its transaction: nothing of those whose claim was lost.
INSERT INTO sandbox_messages (id, submission_id, account_id, sender, recipients, delivered_to,
                              header, body)
SELECT t.id, t.submission_id, t.account_id, t.sender, t.recipients, t.delivered_to, t.header, t.body
FROM unnest($1::sandbox_row_1[]) AS t
CROSS JOIN LATERAL (
    SELECT FROM due_submissions d WHERE d.id = t.submission_id AND d.claim = t.claim
    OFFSET 0 FOR UPDATE
) d;

-- name: list_sandbox
-- The newest, of account $1 or of all.
SELECT m.id, m.submission_id, a.name AS account, m.kept_at, m.sender, m.recipients, m.delivered_to,
       m.header, octet_length(m.body) AS body_octets
FROM (SELECT * FROM sandbox_messages WHERE COALESCE(account_id = $1, true)
      ORDER BY kept_at DESC LIMIT $2) m
JOIN accounts a ON a.id = m.account_id ORDER BY m.kept_at DESC, m.id;

-- name: find_in_sandbox
-- By the id of the message, which is in the reply to its client.
SELECT header, body FROM sandbox_messages WHERE submission_id = $1 ORDER BY id;

-- name: sweep_sandbox
DELETE FROM sandbox_messages WHERE id = ANY(ARRAY(
    SELECT id FROM sandbox_messages WHERE kept_at < now() - $1::interval ORDER BY kept_at LIMIT $2
))
RETURNING 1;

-- name: find_link_set
SELECT account_id, targets FROM link_sets WHERE id = $1;

-- name: find_visited_deliveries
-- When each was delivered, as far as that is known: a final dot without a reply may have been taken.
SELECT d.id, d.account_id, d.submission_id, now() - a.delivered_at AS delivered_ago,
       COALESCE(a.is_clear, true) AS is_clear
FROM unnest($1::uuid[]) AS t(id)
CROSS JOIN LATERAL (
    SELECT id, account_id, submission_id FROM deliveries d WHERE d.id = t.id OFFSET 0
) d
CROSS JOIN LATERAL (
    SELECT min(finished_at) FILTER (WHERE outcome = 'delivered') AS delivered_at,
           bool_and(outcome <> 'uncertain') AS is_clear
    FROM attempts a WHERE a.delivery_id = d.id OFFSET 0
) a;

-- name: record_visits
-- Under ids that were given when it happened, so that a batch whose result was lost is written once.
INSERT INTO events (id, at, account_id, submission_id, delivery_id, kind, detail)
SELECT v.id, now() - v.ago, v.account_id, v.submission_id, v.delivery_id, v.kind, v.detail
FROM unnest($1::uuid[], $2::interval[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::jsonb[])
    AS v(id, ago, account_id, submission_id, delivery_id, kind, detail)
ON CONFLICT (id) DO NOTHING
RETURNING 1;

-- name: forget_link_sets
-- The time of use may be a month old where a set is used every day.
DELETE FROM link_sets WHERE id = ANY(ARRAY(
    SELECT id FROM link_sets WHERE used_at < now() - $1::interval - interval '30 days' ORDER BY used_at LIMIT $2
)) AND used_at < now() - $1::interval - interval '30 days'
RETURNING 1;

-- name: forget_visits
-- Opens and clicks older than $1: of the next $2 events in the order of their ids, so that each event
-- is looked at once.
WITH looked AS (
    SELECT id, kind FROM events
    WHERE id > COALESCE((SELECT until FROM retention_cursors WHERE kind = 'visits'),
                        '00000000-0000-0000-0000-000000000000')
      AND id < first_id_of(now() - $1::interval)
    ORDER BY id LIMIT $2
), gone AS (
    DELETE FROM events WHERE id = ANY(ARRAY(SELECT id FROM looked WHERE kind IN ('opened', 'clicked')))
    RETURNING 1
), noted AS (
    INSERT INTO retention_cursors SELECT 'visits', id FROM looked ORDER BY id DESC LIMIT 1
    ON CONFLICT (kind) DO UPDATE SET until = EXCLUDED.until
)
SELECT (SELECT count(*) FROM looked) AS looked, (SELECT count(*) FROM gone) AS gone;

-- name: forget_audit
DELETE FROM audit WHERE id = ANY(ARRAY(
    SELECT id FROM audit WHERE id < first_id_of(now() - $1::interval) ORDER BY id LIMIT $2
)) RETURNING 1;

-- name: ask_for_confirmation
-- No row: it was asked less than $5 ago.
INSERT INTO confirmed_addresses AS c (account_id, normal, address, code_hash)
VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id, normal) DO UPDATE
SET address = EXCLUDED.address, code_hash = EXCLUDED.code_hash, asked_at = now(), tries = 0
WHERE c.asked_at < now() - $5::interval
RETURNING address;

-- name: confirm_address
-- `matched`: it is the code that was asked for within $4; null when there is none, or when $5 wrong
-- ones were tried: then no other is compared.
WITH tried AS (
    UPDATE confirmed_addresses
    SET tries = tries + 1,
        confirmed_at = CASE WHEN code_hash = $3 THEN COALESCE(confirmed_at, now()) ELSE confirmed_at END
    WHERE account_id = $1 AND normal = $2 AND asked_at > now() - $4::interval AND tries < $5
    RETURNING code_hash = $3 AS matched
)
SELECT (SELECT matched FROM tried) AS matched;

-- name: find_confirmed
SELECT t.place FROM unnest($1::address_row_1[]) WITH ORDINALITY AS t(account_id, normal, place)
WHERE (SELECT c.confirmed_at IS NOT NULL FROM confirmed_addresses c
       WHERE c.account_id = t.account_id AND c.normal = t.normal);

-- name: list_confirmations
SELECT address, asked_at, confirmed_at FROM confirmed_addresses WHERE account_id = $1 ORDER BY address;

-- name: remove_confirmation
DELETE FROM confirmed_addresses WHERE account_id = $1 AND normal = $2 RETURNING address;

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
-- deliveries share comes once, with the first, and so does what its sender asked about reports.
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
SELECT due.lanes AS due_lanes, preempting.by AS preempted_by, found.*, message.*,
    cardinality(due.lanes) > 1 OR preempting.by IS NOT NULL OR due.lanes[1] > $4
    OR (SELECT count(*) FROM picked) = $1
    OR (SELECT count(*) FROM suspect) > 0 AS more
FROM due CROSS JOIN preempting LEFT JOIN found ON true
LEFT JOIN LATERAL (
    SELECT CASE WHEN found.size <= $5 THEN r.header END AS header,
           CASE WHEN found.size <= $5 THEN COALESCE(r.body, c.body) END AS body,
           CASE WHEN found.size <= $5 THEN r.edits END AS edits, c.dsn
    FROM renditions r
    CROSS JOIN LATERAL (SELECT body, dsn FROM contents WHERE id = r.submission_id OFFSET 0) c
    WHERE found.first AND r.id = found.rendition_id OFFSET 0
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
SELECT found.*, message.* FROM found
LEFT JOIN LATERAL (
    SELECT CASE WHEN found.size <= $4 THEN r.header END AS header,
           CASE WHEN found.size <= $4 THEN COALESCE(r.body, c.body) END AS body,
           CASE WHEN found.size <= $4 THEN r.edits END AS edits, c.dsn
    FROM renditions r
    CROSS JOIN LATERAL (SELECT body, dsn FROM contents WHERE id = r.submission_id OFFSET 0) c
    WHERE found.first AND r.id = found.rendition_id OFFSET 0
) message ON true
ORDER BY found.lane, found.received_at;

-- name: read_message
-- The text of a large message, which claims leave out.
SELECT r.header, COALESCE(r.body, c.body) AS body, r.edits
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

-- name: begin_to_follow
-- Behind all events that there are, if it does not follow them yet.
INSERT INTO event_cursors
SELECT $1, incarnation, pg_snapshot_xmin(pg_current_snapshot()), '00000000-0000-0000-0000-000000000000'
FROM witness
ON CONFLICT DO NOTHING;

-- name: move_event_cursor
-- From ($3, $4, $5) to ($6, $7, $8), unless another process has the turn $2, or has moved it.
UPDATE event_cursors SET incarnation = $6, xid = $7, id = $8
WHERE reader = $1 AND (incarnation, xid, id) = ($3, $4, $5) AND pg_try_advisory_xact_lock($2::bigint)
RETURNING true AS moved;

-- name: note_untold
-- Those of the kinds $6 after ($2, $3) up to ($4, $5), and results for which we owe a report. Those of
-- messages from the null reverse-path are told to nobody, so that no report answers another (RFC 5321
-- section 6.1). A recipient is told about once, by each means. What the sender asked
-- about a recipient decides what it hears (RFC 3461); failures, if it did not say. What it asked for comes
-- after $1 as well, but an hour after it has had a report like that about another recipient.
WITH happened AS (
    SELECT t.*, a.dsn, a.bounce_address
    FROM witness w
    CROSS JOIN LATERAL (
        SELECT submission_id, delivery_id, account_id, kind, at, COALESCE(detail, '{}') AS detail
        FROM events e
        WHERE (e.xid, e.id) > ($2, $3) AND (e.xid, e.id) <= ($4, $5) AND e.incarnation = w.number
          AND (e.kind = ANY($6::text[])
               OR e.kind IN ('delivered', 'deferred', 'uncertain')
                  AND e.detail->>'dsn' IN ('relayed', 'delayed'))
        ORDER BY e.xid, e.id
    ) t
    JOIN accounts a ON a.id = t.account_id
), input AS (
    SELECT t.*, s.sender, r.told, s.asked->r.told->'notify' AS notify,
           t.kind IN ('bounced', 'expired', 'suppressed') AS failed
    FROM happened t
    CROSS JOIN LATERAL (
        SELECT sender, attributes->'dsn'->'recipients' AS asked
        FROM submissions s WHERE s.id = t.submission_id AND s.sender <> '' OFFSET 0
    ) s
    LEFT JOIN LATERAL (
        SELECT recipient FROM deliveries v WHERE v.id = t.delivery_id OFFSET 0
    ) v ON true
    CROSS JOIN LATERAL (SELECT COALESCE(t.detail->>'recipient', v.recipient) AS told) r
), reports AS (
    INSERT INTO untold_reports (submission_id, recipient, action, account_id, delivery_id, kind, at,
                                detail, due_at)
    SELECT i.submission_id, i.told, a.action, i.account_id, i.delivery_id, i.kind, i.at, i.detail,
           now() + CASE WHEN r.had_one THEN GREATEST($1::interval, interval '1 hour') ELSE $1::interval END
    FROM input i CROSS JOIN LATERAL (
        SELECT CASE i.kind WHEN 'delayed' THEN 'delayed' WHEN 'confirmed' THEN i.detail->>'action'
                           ELSE i.detail->>'dsn' END AS action
    ) a CROSS JOIN LATERAL (
        SELECT count(*) > 0 AS had_one,
               COALESCE(bool_or(e.detail->>'recipient' = i.told), false) AS had_this
        FROM events e
        WHERE e.submission_id = i.submission_id AND e.kind = 'notified'
          AND e.detail->>'action' = a.action
    ) r
    WHERE i.dsn AND NOT i.failed AND i.delivery_id IS NOT NULL AND i.told IS NOT NULL
      AND i.notify ? CASE a.action WHEN 'delayed' THEN 'delay' ELSE 'success' END AND NOT r.had_this
    ON CONFLICT DO NOTHING
)
INSERT INTO untold_failures (submission_id, recipient, means, address, account_id, delivery_id, kind,
                             at, detail, due_at)
SELECT i.submission_id, i.told, w.means, w.address, i.account_id, i.delivery_id, i.kind, i.at,
       i.detail, now() + $1::interval
FROM input i CROSS JOIN LATERAL (
    VALUES ('dsn', CASE WHEN i.dsn AND COALESCE(i.notify ? 'failure', true) THEN i.sender END),
           ('forward', i.bounce_address)
) AS w(means, address)
WHERE i.failed AND w.address IS NOT NULL AND i.told IS NOT NULL AND NOT EXISTS (
    SELECT FROM events e
    WHERE e.submission_id = i.submission_id AND e.kind = 'notified'
      AND e.detail->>'recipient' = i.told AND e.detail->>'means' = w.means
)
ON CONFLICT DO NOTHING;

-- name: note_alerts
-- What accounts want to hear of the events after ($1, $2) up to ($3, $4), due as often as each has chosen
-- for its kind; $5: how often where it has not. An alert of a kind that is not known is told at once.
INSERT INTO untold_alerts (account_id, alert, submission_id, at, detail, due_at)
SELECT t.account_id, k.alert, t.submission_id, t.at,
       CASE WHEN t.kind = 'alerted' THEN t.detail
            ELSE t.detail || jsonb_build_object('alert', k.alert, 'kind', t.kind, 'recipient',
                COALESCE(t.detail->>'recipient',
                         (SELECT recipient FROM deliveries v WHERE v.id = t.delivery_id))) END,
       CASE p.pace
           WHEN 'hourly' THEN date_trunc('hour', t.at, 'UTC') + interval '1 hour'
           WHEN 'daily' THEN date_trunc('day', t.at, 'UTC') + interval '1 day'
           WHEN 'weekly' THEN date_trunc('week', t.at, 'UTC') + interval '7 days'
           ELSE now() END
FROM witness w
CROSS JOIN LATERAL (
    SELECT submission_id, delivery_id, account_id, kind, at, COALESCE(detail, '{}') AS detail
    FROM events e
    WHERE (e.xid, e.id) > ($1, $2) AND (e.xid, e.id) <= ($3, $4) AND e.incarnation = w.number
      AND (e.kind IN ('alerted', 'unsubscribed', 'bounced', 'expired', 'quarantined')
           OR e.kind = 'delivered' AND e.submission_id < first_id_of(now() - interval '1 minute'))
) t
JOIN accounts a ON a.id = t.account_id AND a.alerts AND a.alert_address IS NOT NULL
CROSS JOIN LATERAL (
    SELECT CASE t.kind WHEN 'alerted' THEN t.detail->>'alert'
                       WHEN 'unsubscribed' THEN 'unsubscribed'
                       WHEN 'delivered' THEN 'delivered_late'
                       -- Without an attempt it was a rule of ours.
                       WHEN 'bounced' THEN CASE WHEN t.delivery_id IS NULL THEN 'not_sent' ELSE 'bounced' END
                       ELSE 'not_sent' END AS alert
) k
CROSS JOIN LATERAL (SELECT COALESCE(a.alert_paces->>k.alert, $5::jsonb->>k.alert, 'at_once') AS pace) p
WHERE k.alert IS NOT NULL AND p.pace <> 'never'
  AND (t.kind <> 'delivered' OR t.at - time_of_id(t.submission_id) > a.late_after);

-- name: due_failures
-- The submission whose failures have been due longest, and the address to tell. The body comes where it
-- is sent on, or where the sender wants it back and the message has no more than $3 octets.
SELECT u.submission_id, u.account_id, u.means, u.address, s.sender, s.lane, s.credential_id,
       s.profile, s.profile_revision, s.attributes->'dsn' AS dsn, c.header,
       CASE WHEN u.means = 'forward' OR s.attributes->'dsn'->>'ret' = 'full' AND s.size <= $3
            THEN c.body END AS body,
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

-- name: due_report
-- The submission and action that have been due longest.
SELECT u.submission_id, u.account_id, 'report' AS means, u.action, s.sender AS address, s.sender,
       s.lane, s.credential_id, s.profile, s.profile_revision, s.attributes->'dsn' AS dsn, c.header,
       NULL::bytea AS body
FROM (SELECT * FROM untold_reports WHERE due_at <= now() ORDER BY due_at LIMIT 1) u
LEFT JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = u.submission_id OFFSET 0) s ON true
LEFT JOIN LATERAL (SELECT * FROM contents c WHERE c.id = u.submission_id OFFSET 0) c ON true;

-- name: recipients_of_report
SELECT recipient, kind, at, detail FROM untold_reports
WHERE submission_id = $1 AND action = $2 ORDER BY at, recipient;

-- name: put_off_report
UPDATE untold_reports SET due_at = now() + interval '1 minute' WHERE submission_id = $1 AND action = $2;

-- name: end_report
-- As end_failures.
WITH gone AS (
    DELETE FROM untold_reports WHERE submission_id = $1 AND action = $2 RETURNING *
)
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), account_id, submission_id, delivery_id, 'notified', jsonb_build_object(
           'recipient', recipient, 'means', 'report', 'action', action, 'notice', $3::text)
FROM gone WHERE $3::text IS NOT NULL;

-- name: put_into_digest
-- All of an address whose hour is full, up to the end of that hour.
UPDATE untold_failures u SET in_digest = true, due_at = w.began_at + $3::interval
FROM notice_windows w
WHERE w.account_id = $1 AND w.address = $2
  AND u.account_id = $1 AND u.address = $2 AND u.means = 'dsn' AND NOT u.in_digest;

-- name: put_off_failures
UPDATE untold_failures SET due_at = now() + interval '1 minute'
WHERE submission_id = $1 AND means = $2;

-- name: put_off_digest
UPDATE untold_failures SET due_at = GREATEST(due_at, now() + interval '1 minute')
WHERE account_id = $1 AND address = $2 AND in_digest;

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

-- name: end_failures
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

-- name: forget_untold
WITH alerts AS (DELETE FROM untold_alerts), reports AS (DELETE FROM untold_reports)
DELETE FROM untold_failures;

-- name: record_alert
INSERT INTO events (id, account_id, submission_id, kind, detail)
VALUES (new_id(), $1, $2, 'alerted', $3);

-- name: due_alerts
-- The first $3 alerts of the account and kind that have been due longest; `count`: of all that are due.
WITH due AS (
    SELECT account_id, alert,
           EXISTS (SELECT FROM alert_windows w
                   WHERE w.account_id = u.account_id AND w.alert = u.alert
                     AND w.began_at > now() - $1::interval AND w.sent >= $2) AS full
    FROM (SELECT account_id, alert FROM untold_alerts WHERE due_at <= now()
          ORDER BY due_at LIMIT 1) u
)
SELECT u.account_id, u.alert, u.submission_id, u.at, u.detail, a.name AS account,
       CASE WHEN a.alerts THEN a.alert_address END AS address, due.full, count(*) OVER () AS count
FROM due JOIN untold_alerts u USING (account_id, alert) JOIN accounts a ON a.id = u.account_id
WHERE u.due_at <= now() ORDER BY u.at, u.id LIMIT $3;

-- name: gather_alerts
-- Up to the end of the hour, which is full.
UPDATE untold_alerts u SET due_at = w.began_at + $3::interval
FROM alert_windows w
WHERE w.account_id = $1 AND w.alert = $2
  AND u.account_id = $1 AND u.alert = $2 AND u.due_at <= now();

-- name: put_off_alerts
UPDATE untold_alerts SET due_at = now() + interval '1 minute'
WHERE account_id = $1 AND alert = $2 AND due_at <= now();

-- name: end_alerts
DELETE FROM untold_alerts WHERE account_id = $1 AND alert = $2 AND due_at <= now();

-- name: forget_alert_windows
DELETE FROM alert_windows WHERE began_at <= now() - $1::interval;

-- name: count_alert
INSERT INTO alert_windows AS w (account_id, alert, sent) VALUES ($1, $2, 1)
ON CONFLICT (account_id, alert) DO UPDATE SET sent = w.sent + 1;

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
-- With the domains of each of the account's children, the newest revision of a profile of its own, and
-- the account's streams and settings of senders; `is_limited`: it, its account or a child of that has
-- rate limits.
SELECT c.id AS credential_id, c.account_id, c.username, c.secret_hash, c.profile, c.lane,
       CASE WHEN c.made_of = c.secret_hash THEN c.scram END AS scram,
       CASE WHEN c.made_of = c.secret_hash THEN c.sealed END AS sealed,
       CASE WHEN c.previous_until > now() THEN c.previous_hash END AS previous_hash,
       c.highest_lane, c.permissions, c.resubmission, p.revision, p.preset, p.preset_revision, p.knobs,
       ARRAY(SELECT d.name FROM domain_accounts o JOIN sending_domains d ON d.id = o.domain_id
             WHERE o.account_id = c.account_id AND d.verified_at IS NOT NULL) AS domains,
       (SELECT jsonb_object_agg(of_child.id, of_child.names) FROM (
            SELECT a.id, jsonb_agg(d.name) AS names
            FROM accounts a JOIN domain_accounts o ON o.account_id = a.id
            JOIN sending_domains d ON d.id = o.domain_id
            WHERE a.parent_id = c.account_id AND d.verified_at IS NOT NULL
            GROUP BY a.id) of_child) AS domains_of_children,
       (SELECT jsonb_agg(jsonb_build_array(s.name, s.code, s.flags))
        FROM streams s WHERE s.account_id = c.account_id) AS streams,
       (SELECT jsonb_object_agg(s.normal, s.flags)
        FROM sender_settings s WHERE s.account_id = c.account_id) AS sender_flags,
       (SELECT count(*) > 0 FROM rate_limits r
        WHERE r.owner_id = ANY(ARRAY[c.id, c.account_id] || ARRAY(
            SELECT a.id FROM accounts a WHERE a.parent_id = c.account_id))) AS is_limited
FROM credentials c LEFT JOIN LATERAL (
    SELECT * FROM profiles p WHERE p.account_id = c.account_id AND p.name = c.profile
    ORDER BY p.revision DESC LIMIT 1
) p ON true
WHERE c.username = $1 AND c.deleted_at IS NULL AND c.active
  AND (c.expires_at IS NULL OR c.expires_at > now());

-- name: find_scram
SELECT CASE WHEN made_of = secret_hash THEN scram END AS scram FROM credentials
WHERE username = $1 AND deleted_at IS NULL AND active AND (expires_at IS NULL OR expires_at > now());

-- name: find_user_of_secret
-- If there is one only.
SELECT min(username) AS username FROM credentials
WHERE deleted_at IS NULL
  AND (secret_hash = $1 OR (previous_hash = $1 AND previous_until > now()))
HAVING count(*) = 1;

-- name: lock_credentials
-- Against others that write; logins and mail go on.
LOCK TABLE credentials IN SHARE ROW EXCLUSIVE MODE;

-- name: secret_is_taken
-- Whether another user than $2 has it.
SELECT EXISTS (SELECT FROM credentials WHERE deleted_at IS NULL AND username <> $2
               AND (secret_hash = $1 OR (previous_hash = $1 AND previous_until > now())));

-- name: find_child
SELECT id FROM accounts WHERE parent_id = $1 AND name = $2;

-- name: find_sending_domains
-- A row for each active key of those that are verified and may be used by the account beside them.
-- Its tracking host leads here where a probe within $2 has found that.
SELECT t.place, d.name, d.return_path_host, k.selector, k.algorithm, k.sealed,
       h.host AS tracking_host, h.finding AS tracking_finding, h.probed_at IS NOT NULL AS is_probed,
       h.led_here_at > now() - $2::interval AS leads_here
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
LEFT JOIN LATERAL (
    SELECT host, finding, probed_at, led_here_at FROM tracking_hosts WHERE domain_id = d.id OFFSET 0
) h ON true
ORDER BY t.place, k.algorithm DESC, k.selector;

-- name: find_owned_elsewhere
-- Those of the domains $2 that others have verified, and that account $1 or a child of it may not use.
SELECT d.name FROM unnest($2::text[]) AS t(name)
CROSS JOIN LATERAL (
    SELECT id, name FROM sending_domains
    WHERE name = t.name AND verified_at IS NOT NULL OFFSET 0
) d
WHERE NOT EXISTS (
    SELECT FROM domain_accounts o WHERE o.domain_id = d.id AND o.account_id = ANY(ARRAY(
        SELECT $1 UNION ALL SELECT id FROM accounts WHERE parent_id = $1))
);

-- name: create_stream
-- Unless account $1 has $6 of them, or one that is called by this name or code. All but its flags $4, and
-- those of $5, which are as the profile says, is as of the one that is called $7.
WITH others AS (
    SELECT count(*) >= $6 AS many, COALESCE(bool_or(name = $7), false) AS found,
           COALESCE(bool_or(name IN ($2, $3) OR code IN ($2, $3)), false) AS taken
    FROM streams WHERE account_id = $1
), made AS (
    INSERT INTO streams (account_id, name, code, flags, header_html, header_text, footer_html, footer_text)
    SELECT $1, $2, $3, (COALESCE(s.flags, '{}') - $5::text[]) || $4::jsonb,
           COALESCE(s.header_html, ''), COALESCE(s.header_text, ''),
           COALESCE(s.footer_html, ''), COALESCE(s.footer_text, '')
    FROM others o LEFT JOIN streams s ON s.account_id = $1 AND s.name = $7
    WHERE NOT o.many AND NOT o.taken AND (o.found OR $7 = '')
    ON CONFLICT DO NOTHING RETURNING name
)
SELECT EXISTS (SELECT FROM made) AS made, many, found FROM others;

-- name: set_stream
-- A null code stays; the flags $4 are set, and those of $5 are as the profile says.
UPDATE streams s SET code = COALESCE($3, code), flags = (flags - $5::text[]) || $4::jsonb
WHERE account_id = $1 AND name = $2 AND NOT EXISTS (
    SELECT FROM streams o
    WHERE o.account_id = $1 AND o.name <> $2 AND (o.name = $3 OR o.code = $3)
)
RETURNING name, code, flags;

-- name: delete_stream
DELETE FROM streams WHERE account_id = $1 AND name = $2 RETURNING name;

-- name: read_list_frame
SELECT header_html, header_text, footer_html, footer_text FROM streams WHERE account_id = $1 AND name = $2;

-- name: set_list_frame
UPDATE streams SET header_html = $3, header_text = $4, footer_html = $5, footer_text = $6
WHERE account_id = $1 AND name = $2 RETURNING name;

-- name: find_list_frames
-- Of streams by name, each of the account that has the credential beside it.
SELECT t.place, s.header_html, s.header_text, s.footer_html, s.footer_text
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS t(credential_id, name, place)
JOIN credentials c ON c.id = t.credential_id
JOIN streams s ON s.account_id = c.account_id AND s.name = t.name;

-- name: list_streams
SELECT name, code, flags FROM streams WHERE account_id = $1 ORDER BY name;

-- name: set_sender_flags
-- The flags $4 are set, and those of $5 are as the profile says. Not if the account has $6 others.
INSERT INTO sender_settings AS s (account_id, normal, address, flags)
SELECT $1, $2, $3, $4::jsonb
WHERE (SELECT count(*) FROM sender_settings WHERE account_id = $1 AND normal <> $2) < $6
ON CONFLICT (account_id, normal)
DO UPDATE SET address = EXCLUDED.address, flags = (s.flags - $5::text[]) || EXCLUDED.flags
RETURNING address, flags;

-- name: delete_sender
DELETE FROM sender_settings WHERE account_id = $1 AND normal = $2 RETURNING normal;

-- name: list_senders
SELECT address, flags FROM sender_settings WHERE account_id = $1 ORDER BY normal;

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

-- name: set_alert_address
-- Null removes it. $3: its domain, which must not be a host that takes returned mail; its name if it is.
WITH forbidden AS (
    SELECT return_path_host AS name FROM sending_domains WHERE return_path_host = $3 LIMIT 1
), done AS (
    UPDATE accounts SET alert_address = $2
    WHERE id = $1 AND NOT EXISTS (SELECT FROM forbidden)
)
SELECT name FROM forbidden;

-- name: set_alerts
UPDATE accounts SET alerts = $2 WHERE id = $1;

-- name: set_alert_paces
-- What waits for the end of an hour, a day or a week is told as it was to be.
UPDATE accounts SET alert_paces = alert_paces || $2, late_after = COALESCE($3, late_after) WHERE id = $1;

-- name: read_account_settings
SELECT dsn, bounce_address, automatic_hold, alerts, alert_address, alert_paces, late_after
FROM accounts WHERE id = $1;

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

-- name: find_domains_of
SELECT d.name, d.verified_at IS NOT NULL AS verified
FROM domain_accounts o JOIN sending_domains d ON d.id = o.domain_id
WHERE o.account_id = $1 ORDER BY d.name;

-- name: find_family
SELECT id, name FROM accounts WHERE id = $1 OR parent_id = $1 ORDER BY name;

-- name: lock_holds
SELECT pg_advisory_xact_lock($1::bigint);

-- name: hold_account
-- The account hears of it; of what the operator writes, only the operator.
WITH held AS (
    INSERT INTO account_holds (account_id, actor, by_relay, reason) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING account_id, by_relay, reason
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), account_id, new_id(), 'alerted',
           jsonb_build_object('alert', 'account_held', 'reason', CASE WHEN by_relay THEN reason END)
    FROM held
)
SELECT account_id FROM held;

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
    WHERE account_id = $1 AND held AND hold_reason IS NULL
      AND NOT EXISTS (SELECT FROM account_holds h WHERE h.account_id = $1)
    LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE due_submissions SET held = false, expires_at = now() + (expires_at - received_at)
WHERE id = ANY(ARRAY(SELECT id FROM free))
RETURNING id;

-- name: unmark_deliveries
WITH free AS (
    SELECT id FROM due_deliveries d
    WHERE account_id = $1 AND held AND hold_reason IS NULL
      AND NOT EXISTS (SELECT FROM account_holds h WHERE h.account_id = $1)
    LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE due_deliveries SET held = false, expires_at = now() + (expires_at - received_at)
WHERE id = ANY(ARRAY(SELECT id FROM free))
RETURNING id;

-- name: unfinished_holds
-- Accounts whose rows are not all marked, and accounts that were released while a row was written.
WITH RECURSIVE submitted AS (
    (SELECT account_id FROM due_submissions WHERE held AND hold_reason IS NULL
     ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.account_id FROM due_submissions d
            WHERE d.held AND d.hold_reason IS NULL AND d.account_id > s.account_id
            ORDER BY d.account_id LIMIT 1)
    FROM submitted s WHERE s.account_id IS NOT NULL
), delivering AS (
    (SELECT account_id FROM due_deliveries WHERE held AND hold_reason IS NULL
     ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.account_id FROM due_deliveries d
            WHERE d.held AND d.hold_reason IS NULL AND d.account_id > s.account_id
            ORDER BY d.account_id LIMIT 1)
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
INSERT INTO credentials (account_id, username, secret_hash, profile, lane, highest_lane, note,
                         scram, sealed, made_of, permissions, resubmission)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $3, $10, $11) RETURNING id;

-- name: list_credentials
-- Of account $1; of accounts that have a stream of this name or code $2; called $3. Null: of all.
SELECT c.username, a.name AS account, c.account_id, c.profile, c.lane, c.highest_lane, c.permissions,
       c.resubmission, c.active, c.note, c.created_at, c.expires_at, octet_length(c.secret_hash) AS hash_octets,
       c.scram IS NOT NULL AND c.made_of = c.secret_hash AS has_scram,
       c.sealed IS NOT NULL AND c.made_of = c.secret_hash AS is_sealed,
       CASE WHEN c.previous_hash IS NOT NULL AND c.previous_until > now() THEN c.previous_until END
           AS previous_until
FROM credentials c JOIN accounts a ON a.id = c.account_id
WHERE c.deleted_at IS NULL AND ($1::text IS NULL OR a.name = $1)
  AND ($2::text IS NULL OR EXISTS (SELECT FROM streams s WHERE s.account_id = c.account_id
                                   AND (s.name = $2 OR s.code = lower($2))))
  AND ($3::text IS NULL OR c.username = $3)
ORDER BY a.name, c.username;

-- name: set_credential_active
UPDATE credentials SET active = $2 WHERE username = $1 AND deleted_at IS NULL RETURNING id;

-- name: set_secret
UPDATE credentials SET secret_hash = $2, scram = $3, sealed = $4, made_of = $2,
    previous_hash = CASE WHEN $5 > interval '0' THEN secret_hash END, previous_until = now() + $5
WHERE username = $1 AND deleted_at IS NULL RETURNING id;

-- name: set_credential_expiry
UPDATE credentials SET expires_at = $2 WHERE username = $1 AND deleted_at IS NULL RETURNING id;

-- name: delete_credential
-- Its secrets are gone; the row stays for what was sent with it. To versions that know no deletion
-- it is inactive.
UPDATE credentials SET deleted_at = now(), active = false, secret_hash = '', scram = NULL,
    sealed = NULL, made_of = NULL, previous_hash = NULL
WHERE username = $1 AND deleted_at IS NULL RETURNING id;

-- name: change_credential
-- Null: as it is. Nothing changes if the default would be above the highest lane.
WITH wanted AS (
    SELECT id, COALESCE($2::smallint, lane) AS lane, COALESCE($3::smallint, highest_lane) AS highest_lane,
           COALESCE($4::text, note) AS note, COALESCE($5::text[], permissions) AS permissions,
           COALESCE($6::text, profile) AS profile,
           COALESCE($7::text, resubmission) AS resubmission
    FROM credentials WHERE username = $1 AND deleted_at IS NULL
), changed AS (
    UPDATE credentials c SET lane = w.lane, highest_lane = w.highest_lane, note = w.note,
        permissions = w.permissions, profile = w.profile, resubmission = w.resubmission
    FROM wanted w WHERE c.id = w.id AND w.lane >= w.highest_lane
)
SELECT lane, highest_lane FROM wanted;

-- name: create_sending_domain
WITH made AS (
    INSERT INTO sending_domains (name, return_path_host, verified_at, onboarding, key_zone)
    VALUES ($2, $3, CASE WHEN $4::boolean THEN now() END, $5, $6) RETURNING id
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

-- name: find_keys
SELECT d.key_zone, k.selector, k.algorithm, k.record, k.state
FROM sending_domains d JOIN dkim_keys k ON k.domain_id = d.id
WHERE d.name = $1 ORDER BY k.selector;

-- name: remove_key
-- None that signs.
DELETE FROM dkim_keys k USING sending_domains d
WHERE d.id = k.domain_id AND d.name = $1 AND k.selector = $2 AND k.state <> 'active'
RETURNING k.selector;

-- name: start_rotation
INSERT INTO key_rotations (domain_id, selectors)
SELECT id, $2 FROM sending_domains WHERE name = $1
ON CONFLICT DO NOTHING RETURNING domain_id;

-- name: read_rotation
SELECT r.started_at, r.seen_at, r.switched_at, r.finding, r.selectors, r.retired
FROM key_rotations r JOIN sending_domains d ON d.id = r.domain_id WHERE d.name = $1;

-- name: claim_rotation
-- The one that has been due longest; it is due again after $1.
UPDATE key_rotations r SET look_at = now() + $1 FROM sending_domains d
WHERE d.id = r.domain_id AND r.domain_id = (
    SELECT domain_id FROM key_rotations WHERE look_at <= now()
    ORDER BY look_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING d.name, r.selectors, r.started_at, now() - r.seen_at AS seen_for,
          now() - r.switched_at AS switched_for;

-- name: note_rotation
-- $3 says what is wrong with the records; null: nothing. $2: see switch_keys.
UPDATE key_rotations r SET finding = $3,
    seen_at = CASE WHEN $3::text IS NULL THEN COALESCE(r.seen_at, now()) END
FROM sending_domains d
WHERE d.id = r.domain_id AND d.name = $1 AND r.started_at = $2 AND r.switched_at IS NULL;

-- name: switch_keys
-- The new keys of the rotation that was started at $2 sign, and older ones of their kinds do not:
-- their selectors. A later rotation waits for its own records.
WITH turned AS (
    UPDATE key_rotations r SET switched_at = now(), finding = NULL FROM sending_domains d
    WHERE d.id = r.domain_id AND d.name = $1 AND r.started_at = $2 AND r.switched_at IS NULL
    RETURNING r.domain_id, r.selectors
), fresh AS (
    UPDATE dkim_keys k SET state = 'active', activated_at = now() FROM turned t
    WHERE k.domain_id = t.domain_id AND k.selector = ANY(t.selectors) RETURNING k.algorithm
), gone AS (
    UPDATE dkim_keys k SET state = 'retired', retired_at = now() FROM turned t
    WHERE k.domain_id = t.domain_id AND k.state = 'active' AND NOT k.selector = ANY(t.selectors)
      AND k.algorithm IN (SELECT algorithm FROM fresh)
    RETURNING k.selector
)
SELECT ARRAY(SELECT selector FROM gone) AS retired FROM turned;

-- name: note_retired_keys
UPDATE key_rotations r SET retired = $2 FROM sending_domains d
WHERE d.id = r.domain_id AND d.name = $1;

-- name: remove_retired_keys
-- Those that a rotation retired, if no mail is open that they may have signed: a worker signs for
-- some seconds with keys that it knows.
DELETE FROM dkim_keys k USING key_rotations r, sending_domains d
WHERE d.name = $1 AND r.domain_id = d.id AND k.domain_id = d.id AND k.state = 'retired'
  AND k.selector = ANY(r.retired)
  AND NOT EXISTS (
      SELECT FROM due_deliveries v JOIN domain_accounts o ON o.account_id = v.account_id
      WHERE o.domain_id = d.id AND v.id < first_id_of(k.retired_at + interval '1 minute')
  )
RETURNING k.selector;

-- name: end_rotation
-- If it waits neither for a new key nor for a retired one.
DELETE FROM key_rotations r USING sending_domains d
WHERE d.id = r.domain_id AND d.name = $1 AND NOT EXISTS (
    SELECT FROM dkim_keys k
    WHERE k.domain_id = d.id AND CASE WHEN r.switched_at IS NULL THEN k.selector = ANY(r.selectors)
          ELSE k.selector = ANY(r.retired) AND k.state = 'retired' END
)
RETURNING r.domain_id;

-- name: oldest_rotation
-- The age in seconds of the oldest that waits for its records, 0 without any.
SELECT COALESCE(EXTRACT(epoch FROM now() - min(started_at)), 0)::float8 AS seconds
FROM key_rotations WHERE switched_at IS NULL AND seen_at IS NULL;

-- name: find_scheduled_rotations
SELECT d.name FROM sending_domains d
WHERE d.rotate_days IS NOT NULL AND d.verified_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM key_rotations r WHERE r.domain_id = d.id)
  AND (SELECT max(k.activated_at) FROM dkim_keys k
       WHERE k.domain_id = d.id AND k.state = 'active') < now() - make_interval(days => d.rotate_days);

-- name: schedule_rotations
UPDATE sending_domains SET rotate_days = $2 WHERE name = $1 RETURNING id;

-- name: verify_sending_domain
UPDATE sending_domains d SET verified_at = COALESCE(verified_at, now())
FROM domain_accounts o WHERE o.domain_id = d.id AND o.account_id = $1 AND d.name = $2
RETURNING d.verified_at = now() AS newly;

-- name: list_sending_domains
-- $1: see find_sending_domains.
SELECT a.name AS account, d.name, d.return_path_host, d.verified_at, d.onboarding, d.key_zone,
       d.rotate_days, k.selector, k.algorithm, k.record, k.state,
       COALESCE(k.retired_at, k.activated_at, k.created_at) AS since,
       h.host AS tracking_host, h.finding AS tracking_finding, h.probed_at IS NOT NULL AS is_probed,
       h.led_here_at > now() - $1::interval AS leads_here
FROM sending_domains d JOIN domain_accounts o ON o.domain_id = d.id
JOIN accounts a ON a.id = o.account_id
LEFT JOIN dkim_keys k ON k.domain_id = d.id
LEFT JOIN tracking_hosts h ON h.domain_id = d.id
ORDER BY a.name, d.name, k.selector;

-- name: set_tracking_host
INSERT INTO tracking_hosts AS h (domain_id, host) SELECT id, $2 FROM sending_domains WHERE name = $1
ON CONFLICT (domain_id) DO UPDATE SET host = excluded.host, look_at = now(), probed_at = NULL,
    led_here_at = NULL, finding = NULL
WHERE h.host <> excluded.host
RETURNING domain_id;

-- name: remove_tracking_host
DELETE FROM tracking_hosts h USING sending_domains d WHERE d.id = h.domain_id AND d.name = $1
RETURNING domain_id;

-- name: read_tracking_host
-- $2: see find_sending_domains.
SELECT h.host AS tracking_host, h.finding AS tracking_finding, h.probed_at IS NOT NULL AS is_probed,
       h.led_here_at > now() - $2::interval AS leads_here
FROM tracking_hosts h JOIN sending_domains d ON d.id = h.domain_id WHERE d.name = $1;

-- name: claim_tracking_hosts
-- $1 that have been due longest; they are due again after $2.
UPDATE tracking_hosts h SET look_at = now() + $2 FROM sending_domains d
WHERE d.id = h.domain_id AND h.domain_id = ANY(ARRAY(
    SELECT domain_id FROM tracking_hosts WHERE look_at <= now()
    ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING h.domain_id, d.name, h.host, h.finding, h.probed_at IS NOT NULL AS is_probed;

-- name: note_tracking_host
-- $3 says what is wrong with the host $2; null: it leads here.
UPDATE tracking_hosts SET probed_at = now(), finding = $3,
    led_here_at = CASE WHEN $3::text IS NULL THEN now() ELSE led_here_at END
WHERE domain_id = $1 AND host = $2;

-- name: count_unused_tracking_hosts
-- $1: see find_sending_domains.
SELECT count(*) FILTER (WHERE (led_here_at > now() - $1::interval) IS NOT TRUE) AS hosts
FROM tracking_hosts;

-- name: say_relay_name
INSERT INTO relay_names AS n (program, hostname, return_path_host, tracking_host)
VALUES ($1, $2, $3, $4)
ON CONFLICT (program, hostname)
DO UPDATE SET return_path_host = excluded.return_path_host,
    tracking_host = excluded.tracking_host, seen_at = now();

-- name: say_version
INSERT INTO program_versions (program, version) VALUES ($1, $2)
ON CONFLICT (program, version) DO UPDATE SET seen_at = now();

-- name: list_versions
-- Those that were said within $1 before the newest.
SELECT version, array_agg(program ORDER BY program) AS programs FROM program_versions
WHERE seen_at > (SELECT max(seen_at) FROM program_versions) - $1::interval
GROUP BY version ORDER BY version;

-- name: list_relay_names
-- Those that were said within $1 before the newest.
SELECT program, hostname, return_path_host, tracking_host FROM relay_names
WHERE seen_at > (SELECT max(seen_at) FROM relay_names) - $1::interval
ORDER BY seen_at DESC, program, hostname;

-- name: inspect_server
-- What the relay's promises depend on. The age of transactions is that of those we may see.
SELECT current_setting('server_version_num')::int / 10000 AS version,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('autovacuum') AS autovacuum,
       current_setting('track_counts') AS track_counts,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only,
       current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - COALESCE(current_setting('reserved_connections', true)::int, 0) AS connections,
       a.connected,
       (SELECT age(datfrozenxid)::int FROM pg_database WHERE datname = current_database())
           AS transaction_ages,
       a.oldest_transaction_seconds,
       (SELECT count(*)::int FROM pg_prepared_xacts WHERE database = current_database())
           AS prepared_transactions,
       (SELECT COALESCE(max(pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
            restart_lsn)), 0)::bigint
        FROM pg_replication_slots WHERE NOT active) AS wal_kept,
       clock_timestamp() AS clock
FROM (
    SELECT count(*)::int AS connected,
           COALESCE(max(extract(epoch FROM clock_timestamp() - xact_start))
               FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid()), 0)::float8
               AS oldest_transaction_seconds
    FROM pg_stat_activity WHERE backend_type = 'client backend'
) a;

-- name: inspect_schema
SELECT version, digest FROM schema_migrations;

-- name: some_signing_keys
-- Up to $1 active keys of domains that may send, others each time.
SELECT d.name, k.selector, k.record
FROM sending_domains d JOIN dkim_keys k ON k.domain_id = d.id
WHERE d.verified_at IS NOT NULL AND k.state = 'active'
ORDER BY random() LIMIT $1;

-- name: compare_timeline
SELECT timeline AS known, this_timeline() AS seen FROM witness;

-- name: accept_timeline
UPDATE witness SET timeline = this_timeline()
WHERE timeline IS DISTINCT FROM this_timeline() AND this_timeline() IS NOT NULL
RETURNING timeline;

-- name: record_examination
WITH forgotten AS (
    DELETE FROM examinations
    WHERE examined_at < now() - $4::interval AND (program, host) <> ($1, $2)
)
INSERT INTO examinations (program, host, results) VALUES ($1, $2, $3)
ON CONFLICT (program, host) DO UPDATE SET examined_at = now(), results = excluded.results;

-- name: list_examinations
SELECT program, host, examined_at, results FROM examinations ORDER BY program, host;

-- name: count_quarantined
-- Messages that were quarantined for the reason $1.
SELECT (SELECT count(*) FROM quarantined_submissions WHERE reason = $1)
       + (SELECT count(*) FROM quarantined_deliveries WHERE reason = $1) AS messages;

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

-- name: find_subscription
-- What the recipient of a delivery may unsubscribe from, and how often it has come back.
SELECT d.account_id, d.submission_id, d.recipient, s.sender, s.author, s.author_name, s.attributes,
       s.profile, s.profile_revision, p.preset, p.preset_revision, p.knobs,
       (SELECT count(*) FROM events e
        WHERE e.submission_id = d.submission_id AND e.delivery_id = d.id
          AND e.kind = 'resubscribed') AS returns
FROM deliveries d
CROSS JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = d.submission_id OFFSET 0) s
LEFT JOIN credentials c ON c.id = s.credential_id
LEFT JOIN profiles p
    ON (p.account_id, p.name, p.revision) = (c.account_id, s.profile, s.profile_revision)
WHERE d.id = $1;

-- name: find_unsubscribes
-- Of an address; its own are those that the delivery $3 made by one of the rules $4.
SELECT scope, created_at, now() - created_at AS age,
       COALESCE(delivery_id = $3 AND rule = ANY($4::text[]), false) AS is_own
FROM suppressions
WHERE account_id = $1 AND normal = $2 AND list = 'unsubscribe'
  AND COALESCE(expires_at > now(), true);

-- name: revoke_unsubscribes
-- Those that the delivery $3 of the message $4 made by one of the rules $5 within the time $6, unless
-- its recipient has come back $7 times.
DELETE FROM suppressions
WHERE account_id = $1 AND normal = $2 AND list = 'unsubscribe' AND delivery_id = $3
  AND rule = ANY($5::text[]) AND created_at > now() - $6::interval AND (
    SELECT count(*) FROM events
    WHERE submission_id = $4 AND delivery_id = $3 AND kind = 'resubscribed'
  ) < $7
RETURNING address, list, scope, reason, evidence, rule, delivery_id, created_at;

-- name: tell_of_delivery
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
VALUES (new_id(), $1, $2, $3, $4, $5);

-- name: list_suppressions
SELECT a.name AS account, s.address, s.list, s.scope, s.reason, s.rule, s.version, s.delivery_id,
       s.evidence, s.created_at, s.expires_at
FROM suppressions s JOIN accounts a ON a.id = s.account_id
WHERE COALESCE(s.account_id = $1, true) AND COALESCE(position($2 IN s.normal) > 0, true)
  AND COALESCE(s.list = $3, true) AND COALESCE(s.scope = $4, true)
  AND COALESCE(s.reason = $5, true) AND COALESCE(s.expires_at > now(), true)
ORDER BY s.created_at DESC LIMIT $6;

-- name: page_suppressions
-- The next $9 that count of the account $1 after ($6, $7, $8), in the order of the key.
SELECT s.address, s.normal, s.list, s.scope, s.reason, s.created_at, s.expires_at
FROM suppressions s
WHERE s.account_id = $1 AND (s.normal, s.list, s.scope) > ($6, $7, $8)
  AND COALESCE(position($2 IN s.normal) > 0, true)
  AND COALESCE(s.list = $3, true) AND COALESCE(s.scope = $4, true)
  AND COALESCE(s.reason = $5, true) AND COALESCE(s.expires_at > now(), true)
ORDER BY s.normal, s.list, s.scope LIMIT $9;

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

-- name: find_webhook_wishes
-- Which endpoints are to be told of what: those of all accounts, or $1; but none that has been paused for $2.
-- For those that are late, by more than $3 batches or with any that is not written, events are written later.
SELECT e.id, e.account_id, e.dialect, e.kinds, e.streams, e.gather,
       e.paused_at IS NOT NULL OR e.failing_since IS NOT NULL
       OR EXISTS (SELECT FROM webhook_batches b WHERE b.endpoint_id = e.id AND b.due_at = 'infinity')
       OR EXISTS (SELECT FROM webhook_batches b WHERE b.endpoint_id = e.id OFFSET $3) AS is_late
FROM webhook_endpoints e
WHERE COALESCE(e.id = $1, true) AND COALESCE(e.paused_at > now() - $2::interval, true);

-- name: find_events_to_tell
-- Those after ($1, $2) up to ($3, $4), of the accounts $5 and the kinds $6, in the order of their commits.
SELECT e.id, e.submission_id, e.account_id, e.kind, e.at
FROM witness w
CROSS JOIN LATERAL (
    SELECT * FROM events e
    WHERE (e.xid, e.id) > ($1, $2) AND (e.xid, e.id) <= ($3, $4) AND e.incarnation = w.number
      AND e.account_id = ANY($5::uuid[]) AND e.kind = ANY($6::text[])
) e
ORDER BY e.xid, e.id;

-- name: gather_events_to_tell
-- The facts beside the events $1 of the messages $2, in any order: rows are wide, and sorting them costs more
-- than finding them. The number of each among those of its message, in the order of their
-- commits, never changes: nothing appears before an event that is told. Mail of our own is nobody's. All
-- recipients are told where an event is about none of them: they may be many, and their events as well.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS t(id, submission_id)
), messages AS MATERIALIZED (
    SELECT s.id, s.sender, s.subject, s.recipients,
           (s.attributes - '{kinds,shown,bcc_shown,dsn}'::text[])::text AS attributes
    FROM (SELECT DISTINCT submission_id FROM asked) a
    CROSS JOIN LATERAL (
        SELECT * FROM submissions s
        WHERE s.id = a.submission_id AND s.credential_id <> '00000000-0000-0000-0000-000000000000'
        OFFSET 0
    ) s
), numbered AS (
    SELECT f.*, row_number() OVER message AS sequence,
           max(CASE WHEN f.kind = 'prepared' THEN f.detail->>'message_id' END) OVER message AS message_id
    FROM messages m
    CROSS JOIN LATERAL (SELECT * FROM events f WHERE f.submission_id = m.id OFFSET 0) f
    WINDOW message AS (PARTITION BY f.submission_id ORDER BY f.incarnation, f.xid, f.id ROWS UNBOUNDED PRECEDING)
)
SELECT e.id, e.at, e.account_id, e.submission_id, e.delivery_id, e.kind, e.detail, a.name AS account,
       e.sequence, e.message_id, m.sender, m.subject, m.attributes,
       COALESCE(e.detail->>'recipient', v.recipient) AS recipient, v.kind AS recipient_kind,
       CASE WHEN e.delivery_id IS NULL THEN m.recipients END AS recipients
FROM asked
JOIN numbered e ON e.id = asked.id
JOIN messages m ON m.id = e.submission_id
JOIN accounts a ON a.id = e.account_id
LEFT JOIN LATERAL (SELECT recipient, kind FROM deliveries v WHERE v.id = e.delivery_id OFFSET 0) v ON true;

-- name: add_webhook_batches
-- They are given up after $2. Those of an endpoint that gathers are due at the next multiple of its time.
-- One without a body is to be written later, and never due.
INSERT INTO webhook_batches (endpoint_id, due_at, expires_at, oldest_at, ids, kinds, body, dialect)
SELECT endpoint_id,
       CASE WHEN body = '' THEN 'infinity'
            WHEN gather > interval '0' AND NOT is_replay
            THEN date_bin(gather, now(), '2000-01-01 00:00:00+00') + gather ELSE now() END,
       now() + $2::interval, oldest_at, ids, kinds, body, dialect
FROM unnest($1::webhook_batch_row_2[]);

-- name: take_unwritten_webhook_batch
-- The oldest batch that is to be written, of an endpoint that takes what it is told and for which at most $1
-- wait. One that fails needs something to be asked with. Processes take turns for an endpoint; its row stays
-- free for those who claim.
WITH endpoint AS (
    SELECT c.id FROM (
        SELECT e.id FROM webhook_endpoints e
        WHERE e.paused_at IS NULL
          AND EXISTS (SELECT FROM webhook_batches b WHERE b.endpoint_id = e.id AND b.due_at = 'infinity')
          AND NOT EXISTS (SELECT FROM webhook_batches b WHERE b.endpoint_id = e.id AND b.due_at < 'infinity'
                          OFFSET CASE WHEN e.failing_since IS NULL THEN $1 ELSE 0 END)
        OFFSET 0
    ) c
    WHERE pg_try_advisory_xact_lock(hashtextextended(c.id::text, 1)) LIMIT 1
)
DELETE FROM webhook_batches WHERE id = ANY(ARRAY(
    SELECT b.id FROM endpoint e CROSS JOIN LATERAL (
        SELECT * FROM webhook_batches b WHERE b.endpoint_id = e.id AND b.due_at = 'infinity'
        ORDER BY b.id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) b
))
RETURNING endpoint_id, ids;

-- name: find_events_of_batch
-- Those of $1 that are kept, in the order of their commits.
SELECT e.id, e.submission_id
FROM unnest($1::uuid[]) AS t(id) CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.id = t.id OFFSET 0) e
ORDER BY e.incarnation, e.xid, e.id;

-- name: find_due_webhooks
-- Endpoints that something may be sent to now. Only a test is due since ever.
SELECT e.id FROM webhook_endpoints e
WHERE e.paused_at IS NULL AND COALESCE(e.retry_at <= now(), true)
  AND (SELECT true FROM webhook_batches b WHERE b.endpoint_id = e.id AND b.due_at <= now()
       ORDER BY b.due_at LIMIT 1)
   OR (SELECT true FROM webhook_batches b WHERE b.endpoint_id = e.id AND b.due_at = '-infinity' LIMIT 1);

-- name: claim_webhook_batch
-- The batch of the endpoint $1 that has been due for longest, leased for $2. Those behind it come along,
-- if none of them was ever sent and all are in one form, while they have no more than $3 events and $4 octets together. While the
-- endpoint fails, one at a time is sent to it: processes claim one after the other.
WITH endpoint AS (
    SELECT * FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE
), due AS (
    SELECT b.id, b.claim, b.is_test, b.due_at, cardinality(b.ids) AS events, octet_length(b.body) AS octets,
           COALESCE(b.dialect, e.dialect) AS dialect
    FROM endpoint e
    CROSS JOIN LATERAL (
        SELECT * FROM webhook_batches b
        WHERE b.endpoint_id = e.id AND b.due_at <= now()
          AND (b.is_test OR e.paused_at IS NULL AND COALESCE(e.retry_at <= now(), true))
        ORDER BY b.due_at, b.id LIMIT 40 FOR UPDATE SKIP LOCKED
    ) b
), next AS (
    SELECT * FROM due ORDER BY is_test DESC, due_at, id LIMIT 1
), fitting AS (
    SELECT d.id, sum(d.events) OVER line AS events, sum(d.octets) OVER line AS octets
    FROM due d, next n WHERE d.claim = 0 AND n.claim = 0 AND NOT d.is_test AND NOT n.is_test
      AND d.dialect = n.dialect
    WINDOW line AS (ORDER BY d.due_at, d.id)
), others AS (
    DELETE FROM webhook_batches b
    WHERE b.id = ANY(ARRAY(SELECT f.id FROM fitting f, next n
                           WHERE f.events <= $3 AND f.octets <= $4 AND f.id <> n.id))
    RETURNING b.id, b.due_at, b.oldest_at, b.ids, b.kinds, b.body
), together AS (
    SELECT min(oldest_at) AS oldest_at, string_agg(body, ','::bytea ORDER BY due_at, id) AS body,
           ARRAY(SELECT i FROM others o, unnest(o.ids) WITH ORDINALITY AS u(i, n)
                 ORDER BY o.due_at, o.id, n) AS ids,
           ARRAY(SELECT DISTINCT unnest(kinds) FROM others) AS kinds
    FROM others
), probing AS (
    UPDATE webhook_endpoints SET retry_at = now() + $2::interval
    WHERE id = $1 AND failing_since IS NOT NULL AND (SELECT NOT is_test FROM next)
)
UPDATE webhook_batches b
SET claim = b.claim + 1, leased = true, due_at = now() + $2::interval,
    oldest_at = LEAST(b.oldest_at, t.oldest_at),
    ids = CASE WHEN t.body IS NULL THEN b.ids ELSE b.ids || t.ids END,
    kinds = CASE WHEN t.body IS NULL THEN b.kinds
                 ELSE ARRAY(SELECT DISTINCT unnest(b.kinds || t.kinds)) END,
    body = CASE WHEN t.body IS NULL THEN b.body ELSE b.body || ','::bytea || t.body END
FROM next n, together t, endpoint e
WHERE b.id = ANY(ARRAY(SELECT id FROM next))
RETURNING b.id, b.claim, b.tries, b.made_at, b.is_test, cardinality(b.ids) AS events, b.body,
          e.url, n.dialect, e.sealed, CASE WHEN e.old_until > now() THEN e.old_sealed END AS old_sealed,
          e.sealed_fields, e.failures, e.failing_since IS NOT NULL AS failing, e.account_id;

-- name: end_webhook_batch
-- It was taken, or is given up, under its claim. $8: the endpoint answers as it should.
WITH ended AS (
    DELETE FROM webhook_batches WHERE id = $1 AND claim = $2
    RETURNING id, endpoint_id, cardinality(ids) AS events, tries
), attempted AS (
    INSERT INTO webhook_attempts (endpoint_id, batch_id, events, number, result, status, milliseconds)
    SELECT $3, $1, $4, $9, $5, $6, $7
), well AS (
    UPDATE webhook_endpoints SET failures = 0, failing_since = NULL, retry_at = NULL
    WHERE id = $3 AND $8 AND (failures > 0 OR failing_since IS NOT NULL)
)
SELECT id FROM ended;

-- name: retry_webhook_batch
-- It was not taken, under its claim. $8: after so long it is due again; null: it stays the first of its
-- endpoint, to which nothing is sent for $9. What the endpoint has failed since, and how often in a row:
-- requests that were on their way together, after $11 failures, count once.
WITH kept AS (
    UPDATE webhook_batches
    SET leased = false, tries = tries + 1, due_at = COALESCE(now() + $8::interval, LEAST(made_at, now()))
    WHERE id = $1 AND claim = $2
    RETURNING id
), attempted AS (
    INSERT INTO webhook_attempts (endpoint_id, batch_id, events, number, result, status, milliseconds)
    VALUES ($3, $1, $4, $10, $5, $6, $7)
)
UPDATE webhook_endpoints
SET failures = CASE WHEN failures <= $11 THEN failures + 1 ELSE failures END,
    failing_since = CASE WHEN $9::interval IS NULL THEN failing_since ELSE COALESCE(failing_since, now()) END,
    retry_at = CASE WHEN $9 IS NULL THEN retry_at ELSE now() + $9 END
WHERE id = $3
RETURNING failures, now() - failing_since AS failing_for;

-- name: pause_failing_webhook
-- The account hears of it: by an event, as of every alert.
WITH paused AS (
    UPDATE webhook_endpoints SET paused_at = now(), paused_for = $2
    WHERE id = $1 AND paused_at IS NULL
    RETURNING id, account_id, url, failing_since
)
INSERT INTO events (id, account_id, submission_id, kind, detail)
SELECT new_id(), account_id, new_id(), 'alerted',
       jsonb_build_object('alert', 'webhook_paused', 'endpoint', id, 'url', url, 'reason', $2::text,
                          'since', failing_since)
FROM paused
RETURNING id;

-- name: bury_webhook_batches
-- At most $1 of those that were tried, or waited, for too long.
WITH gone AS (
    DELETE FROM webhook_batches b
    WHERE b.id = ANY(ARRAY(SELECT id FROM webhook_batches
                           WHERE expires_at <= now() AND (NOT leased OR due_at <= now())
                           ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING b.*
), buried AS (
    INSERT INTO webhook_dead_letters (id, endpoint_id, oldest_at, ids, kinds, body, dialect)
    SELECT g.id, g.endpoint_id, g.oldest_at, g.ids, g.kinds, g.body, g.dialect
    FROM gone g JOIN webhook_endpoints e ON e.id = g.endpoint_id WHERE NOT g.is_test
)
SELECT endpoint_id, cardinality(ids) AS events FROM gone;

-- name: forget_webhook_attempts
DELETE FROM webhook_attempts WHERE id = ANY(ARRAY(
    SELECT id FROM webhook_attempts WHERE id < first_id_of(now() - $1::interval) ORDER BY id LIMIT $2
)) RETURNING id;

-- name: forget_webhook_dead_letters
DELETE FROM webhook_dead_letters WHERE id = ANY(ARRAY(
    SELECT id FROM webhook_dead_letters WHERE died_at < now() - $1::interval ORDER BY died_at LIMIT $2
)) RETURNING id;

-- name: forget_removed_webhooks
-- At most $1 batches and dead letters that were written while their endpoint was being removed.
WITH batches AS (
    DELETE FROM webhook_batches WHERE id = ANY(ARRAY(
        SELECT b.id FROM webhook_batches b LEFT JOIN webhook_endpoints e ON e.id = b.endpoint_id
        WHERE e.id IS NULL LIMIT $1
    )) RETURNING id
), letters AS (
    DELETE FROM webhook_dead_letters WHERE id = ANY(ARRAY(
        SELECT d.id FROM webhook_dead_letters d LEFT JOIN webhook_endpoints e ON e.id = d.endpoint_id
        WHERE e.id IS NULL LIMIT $1
    )) RETURNING id
)
SELECT id FROM batches UNION ALL SELECT id FROM letters;

-- name: count_webhook_backlog
-- By what the batches wait for: events, and the age of the oldest in seconds.
SELECT CASE WHEN e.paused_at IS NOT NULL THEN 'paused' WHEN e.failing_since IS NOT NULL THEN 'failing'
            ELSE 'waiting' END AS state,
       COALESCE(sum(b.events), 0) AS events,
       COALESCE(EXTRACT(epoch FROM now() - min(b.oldest_at)), 0)::float8 AS age
FROM webhook_endpoints e
CROSS JOIN LATERAL (
    SELECT sum(cardinality(ids)) AS events, min(oldest_at) AS oldest_at
    FROM webhook_batches b WHERE b.endpoint_id = e.id
) b
GROUP BY 1;

-- name: create_webhook
-- Nothing, where the account has $9 of them.
INSERT INTO webhook_endpoints (account_id, url, dialect, kinds, streams, gather, sealed, sealed_fields, note)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $10
WHERE (SELECT count(*) FROM webhook_endpoints WHERE account_id = $1) < $9
RETURNING id;

-- name: list_webhooks
-- Those of the account $1, or the one $2, or all; with what waits for them.
SELECT e.id, e.account_id, a.name AS account, e.url, e.dialect, e.kinds, e.streams, e.gather, e.note,
       e.created_at, e.paused_at, e.paused_for, e.failures, e.failing_since, e.retry_at,
       e.old_until > now() AS has_two_secrets, e.sealed_fields IS NOT NULL AS has_fields,
       COALESCE(b.events, 0) AS waiting, b.oldest_at, COALESCE(d.events, 0) AS dead
FROM webhook_endpoints e
JOIN accounts a ON a.id = e.account_id
CROSS JOIN LATERAL (
    SELECT sum(cardinality(ids)) AS events, min(oldest_at) AS oldest_at
    FROM webhook_batches b WHERE b.endpoint_id = e.id
) b
CROSS JOIN LATERAL (
    SELECT sum(cardinality(ids)) AS events FROM webhook_dead_letters d WHERE d.endpoint_id = e.id
) d
WHERE COALESCE(e.account_id = $1, true) AND COALESCE(e.id = $2, true)
ORDER BY a.name, e.created_at, e.id;

-- name: change_webhook
-- What is null stays.
UPDATE webhook_endpoints
SET url = COALESCE($2, url), kinds = COALESCE($3, kinds), streams = COALESCE($4, streams),
    gather = COALESCE($5, gather), sealed_fields = CASE WHEN $6 THEN $7 ELSE sealed_fields END,
    note = COALESCE($8, note), dialect = COALESCE($9, dialect)
WHERE id = $1 RETURNING id;

-- name: rotate_webhook_secret
-- The one before signs as well for $3.
UPDATE webhook_endpoints SET old_sealed = sealed, old_until = now() + $3::interval, sealed = $2
WHERE id = $1 RETURNING id;

-- name: pause_webhook
UPDATE webhook_endpoints SET paused_at = now(), paused_for = $2
WHERE id = $1 AND paused_at IS NULL RETURNING id;

-- name: resume_webhook
-- It is tried at once.
UPDATE webhook_endpoints
SET paused_at = NULL, paused_for = NULL, failures = 0, failing_since = NULL, retry_at = NULL
WHERE id = $1 AND (paused_at IS NOT NULL OR failing_since IS NOT NULL) RETURNING id;

-- name: delete_webhook
DELETE FROM webhook_endpoints WHERE id = $1 RETURNING id;

-- name: delete_webhook_batches
DELETE FROM webhook_batches WHERE id = ANY(ARRAY(
    SELECT id FROM webhook_batches WHERE endpoint_id = $1 LIMIT $2
)) RETURNING id;

-- name: delete_webhook_dead_letters
DELETE FROM webhook_dead_letters WHERE id = ANY(ARRAY(
    SELECT id FROM webhook_dead_letters WHERE endpoint_id = $1 LIMIT $2
)) RETURNING id;

-- name: add_webhook_test
-- It is due before all that waits.
INSERT INTO webhook_batches (id, endpoint_id, due_at, expires_at, is_test, oldest_at, ids, kinds, body)
VALUES ($1, $2, '-infinity', now() + interval '1 minute', true, now(), ARRAY[$1::uuid], '{test}', $3)
RETURNING id;

-- name: find_webhook_attempt
SELECT id, batch_id, at, events, number, result, status, milliseconds FROM webhook_attempts
WHERE endpoint_id = $1 AND batch_id = $2 ORDER BY id DESC LIMIT 1;

-- name: list_webhook_attempts
-- The newest $3 before the id $2 (null: of all).
SELECT id, batch_id, at, events, number, result, status, milliseconds FROM webhook_attempts
WHERE endpoint_id = $1 AND COALESCE(id < $2, true)
ORDER BY id DESC LIMIT $3;

-- name: revive_webhook_dead_letters
-- At most $6 of the endpoint $1: those that have an event of the kinds $4 and one of the ids $5 (of each:
-- none means all), the oldest of which is between $2 and $3. They are tried for $7 again.
WITH gone AS (
    DELETE FROM webhook_dead_letters WHERE id = ANY(ARRAY(
        SELECT id FROM webhook_dead_letters
        WHERE endpoint_id = $1 AND oldest_at >= $2 AND oldest_at < $3
          AND (cardinality($4::text[]) = 0 OR kinds && $4)
          AND (cardinality($5::uuid[]) = 0 OR ids && $5)
        ORDER BY id LIMIT $6
    )) RETURNING *
)
INSERT INTO webhook_batches (id, endpoint_id, due_at, expires_at, claim, oldest_at, ids, kinds, body, dialect)
SELECT id, endpoint_id, CASE WHEN body = '' THEN 'infinity' ELSE now() END, now() + $7::interval, 1, oldest_at,
       ids, kinds, body, dialect
FROM gone
RETURNING cardinality(ids) AS events;

-- name: ask_for_webhook_replay
INSERT INTO webhook_replays (endpoint_id, after_id, until_id, kinds, ids)
SELECT id, first_id_of($2), first_id_of($3), $4, $5 FROM webhook_endpoints WHERE id = $1
RETURNING id;

-- name: claim_webhook_replay
-- One whose endpoint is not paused and has taken most of what it was told up to now.
SELECT r.*, e.account_id FROM webhook_replays r
LEFT JOIN webhook_endpoints e ON e.id = r.endpoint_id
WHERE e.paused_at IS NULL
  AND NOT EXISTS (SELECT FROM webhook_batches b WHERE b.endpoint_id = r.endpoint_id OFFSET $1)
ORDER BY r.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED;

-- name: read_events_to_replay
-- Looks at the next $3 events after the id $1 and before $2: those of the account $4, of the kinds $5, and
-- that have, or whose message has, one of the ids $6 (none: all), in the order of their commits. The last row
-- has how far it looked.
WITH looked AS MATERIALIZED (
    SELECT id, incarnation, xid, account_id, submission_id, kind FROM events
    WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3
)
(SELECT id, submission_id, false AS is_end FROM looked
 WHERE account_id = $4 AND kind = ANY($5::text[])
   AND (cardinality($6::uuid[]) = 0 OR id = ANY($6) OR submission_id = ANY($6))
 ORDER BY incarnation, xid, id)
UNION ALL
SELECT (SELECT id FROM looked ORDER BY id DESC LIMIT 1), NULL, true WHERE (SELECT count(*) FROM looked) = $3;

-- name: move_webhook_replay
UPDATE webhook_replays SET after_id = $2 WHERE id = $1;

-- name: end_webhook_replay
DELETE FROM webhook_replays WHERE id = $1;

-- name: write_audit
INSERT INTO audit (actor, action, account_id, detail) VALUES ($1, $2, $3, $4);

-- name: list_audit
SELECT t.at, t.actor, t.action, a.name AS account, t.detail
FROM audit t LEFT JOIN accounts a ON a.id = t.account_id ORDER BY t.id DESC LIMIT $1;

-- name: read_submission
SELECT s.id, s.account_id, s.credential_id, c.username, s.profile, s.profile_revision, s.lane,
       s.sender, s.recipients, s.client, s.helo, s.tls, s.size, s.attributes,
       (SELECT send_at FROM scheduled_submissions q WHERE q.id = s.id) AS send_at,
       COALESCE((SELECT hold_reason FROM due_submissions q WHERE q.id = s.id),
                (SELECT hold_reason FROM scheduled_submissions q WHERE q.id = s.id)) AS hold_reason
FROM submissions s LEFT JOIN credentials c ON c.id = s.credential_id WHERE s.id = $1;

-- name: read_past_submissions
SELECT s.id, s.credential_id, c.username, s.profile, s.profile_revision, s.sender, s.recipients,
       s.smtputf8, s.size, s.attributes, t.header
FROM submissions s LEFT JOIN credentials c ON c.id = s.credential_id
LEFT JOIN contents t ON t.id = s.id
WHERE s.id > $1 AND s.id < first_id_of($2) AND ($3::uuid IS NULL OR s.account_id = $3)
  AND s.credential_id <> '00000000-0000-0000-0000-000000000000'  -- not those of ours
ORDER BY s.id LIMIT $4;

-- name: add_message_keys
-- Of what was accepted after ($1, $2) up to ($3, $4), in the order of the index, which costs a third less.
INSERT INTO message_keys (key, id)
SELECT unnest(
           ARRAY[message_key(1, s.credential_id::text), message_key(2, s.sender)]
           || CASE WHEN cardinality(s.recipients) = 1 THEN ARRAY[message_key(3, s.recipients[1])]
                   ELSE ARRAY(SELECT DISTINCT message_key(3, r) FROM unnest(s.recipients) AS r) END
           || CASE WHEN s.attributes IS NOT NULL THEN ARRAY(
                  SELECT DISTINCT message_key(4, s.account_id || ' ' || t)
                  FROM jsonb_array_elements_text(s.attributes->'tags') AS t
                  UNION SELECT message_key(3, d->>0) FROM jsonb_array_elements(s.attributes->'discarded') AS d
              ) END
       ) AS key, e.id
FROM witness w
CROSS JOIN LATERAL (
    SELECT e.submission_id AS id FROM events e
    WHERE (e.xid, e.id) > ($1, $2) AND (e.xid, e.id) <= ($3, $4) AND e.incarnation = w.number
      AND e.kind = 'accepted'
) e
CROSS JOIN LATERAL (
    SELECT account_id, credential_id, sender, recipients, attributes FROM submissions s
    WHERE s.id = e.id OFFSET 0
) s
ORDER BY key, id;

-- name: find_message_keys
-- The newest $5 of kind $1 for one of the values $2, after the id $3 and before $4, newest first.
SELECT DISTINCT m.id FROM unnest($2::text[]) AS t(value)
CROSS JOIN LATERAL (
    SELECT id FROM message_keys m
    WHERE m.key = message_key($1, t.value) AND m.id > $3 AND m.id < $4
    ORDER BY m.id DESC LIMIT $5
) m
ORDER BY m.id DESC LIMIT $5;

-- name: scan_messages
-- Looks at the newest $4 after the id $1 and before $2: those of the accounts $3 (null: of all), newest
-- first. Each row, and one without an id if there are none, has the last one that was looked at; null if
-- there are no others.
WITH looked AS MATERIALIZED (
    SELECT id, account_id, subject FROM submissions WHERE id > $1 AND id < $2 ORDER BY id DESC LIMIT $4
)
SELECT f.id, f.subject, CASE WHEN (SELECT count(*) FROM looked) = $4 THEN (SELECT id FROM looked ORDER BY id LIMIT 1) END AS last
FROM (VALUES (1)) AS one
LEFT JOIN looked f ON COALESCE(f.account_id = ANY($3::uuid[]), true)
ORDER BY f.id DESC;

-- name: find_credentials_named
-- Also those that are deleted.
SELECT id FROM credentials WHERE username = $1;

-- name: read_found_messages
-- Those of $1 that are kept, in that order. `waits`: the state of what policy has not prepared;
-- `deliveries`: id, recipient and state, null when it is not open; `ends`: events of the kinds $2.
SELECT s.id, s.account_id, a.name AS account, s.credential_id, c.username, s.sender, s.recipients,
       s.subject, s.author, s.author_name, s.attributes, s.lane, s.size,
       COALESCE(
           (SELECT CASE WHEN held THEN 'held' WHEN leased THEN 'inflight' WHEN due_at <= now() THEN 'ready'
                        ELSE 'deferred' END FROM due_submissions d WHERE d.id = s.id),
           (SELECT CASE WHEN hold_reason IS NULL THEN 'scheduled' ELSE 'held' END
            FROM scheduled_submissions d WHERE d.id = s.id),
           (SELECT 'quarantined' FROM quarantined_submissions d WHERE d.id = s.id)
       ) AS waits,
       (SELECT jsonb_agg(jsonb_build_array(v.id, v.recipient, COALESCE(
            (SELECT CASE WHEN held THEN 'held' WHEN parked_at IS NOT NULL THEN 'parked'
                         WHEN leased THEN 'inflight' WHEN due_at <= now() THEN 'ready'
                         ELSE 'deferred' END FROM due_deliveries d WHERE d.id = v.id),
            (SELECT 'quarantined' FROM quarantined_deliveries d WHERE d.id = v.id)
        )) ORDER BY v.id) FROM deliveries v WHERE v.submission_id = s.id) AS deliveries,
       (SELECT jsonb_agg(jsonb_build_array(e.kind, e.delivery_id, e.detail->>'recipient')
                         ORDER BY e.at, e.id)
        FROM events e WHERE e.submission_id = s.id AND e.kind = ANY($2::text[])) AS ends
FROM unnest($1::uuid[]) WITH ORDINALITY AS t(id, place)
CROSS JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = t.id OFFSET 0) s
JOIN accounts a ON a.id = s.account_id
LEFT JOIN credentials c ON c.id = s.credential_id
ORDER BY t.place;

-- name: drop_message_keys
SELECT * FROM drop_message_keys(now() - $1::interval);

-- name: sweep_message_keys
DELETE FROM message_keys_default WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM message_keys_default WHERE id < first_id_of(now() - $1::interval) LIMIT $2
))
RETURNING 1;

-- name: first_id_at
SELECT first_id_of($1) AS id;

-- name: read_deliveries
SELECT v.id, v.recipient, v.kind, v.return_path, d.due_at, d.tries, d.leased, d.held, d.hold_reason,
       d.parked_at, d.expires_at
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
-- Of these the time since the first was to be sent: none, as long as all goes well.
SELECT 'policy', lane, CASE WHEN hold_reason IS NULL THEN 'scheduled' ELSE 'held' END, count(*),
       GREATEST(0, EXTRACT(epoch FROM now() - min(send_at)))::float8
FROM scheduled_submissions GROUP BY 1, 2, 3
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
-- What the operator holds is quarantined for the reason of that: who releases the rest leaves it alone.
WITH gone AS (
    DELETE FROM due_submissions
    RETURNING id, account_id, lane, size, received_at, expires_at, held,
              COALESCE(hold_reason, $1::text) AS reason
), later AS (
    DELETE FROM scheduled_submissions
    RETURNING id, account_id, lane, size, received_at, send_at, keep_trying,
              COALESCE(hold_reason, $1::text) AS reason
), both_kinds AS (
    SELECT *, NULL::timestamptz AS send_at FROM gone
    UNION ALL
    SELECT id, account_id, lane, size, received_at, send_at + keep_trying, false, reason, send_at
    FROM later
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), account_id, id, 'quarantined', jsonb_build_object('reason', reason)
    FROM both_kinds
)
INSERT INTO quarantined_submissions (id, account_id, lane, size, received_at, expires_at, held,
                                     reason, send_at)
SELECT id, account_id, lane, size, received_at, expires_at, held, reason, send_at FROM both_kinds
RETURNING id;

-- name: quarantine_deliveries
WITH gone AS (
    DELETE FROM due_deliveries d
    RETURNING id, account_id, lane, size, received_at, expires_at, claim, tries, site, held,
              COALESCE(hold_reason, $1::text) AS reason,
              (SELECT submission_id FROM deliveries v WHERE v.id = d.id) AS submission_id
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), account_id, submission_id, id, 'quarantined', jsonb_build_object('reason', reason)
    FROM gone WHERE submission_id IS NOT NULL
)
INSERT INTO quarantined_deliveries (id, account_id, submission_id, lane, size, received_at, expires_at,
                                claim, tries, site, held, reason)
SELECT id, account_id, submission_id, lane, size, received_at, expires_at, claim, tries, site, held,
       reason
FROM gone
RETURNING id;

-- name: choose_submissions
-- Of the next $2 after $1, in the order of ids, those that fit; one row without an id if none does. Each
-- has the last one that was looked at; null if there were fewer than $2: what comes meanwhile is not waited
-- for. A null does not choose: ids $3,
-- account $4, lane $5, states $6, reason $7, accepted until $8 and after $9, credentials $10, stream $11,
-- tag $12, recipients $13, their domains $14. A message is one as long as policy has not prepared it, so all
-- of its recipients have to fit.
WITH page AS (
    SELECT * FROM waiting_submissions WHERE id > $1 AND COALESCE(id = ANY($3::uuid[]), true)
    ORDER BY id LIMIT $2
)
SELECT CASE WHEN (SELECT count(*) FROM page) = $2
            THEN (SELECT id FROM page ORDER BY id DESC LIMIT 1) END AS last, w.*
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT p.id, p.id AS submission_id, p.lane, '' AS site, p.state, p.leased, p.reason,
           s.recipients[1] AS recipient
    FROM page p LEFT JOIN LATERAL (SELECT * FROM submissions s WHERE s.id = p.id OFFSET 0) s ON true
    WHERE COALESCE(p.account_id = $4, true) AND COALESCE(p.lane = $5, true)
      AND COALESCE(p.state = ANY($6::text[]), true)
      AND CASE WHEN $7::text IS NULL THEN true ELSE p.reason IS NOT DISTINCT FROM $7 END
      AND COALESCE(p.received_at <= $8, true) AND COALESCE(p.received_at > $9, true)
      AND CASE WHEN $10::uuid[] IS NULL THEN true ELSE s.credential_id = ANY($10) END
      AND CASE WHEN $11::text IS NULL THEN true ELSE s.attributes->>'stream' = $11 END
      AND CASE WHEN $12::text IS NULL THEN true ELSE s.attributes->'tags' ? $12 END
      AND CASE WHEN $13::text[] IS NULL THEN true ELSE
          (SELECT bool_and(lower(r COLLATE "C") = ANY($13)) FROM unnest(s.recipients) AS r) END
      AND CASE WHEN $14::text[] IS NULL THEN true ELSE
          (SELECT bool_and(lower(substring(r FROM '[^@]*$')) = ANY($14)) FROM unnest(s.recipients) AS r) END
) w ON true;

-- name: choose_deliveries
-- The same of deliveries; of the site $15, and with an answer of the class $16 the last time.
WITH page AS (
    SELECT * FROM waiting_deliveries WHERE id > $1 AND COALESCE(id = ANY($3::uuid[]), true)
    ORDER BY id LIMIT $2
)
SELECT CASE WHEN (SELECT count(*) FROM page) = $2
            THEN (SELECT id FROM page ORDER BY id DESC LIMIT 1) END AS last, w.*
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT p.id, v.submission_id, p.lane, p.site, p.state, p.leased, p.reason, v.recipient
    FROM page p LEFT JOIN LATERAL (SELECT * FROM deliveries v WHERE v.id = p.id OFFSET 0) v ON true
    LEFT JOIN LATERAL (
        SELECT * FROM submissions s
        WHERE s.id = v.submission_id
          AND ($10::uuid[] IS NOT NULL OR $11::text IS NOT NULL OR $12::text IS NOT NULL) OFFSET 0
    ) s ON true
    WHERE COALESCE(p.account_id = $4, true) AND COALESCE(p.lane = $5, true)
      AND COALESCE(p.state = ANY($6::text[]), true)
      AND CASE WHEN $7::text IS NULL THEN true ELSE p.reason IS NOT DISTINCT FROM $7 END
      AND COALESCE(p.received_at <= $8, true) AND COALESCE(p.received_at > $9, true)
      AND CASE WHEN $10::uuid[] IS NULL THEN true ELSE s.credential_id = ANY($10) END
      AND CASE WHEN $11::text IS NULL THEN true ELSE s.attributes->>'stream' = $11 END
      AND CASE WHEN $12::text IS NULL THEN true ELSE s.attributes->'tags' ? $12 END
      AND CASE WHEN $13::text[] IS NULL THEN true ELSE lower(v.recipient COLLATE "C") = ANY($13) END
      AND CASE WHEN $14::text[] IS NULL THEN true
               ELSE lower(substring(v.recipient FROM '[^@]*$')) = ANY($14) END
      AND COALESCE(p.site = $15, true)
      AND CASE WHEN $16::text IS NULL THEN true ELSE (
          SELECT e.detail->>'class' FROM events e
          WHERE e.submission_id = v.submission_id AND e.delivery_id = p.id AND e.kind = 'deferred'
          ORDER BY e.at DESC LIMIT 1) = $16 END
) w ON true;

-- name: retry_submissions
WITH free AS (
    SELECT id FROM due_submissions
    WHERE id = ANY($1::uuid[]) AND NOT leased AND NOT held AND due_at > now() FOR UPDATE SKIP LOCKED
)
UPDATE due_submissions SET due_at = now() WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id;

-- name: retry_deliveries
-- Not those that wait for room at their site: they come as soon as it has some.
WITH free AS (
    SELECT id FROM due_deliveries
    WHERE id = ANY($1::uuid[]) AND NOT leased AND NOT held AND parked_at IS NULL AND due_at > now()
    FOR UPDATE SKIP LOCKED
)
UPDATE due_deliveries SET due_at = now() WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id;

-- name: hold_submissions
WITH free AS (
    SELECT id FROM due_submissions WHERE id = ANY($1::uuid[]) AND hold_reason IS NULL
    FOR UPDATE SKIP LOCKED
), held AS (
    UPDATE due_submissions SET held = true, hold_reason = $2
    WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id
), later AS (
    UPDATE scheduled_submissions SET hold_reason = $2 WHERE id = ANY(ARRAY(
        SELECT id FROM scheduled_submissions WHERE id = ANY($1) AND hold_reason IS NULL
        FOR UPDATE SKIP LOCKED)) RETURNING id
)
SELECT id FROM held UNION ALL SELECT id FROM later;

-- name: hold_deliveries
-- A transaction on the wire finishes, and its result counts.
WITH free AS (
    SELECT id FROM due_deliveries WHERE id = ANY($1::uuid[]) AND hold_reason IS NULL
    FOR UPDATE SKIP LOCKED
)
UPDATE due_deliveries SET held = true, hold_reason = $2
WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id;

-- name: release_submissions
-- From a hold by the operator, or from the quarantine, with as much time as when they were accepted. That
-- of a held account stays held, and what is not to be sent yet is scheduled as before.
WITH free AS (
    SELECT id FROM due_submissions WHERE id = ANY($1::uuid[]) AND hold_reason IS NOT NULL
    FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE due_submissions d SET hold_reason = NULL, expires_at = now() + (expires_at - received_at),
        held = EXISTS (SELECT FROM account_holds h WHERE h.account_id = d.account_id)
    WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id
), later AS (
    UPDATE scheduled_submissions SET hold_reason = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM scheduled_submissions WHERE id = ANY($1) AND hold_reason IS NOT NULL
        FOR UPDATE SKIP LOCKED)) RETURNING id
), gone AS (
    DELETE FROM quarantined_submissions WHERE id = ANY(ARRAY(
        SELECT id FROM quarantined_submissions WHERE id = ANY($1) FOR UPDATE SKIP LOCKED))
    RETURNING id, account_id, lane, size, received_at, send_at, COALESCE(send_at > now(), false) AS waits,
              expires_at - COALESCE(send_at, received_at) AS keep_trying
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind)
    SELECT new_id(), account_id, id, 'unquarantined' FROM gone
), scheduled AS (
    INSERT INTO scheduled_submissions (id, account_id, lane, size, received_at, send_at, keep_trying)
    SELECT id, account_id, lane, size, received_at, send_at, keep_trying FROM gone WHERE waits
), opened AS (
    INSERT INTO due_submissions (id, account_id, lane, size, due_at, received_at, expires_at, held)
    SELECT id, account_id, lane, size, now(), received_at, now() + keep_trying,
           EXISTS (SELECT FROM account_holds h WHERE h.account_id = gone.account_id)
    FROM gone WHERE NOT waits
)
SELECT id FROM released UNION ALL SELECT id FROM later UNION ALL SELECT id FROM gone;

-- name: release_deliveries
WITH free AS (
    SELECT id FROM due_deliveries WHERE id = ANY($1::uuid[]) AND hold_reason IS NOT NULL
    FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE due_deliveries d SET hold_reason = NULL, expires_at = now() + (expires_at - received_at),
        held = EXISTS (SELECT FROM account_holds h WHERE h.account_id = d.account_id)
    WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id
), gone AS (
    DELETE FROM quarantined_deliveries WHERE id = ANY(ARRAY(
        SELECT id FROM quarantined_deliveries WHERE id = ANY($1) FOR UPDATE SKIP LOCKED)) RETURNING *
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind)
    SELECT new_id(), account_id, submission_id, id, 'unquarantined' FROM gone
    WHERE submission_id IS NOT NULL
), opened AS (
    INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at, claim,
                                tries, site, held)
    SELECT id, account_id, lane, size, now(), received_at, now() + (expires_at - received_at), claim,
           tries, site, EXISTS (SELECT FROM account_holds h WHERE h.account_id = gone.account_id)
    FROM gone
)
SELECT id FROM released UNION ALL SELECT id FROM gone;

-- name: end_submissions
-- What somebody else ends at this moment is left to them: nobody waits, so no two wait for each other.
-- With an event of the kind $2 and the detail $3: one, or a bounce for each recipient. Under a claim of
-- policy nothing comes of them any more: it does not find them.
WITH free AS (
    SELECT id FROM due_submissions WHERE id = ANY($1::uuid[]) FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM due_submissions WHERE id = ANY(ARRAY(SELECT id FROM free)) RETURNING id, account_id
), later AS (
    DELETE FROM scheduled_submissions WHERE id = ANY(ARRAY(
        SELECT id FROM scheduled_submissions WHERE id = ANY($1) FOR UPDATE SKIP LOCKED)) RETURNING id, account_id
), quarantined AS (
    DELETE FROM quarantined_submissions WHERE id = ANY(ARRAY(
        SELECT id FROM quarantined_submissions WHERE id = ANY($1) FOR UPDATE SKIP LOCKED)) RETURNING id, account_id
), ended AS (
    SELECT * FROM gone UNION ALL SELECT * FROM later UNION ALL SELECT * FROM quarantined
), told AS (
    INSERT INTO events (id, account_id, submission_id, kind, detail)
    SELECT new_id(), e.account_id, e.id, $2::text, $3::jsonb || r.whom
    FROM ended e CROSS JOIN LATERAL (
        SELECT '{}'::jsonb AS whom WHERE $2 <> 'bounced'
        UNION ALL
        SELECT jsonb_build_object('recipient', r.recipient)
        FROM (SELECT recipients FROM submissions s WHERE s.id = e.id AND $2 = 'bounced' OFFSET 0) s
        CROSS JOIN LATERAL unnest(s.recipients) AS r(recipient)
    ) r
)
SELECT id FROM ended;

-- name: end_deliveries
-- What a worker has may be on the wire, and its result will count no more: then whether it arrived is
-- uncertain, and its history says so first.
WITH free AS (
    SELECT id FROM due_deliveries WHERE id = ANY($1::uuid[]) FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM due_deliveries d WHERE id = ANY(ARRAY(SELECT id FROM free))
    RETURNING id, account_id, claim, leased,
              (SELECT submission_id FROM deliveries v WHERE v.id = d.id) AS submission_id
), quarantined AS (
    DELETE FROM quarantined_deliveries WHERE id = ANY(ARRAY(
        SELECT id FROM quarantined_deliveries WHERE id = ANY($1) FOR UPDATE SKIP LOCKED))
    RETURNING id, account_id, claim, false AS leased, submission_id
), ended AS (
    SELECT * FROM gone UNION ALL SELECT * FROM quarantined
), uncertain AS (
    INSERT INTO attempts (delivery_id, claim, outcome, code, reply)
    SELECT id, claim, 'uncertain', 0, 'the operator ended it while a worker had it'
    FROM ended WHERE leased
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
    SELECT new_id(), e.account_id, e.submission_id, e.id, t.kind, t.detail
    FROM ended e CROSS JOIN LATERAL (
        SELECT 'uncertain' AS kind, jsonb_build_object('claim', e.claim) AS detail, 1 AS place
        WHERE e.leased
        UNION ALL SELECT $2::text, $3::jsonb, 2
    ) t
    WHERE e.submission_id IS NOT NULL ORDER BY e.id, t.place
)
SELECT id FROM ended;

-- name: begin_audit
INSERT INTO audit (actor, action, account_id, detail) VALUES ($1, $2, $3, $4) RETURNING id;

-- name: count_audited
UPDATE audit SET detail = detail || jsonb_build_object('messages', $2::bigint) WHERE id = $1;

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

-- name: shift_due_webhooks
-- The same of what customers are told, and of endpoints that are not asked for a while.
WITH endpoints AS (
    UPDATE webhook_endpoints
    SET retry_at = CASE WHEN retry_at > now() THEN GREATEST(retry_at - $1::interval, now()) ELSE retry_at END,
        failing_since = CASE WHEN failing_since > now() THEN now() ELSE failing_since END,
        paused_at = CASE WHEN paused_at > now() THEN now() ELSE paused_at END
    WHERE retry_at > now() OR failing_since > now() OR paused_at > now()
)
UPDATE webhook_batches
SET due_at = GREATEST(due_at - $1::interval, CASE WHEN leased THEN now() + $2::interval ELSE now() END),
    made_at = LEAST(made_at, now()),
    expires_at = expires_at - GREATEST(made_at - now(), interval '0')
WHERE due_at > now() OR made_at > now();

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

-- name: find_settled_events
-- Looks at the next $3 events after ($1, $2) that come before every transaction that may still commit:
-- the place after them (null: there are none), whether others can be read at once, and the age of the
-- first one behind that place. With it the incarnation of the database, and the first number that no
-- transaction has yet.
SELECT w.incarnation AS of, pg_snapshot_xmax(w.snapshot) AS unused,
       last.xid AS last_xid, last.id AS last_id, COALESCE(next.settled, false) AS more,
       COALESCE(EXTRACT(epoch FROM now() - next.at)::float8, 0) AS lag
FROM (SELECT *, pg_current_snapshot() AS snapshot FROM witness) w
LEFT JOIN LATERAL (
    (SELECT e.xid, e.id FROM events e
     WHERE (e.xid, e.id) > ($1, $2) AND e.xid < pg_snapshot_xmin(w.snapshot)
       AND e.incarnation = w.number
     ORDER BY e.xid, e.id OFFSET $3 - 1 LIMIT 1)
    UNION ALL  -- there are fewer: the newest one
    (SELECT e.xid, e.id FROM events e
     WHERE (e.xid, e.id) > ($1, $2) AND e.xid < pg_snapshot_xmin(w.snapshot)
       AND e.incarnation = w.number
     ORDER BY e.xid DESC, e.id DESC LIMIT 1)
    LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT e.at, e.xid < pg_snapshot_xmin(w.snapshot) AS settled FROM events e
    WHERE (e.xid, e.id) > (COALESCE(last.xid, $1), COALESCE(last.id, $2))
      AND e.incarnation = w.number
    ORDER BY e.xid, e.id LIMIT 1
) next ON true;

-- name: event_place_before
-- The place of the newest event that is older than $1.
SELECT e.xid, e.id FROM witness w
CROSS JOIN LATERAL (
    SELECT xid, id FROM events e WHERE e.id < first_id_of($1) AND e.incarnation = w.number
    ORDER BY e.id DESC LIMIT 1
) e;

-- name: newest_event_place
-- Of those that come before every transaction that may still commit.
SELECT e.xid, e.id FROM witness w
CROSS JOIN LATERAL (
    SELECT xid, id FROM events e
    WHERE e.xid < pg_snapshot_xmin(pg_current_snapshot()) AND e.incarnation = w.number
    ORDER BY e.xid DESC, e.id DESC LIMIT 1
) e;

-- name: find_told_events
-- The first $7 after ($1, $2) up to ($3, $4), of the accounts $5 (null: all) and the kinds $6.
SELECT e.id, e.xid, e.submission_id FROM witness w
CROSS JOIN LATERAL (
    SELECT e.id, e.xid, e.submission_id FROM events e
    WHERE (e.xid, e.id) > ($1, $2) AND (e.xid, e.id) <= ($3, $4) AND e.incarnation = w.number
      AND ($5::uuid[] IS NULL OR e.account_id = ANY($5)) AND e.kind = ANY($6::text[])
) e
ORDER BY e.xid, e.id LIMIT $7;

-- name: tally_events
-- Of the kinds $5, after ($1, $2) up to ($3, $4). Where the event names no host of the other side, it
-- is the one that the message was delivered to. Messages of ours, which no credential has, do not count.
-- Of the reports about one delivery the first one counts: its recipient can write any number. Streams
-- and domains have their names only where we know them, since clients may make up any number.
SELECT e.account_id,
       CASE WHEN a.released_at > date_trunc('hour', e.at, 'UTC') AND a.released_at <= e.at
            THEN a.released_at ELSE date_trunc('hour', e.at, 'UTC') END AS began_at,
       COALESCE(t.name, '') AS stream, COALESCE(d.name, '') AS domain,
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
            AND f.kind = 'bounced'
            AND (f.incarnation <> e.incarnation OR (f.xid, f.id) < (e.xid, e.id))
      ))
) e
JOIN accounts a ON a.id = e.account_id
CROSS JOIN LATERAL (
    SELECT sender, attributes FROM submissions s
    WHERE s.id = e.submission_id AND s.credential_id <> '00000000-0000-0000-0000-000000000000'
    OFFSET 0
) s
LEFT JOIN LATERAL (
    SELECT name FROM streams t
    WHERE t.account_id = ANY(ARRAY[e.account_id, a.parent_id]) AND t.name = s.attributes->>'stream'
    LIMIT 1
) t ON true
LEFT JOIN LATERAL (
    SELECT name FROM sending_domains d WHERE d.name = lower(substring(s.sender FROM '[^@]*$')) OFFSET 0
) d ON true
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
WHERE account_id = $1 AND began_at > now() - $2::interval AND kind <> 'accepted'
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
UPDATE witness SET database = this_database(), folder = COALESCE($1, folder),
                   timeline = COALESCE(this_timeline(), timeline);

-- name: was_restored
SELECT database <> this_database() AS restored FROM witness;

-- name: schema_version
SELECT max(version) AS version FROM schema_migrations;

-- name: round_trip
SELECT 1 AS answer;

-- name: tally_traffic
-- Of the kinds $5, after ($1, $2) up to ($3, $4), as `tally_events` counts them. The last column is the
-- newest refusal of each line: its event, its message and what was said.
SELECT e.account_id, date_bin('15 minutes', e.at, '2000-01-01 00:00:00+00') AS began_at,
       COALESCE(t.name, '') AS stream, COALESCE(d.name, '') AS domain, s.credential_id, s.lane,
       s.attributes->'tags' AS tags, COALESCE(s.subject, '') AS subject,
       COALESCE(s.author, '') AS author, COALESCE(s.author_name, '') AS author_name,
       COALESCE(e.detail->>'host', v.host, '') AS host,
       lower(COALESCE(substring(COALESCE(e.detail->>'recipient', v.recipient) FROM '[^@]*$'), ''))
           AS recipient_domain,
       e.kind, COALESCE(e.detail->>'class', '') AS class, COALESCE(e.detail->>'verdict', '') AS reader,
       count(*) AS count,
       sum(cardinality(s.recipients)) FILTER (WHERE e.kind = 'accepted') AS recipients,
       max(concat_ws(' ', e.id, e.submission_id,
                     COALESCE(e.detail->>'reply', e.detail->>'diagnostic', e.detail->>'excerpt'))
           COLLATE "C") FILTER (WHERE e.kind IN ('bounced', 'deferred', 'expired')) AS sample
FROM witness w
CROSS JOIN LATERAL (
    SELECT * FROM events e
    WHERE (e.xid, e.id) > ($1, $2) AND (e.xid, e.id) <= ($3, $4) AND e.incarnation = w.number
      AND e.kind = ANY($5::text[])
      AND NOT (e.kind = 'bounced' AND e.detail ? 'digest' AND EXISTS (
          SELECT FROM events f
          WHERE f.submission_id = e.submission_id AND f.delivery_id = e.delivery_id
            AND f.kind = 'bounced'
            AND (f.incarnation <> e.incarnation OR (f.xid, f.id) < (e.xid, e.id))
      ))
) e
JOIN accounts a ON a.id = e.account_id
CROSS JOIN LATERAL (
    SELECT sender, recipients, credential_id, lane, attributes, subject, author, author_name
    FROM submissions s
    WHERE s.id = e.submission_id AND s.credential_id <> '00000000-0000-0000-0000-000000000000'
    OFFSET 0
) s
LEFT JOIN LATERAL (
    SELECT name FROM streams t
    WHERE t.account_id = ANY(ARRAY[e.account_id, a.parent_id]) AND t.name = s.attributes->>'stream'
    LIMIT 1
) t ON true
LEFT JOIN LATERAL (
    SELECT name FROM sending_domains d WHERE d.name = lower(substring(s.sender FROM '[^@]*$')) OFFSET 0
) d ON true
LEFT JOIN LATERAL (
    SELECT v.recipient, (SELECT t.host FROM attempts t WHERE t.delivery_id = v.id
                         ORDER BY t.claim DESC LIMIT 1) AS host
    FROM deliveries v WHERE v.id = e.delivery_id AND NOT e.detail ? 'host' OFFSET 0
) v ON true
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15;

-- name: find_message_sets
SELECT s.id, s.account_id, s.month, s.digest
FROM unnest($1::uuid[], $2::date[], $3::bytea[]) AS t(account_id, month, digest)
CROSS JOIN LATERAL (
    SELECT * FROM message_sets s
    WHERE s.account_id = t.account_id AND s.month = t.month AND s.digest = t.digest OFFSET 0
) s;

-- name: count_new_message_sets
-- Of the accounts $1 those of today (UTC), but $2 at most.
SELECT a.id AS account_id, s.count
FROM unnest($1::uuid[]) AS a(id) CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM message_sets
        WHERE account_id = a.id AND created_at >= date_trunc('day', now(), 'UTC') LIMIT $2
    ) today
) s;

-- name: add_message_sets
INSERT INTO message_sets (account_id, month, digest, stream, domain, credential_id, lane, tags,
                          subject, pattern, author, author_name)
SELECT * FROM unnest($1::message_set_row_1[])
RETURNING id, account_id, month, digest;

-- name: add_traffic
INSERT INTO traffic_counts AS c SELECT * FROM unnest($1::traffic_row_1[])
ON CONFLICT (account_id, began_at, set_id, provider, class) DO UPDATE
SET accepted = c.accepted + EXCLUDED.accepted,
    recipients = c.recipients + EXCLUDED.recipients,
    delivered = c.delivered + EXCLUDED.delivered,
    deferred = c.deferred + EXCLUDED.deferred,
    hard = c.hard + EXCLUDED.hard,
    soft = c.soft + EXCLUDED.soft,
    expired = c.expired + EXCLUDED.expired,
    suppressed = c.suppressed + EXCLUDED.suppressed,
    complained = c.complained + EXCLUDED.complained,
    unsubscribed = c.unsubscribed + EXCLUDED.unsubscribed,
    resubscribed = c.resubscribed + EXCLUDED.resubscribed,
    opened_human = c.opened_human + EXCLUDED.opened_human,
    opened_machine = c.opened_machine + EXCLUDED.opened_machine,
    opened_unknown = c.opened_unknown + EXCLUDED.opened_unknown,
    clicked_human = c.clicked_human + EXCLUDED.clicked_human,
    clicked_machine = c.clicked_machine + EXCLUDED.clicked_machine,
    clicked_unknown = c.clicked_unknown + EXCLUDED.clicked_unknown;

-- name: keep_refusals
INSERT INTO refusal_samples AS r SELECT * FROM unnest($1::refusal_row_1[])
ON CONFLICT (account_id, provider, class) DO UPDATE
SET at = EXCLUDED.at, submission_id = EXCLUDED.submission_id, reply = EXCLUDED.reply
WHERE EXCLUDED.at >= r.at;

-- name: forget_traffic
DELETE FROM traffic_counts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM traffic_counts WHERE began_at < now() - $1::interval LIMIT $2
))
RETURNING set_id;

-- name: forget_message_sets
DELETE FROM message_sets WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM message_sets
    WHERE month < date_trunc('month', now() - $1::interval, 'UTC')::date LIMIT $2
))
RETURNING id;

-- name: forget_refusals
DELETE FROM refusal_samples WHERE at < now() - $1::interval;

-- name: read_message_sets
-- Of account $1, those with counts from $2 on and before $3. A user that nobody knows is "".
SELECT s.id, s.stream, s.domain,
       CASE WHEN s.credential_id IS NOT NULL THEN COALESCE(c.username, '') END AS username, s.lane,
       s.tags, s.subject, s.pattern, s.author, s.author_name
FROM message_sets s LEFT JOIN credentials c ON c.id = s.credential_id
WHERE s.account_id = $1 AND s.month >= date_trunc('month', $2::timestamptz, 'UTC')::date
  AND s.month < $3::timestamptz AT TIME ZONE 'UTC';

-- name: read_traffic
-- Of account $1, from $2 on and before $3: by periods $4 of the zone $5, set ($6), provider ($7) and class
-- ($8), of the provider $9 and the sets $10, if these are given; $11 lines at most.
SELECT CASE $4::text WHEN 'quarter-hour' THEN began_at ELSE date_trunc($4, began_at, $5) END AS period,
       CASE WHEN $6 THEN set_id END AS set_id, CASE WHEN $7 THEN provider ELSE '' END AS provider,
       CASE WHEN $8 THEN class ELSE '' END AS class,
       sum(accepted)::bigint AS accepted, sum(recipients)::bigint AS recipients,
       sum(delivered)::bigint AS delivered, sum(deferred)::bigint AS deferred,
       sum(hard)::bigint AS hard, sum(soft)::bigint AS soft, sum(expired)::bigint AS expired,
       sum(suppressed)::bigint AS suppressed, sum(complained)::bigint AS complained,
       sum(unsubscribed)::bigint AS unsubscribed, sum(resubscribed)::bigint AS resubscribed,
       sum(opened_human)::bigint AS opened_human, sum(opened_machine)::bigint AS opened_machine,
       sum(opened_unknown)::bigint AS opened_unknown, sum(clicked_human)::bigint AS clicked_human,
       sum(clicked_machine)::bigint AS clicked_machine,
       sum(clicked_unknown)::bigint AS clicked_unknown
FROM traffic_counts
WHERE account_id = $1 AND began_at >= $2 AND began_at < $3
  AND COALESCE(provider = $9, true) AND COALESCE(set_id = ANY($10::integer[]), true)
GROUP BY 1, 2, 3, 4 LIMIT $11;

-- name: read_bill
-- Of account $1, or of all, from $2 on and before $3.
SELECT a.name AS account, c.stream, sum(c.accepted)::bigint AS messages,
       sum(c.recipients)::bigint AS recipients, sum(c.delivered)::bigint AS deliveries
FROM accounts a CROSS JOIN LATERAL (
    SELECT s.stream, c.accepted, c.recipients, c.delivered
    FROM traffic_counts c JOIN message_sets s ON s.id = c.set_id
    WHERE c.account_id = a.id AND c.began_at >= $2 AND c.began_at < $3
) c
WHERE COALESCE(a.id = $1, true)
GROUP BY 1, 2 HAVING sum(c.accepted) + sum(c.delivered) > 0 ORDER BY 1, 2;

-- name: read_refusals
SELECT provider, class, at, submission_id, reply FROM refusal_samples WHERE account_id = $1;

-- name: count_reads
-- Events of the kinds $2 of each recipient of the messages $1, by who read.
SELECT t.id AS submission_id, v.recipient, e.kind, COALESCE(e.detail->>'verdict', '') AS reader,
       count(*) AS count
FROM unnest($1::uuid[]) AS t(id)
CROSS JOIN LATERAL (
    SELECT * FROM events e WHERE e.submission_id = t.id AND e.kind = ANY($2::text[]) OFFSET 0
) e
CROSS JOIN LATERAL (SELECT recipient FROM deliveries v WHERE v.id = e.delivery_id OFFSET 0) v
GROUP BY 1, 2, 3, 4;

-- name: has_accounts
SELECT EXISTS (SELECT FROM accounts) AS found;

-- name: copy_out_accounts
SELECT to_jsonb(t) AS row FROM accounts t;

-- name: copy_in_accounts
INSERT INTO accounts SELECT * FROM jsonb_populate_recordset(NULL::accounts, $1);

-- name: copy_out_profiles
SELECT to_jsonb(t) AS row FROM profiles t;

-- name: copy_in_profiles
INSERT INTO profiles SELECT * FROM jsonb_populate_recordset(NULL::profiles, $1);

-- name: copy_out_credentials
SELECT to_jsonb(t) AS row FROM credentials t;

-- name: copy_in_credentials
INSERT INTO credentials SELECT * FROM jsonb_populate_recordset(NULL::credentials, $1);

-- name: copy_out_sending_domains
SELECT to_jsonb(t) AS row FROM sending_domains t;

-- name: copy_in_sending_domains
INSERT INTO sending_domains SELECT * FROM jsonb_populate_recordset(NULL::sending_domains, $1);

-- name: copy_out_domain_accounts
SELECT to_jsonb(t) AS row FROM domain_accounts t;

-- name: copy_in_domain_accounts
INSERT INTO domain_accounts SELECT * FROM jsonb_populate_recordset(NULL::domain_accounts, $1);

-- name: copy_out_dkim_keys
SELECT to_jsonb(t) AS row FROM dkim_keys t;

-- name: copy_in_dkim_keys
INSERT INTO dkim_keys SELECT * FROM jsonb_populate_recordset(NULL::dkim_keys, $1);

-- name: copy_out_key_rotations
SELECT to_jsonb(t) AS row FROM key_rotations t;

-- name: copy_in_key_rotations
INSERT INTO key_rotations SELECT * FROM jsonb_populate_recordset(NULL::key_rotations, $1);

-- name: copy_out_tracking_hosts
SELECT to_jsonb(t) AS row FROM tracking_hosts t;

-- name: copy_in_tracking_hosts
INSERT INTO tracking_hosts SELECT * FROM jsonb_populate_recordset(NULL::tracking_hosts, $1);

-- name: copy_out_streams
SELECT to_jsonb(t) AS row FROM streams t;

-- name: copy_in_streams
INSERT INTO streams SELECT * FROM jsonb_populate_recordset(NULL::streams, $1);

-- name: copy_out_sender_settings
SELECT to_jsonb(t) AS row FROM sender_settings t;

-- name: copy_in_sender_settings
INSERT INTO sender_settings SELECT * FROM jsonb_populate_recordset(NULL::sender_settings, $1);

-- name: copy_out_rate_limits
SELECT to_jsonb(t) AS row FROM rate_limits t;

-- name: copy_in_rate_limits
INSERT INTO rate_limits SELECT * FROM jsonb_populate_recordset(NULL::rate_limits, $1);

-- name: copy_out_account_holds
SELECT to_jsonb(t) AS row FROM account_holds t;

-- name: copy_in_account_holds
INSERT INTO account_holds SELECT * FROM jsonb_populate_recordset(NULL::account_holds, $1);

-- name: copy_out_sandbox_counts
SELECT to_jsonb(t) AS row FROM sandbox_counts t;

-- name: copy_in_sandbox_counts
INSERT INTO sandbox_counts SELECT * FROM jsonb_populate_recordset(NULL::sandbox_counts, $1);

-- name: copy_out_confirmed_addresses
SELECT to_jsonb(t) AS row FROM confirmed_addresses t;

-- name: copy_in_confirmed_addresses
INSERT INTO confirmed_addresses SELECT * FROM jsonb_populate_recordset(NULL::confirmed_addresses, $1);

-- name: copy_out_webhook_endpoints
SELECT to_jsonb(t) AS row FROM webhook_endpoints t;

-- name: copy_in_webhook_endpoints
INSERT INTO webhook_endpoints SELECT * FROM jsonb_populate_recordset(NULL::webhook_endpoints, $1);

-- name: copy_out_suppressions
SELECT to_jsonb(t) AS row FROM suppressions t;

-- name: copy_in_suppressions
INSERT INTO suppressions SELECT * FROM jsonb_populate_recordset(NULL::suppressions, $1);

-- name: copy_out_link_sets
SELECT to_jsonb(t) AS row FROM link_sets t;

-- name: copy_in_link_sets
INSERT INTO link_sets SELECT * FROM jsonb_populate_recordset(NULL::link_sets, $1);

-- name: copy_out_audit
SELECT to_jsonb(t) AS row FROM audit t;

-- name: copy_in_audit
INSERT INTO audit SELECT * FROM jsonb_populate_recordset(NULL::audit, $1);
