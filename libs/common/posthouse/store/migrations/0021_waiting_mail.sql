-- migrate:up

-- Operations on what waits: decision 0040.

-- Why the operator holds this mail, and not its account; null: it does not. With `held`, where there is
-- that mark. A program of the version before takes such a hold for one of the account, and ends it.
ALTER TABLE due_submissions ADD COLUMN hold_reason text;
ALTER TABLE due_deliveries ADD COLUMN hold_reason text;
ALTER TABLE scheduled_submissions ADD COLUMN hold_reason text;

-- Marked for a hold of their account. The version before reads due_submissions_held and due_deliveries_held.
CREATE INDEX due_submissions_marked ON due_submissions (account_id) WHERE held AND hold_reason IS NULL;
CREATE INDEX due_deliveries_marked ON due_deliveries (account_id) WHERE held AND hold_reason IS NULL;

-- All that is open, with the state that the queue shows. `reason`: of a hold by the operator, or of the
-- quarantine.
CREATE VIEW waiting_submissions AS
SELECT id, account_id, lane, received_at, leased, hold_reason AS reason,
       CASE WHEN held THEN 'held' WHEN leased THEN 'inflight' WHEN due_at <= now() THEN 'ready'
            ELSE 'deferred' END AS state
FROM due_submissions
UNION ALL
SELECT id, account_id, lane, received_at, false, hold_reason,
       CASE WHEN hold_reason IS NULL THEN 'scheduled' ELSE 'held' END
FROM scheduled_submissions
UNION ALL
SELECT id, account_id, lane, received_at, false, reason, 'quarantined' FROM quarantined_submissions;

CREATE VIEW waiting_deliveries AS
SELECT id, account_id, lane, received_at, leased, site, hold_reason AS reason,
       CASE WHEN held THEN 'held' WHEN parked_at IS NOT NULL THEN 'parked' WHEN leased THEN 'inflight'
            WHEN due_at <= now() THEN 'ready' ELSE 'deferred' END AS state
FROM due_deliveries
UNION ALL
SELECT id, account_id, lane, received_at, false, site, reason, 'quarantined' FROM quarantined_deliveries;
