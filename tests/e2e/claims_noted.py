"""What claims of deliveries knew: noted by the database itself, so that no clock has to be asked.

Every claim is one statement, and a statement sees what its snapshot shows, whatever the machine
does meanwhile. So the notes tell for each claim, without any doubt, what it saw of other lanes.
"""

from dataclasses import dataclass

import asyncpg

from faults.database import command
from posthouse.mail.lane import Lane
from posthouse.store.deliveries import PREEMPTION_WINDOW

# A claim's own snapshot is told by `see`: a function that is not STABLE would take a newer one.
_NOTE = (
    """CREATE TABLE noted (
        id uuid, what text, lane smallint, at timestamptz,
        seen pg_snapshot DEFAULT pg_current_snapshot(), by xid8 DEFAULT pg_current_xact_id())""",
    "ALTER TABLE due_deliveries ADD COLUMN seen pg_snapshot",
    """CREATE FUNCTION see() RETURNS trigger STABLE LANGUAGE plpgsql AS $$
    BEGIN
        NEW.seen := pg_current_snapshot();
        RETURN NEW;
    END $$""",
    """CREATE FUNCTION note_due() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO noted VALUES (NEW.id, TG_ARGV[0], NEW.lane, NEW.due_at);
        RETURN NULL;
    END $$""",
    """CREATE FUNCTION note_claimed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO noted VALUES (NEW.id, 'claimed', NEW.lane, NEW.claimed_at, NEW.seen);
        RETURN NULL;
    END $$""",
    """CREATE FUNCTION note_ended() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO noted VALUES (OLD.id, TG_ARGV[0], OLD.lane, now());
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER see BEFORE UPDATE ON due_deliveries
        FOR EACH ROW WHEN (NEW.claim > OLD.claim) EXECUTE FUNCTION see()""",
    """CREATE TRIGGER note_claimed AFTER UPDATE ON due_deliveries
        FOR EACH ROW WHEN (NEW.claim > OLD.claim) EXECUTE FUNCTION note_claimed()""",
    """CREATE TRIGGER note_due AFTER INSERT ON due_deliveries
        FOR EACH ROW EXECUTE FUNCTION note_due('due')""",
    """CREATE TRIGGER note_ended AFTER DELETE ON due_deliveries
        FOR EACH ROW EXECUTE FUNCTION note_ended('ended')""",
    """CREATE TRIGGER note_accepted AFTER INSERT ON due_submissions
        FOR EACH ROW EXECUTE FUNCTION note_due('accepted')""",
    """CREATE TRIGGER note_prepared AFTER DELETE ON due_submissions
        FOR EACH ROW EXECUTE FUNCTION note_ended('prepared')""",
)

# Of lane $1 each delivery from due over claimed to ended, and each submission from accepted to
# prepared; `bulk` are the claims of lane 5, a transaction each.
_KNOWN = """
WITH bulk AS (
    SELECT by, min(seen::text)::pg_snapshot AS seen, min(at) AS at
    FROM noted WHERE lane = 5 AND what = 'claimed' GROUP BY by
), high AS (
    SELECT d.by AS due, d.at AS due_at, c.by AS claimed, c.at AS claimed_at, e.by AS ended
    FROM noted d
    JOIN noted c ON c.id = d.id AND c.what = 'claimed'
    JOIN noted e ON e.id = d.id AND e.what = 'ended'
    WHERE d.lane = $1 AND d.what = 'due'
), accepted AS (
    SELECT a.by, a.at, a.seen, p.by AS prepared
    FROM noted a JOIN noted p ON p.id = a.id AND p.what = 'prepared'
    WHERE a.lane = $1 AND a.what = 'accepted'
), judged AS (
    SELECT
        EXISTS (SELECT FROM high
                WHERE pg_visible_in_snapshot(due, bulk.seen) AND due_at <= bulk.at
                  AND NOT pg_visible_in_snapshot(claimed, bulk.seen)) AS something_due,
        EXISTS (SELECT FROM high
                WHERE pg_visible_in_snapshot(claimed, bulk.seen)
                  AND claimed_at > bulk.at - $2::interval
                  AND NOT pg_visible_in_snapshot(ended, bulk.seen))
        OR EXISTS (SELECT FROM accepted a
                   WHERE pg_visible_in_snapshot(a.by, bulk.seen) AND a.at > bulk.at - $2::interval
                     AND NOT pg_visible_in_snapshot(prepared, bulk.seen)) AS something_young
    FROM bulk
), first AS (
    SELECT seen FROM accepted ORDER BY by LIMIT 1
), in_hand AS (
    SELECT DISTINCT c.id
    FROM noted c JOIN noted e ON e.id = c.id AND e.what = 'ended' CROSS JOIN first
    WHERE c.lane = 5 AND c.what = 'claimed' AND pg_visible_in_snapshot(c.by, first.seen)
      AND NOT pg_visible_in_snapshot(e.by, first.seen)
)
SELECT
    (SELECT count(*) FROM judged WHERE something_due) AS beside_due,
    (SELECT count(*) FROM judged WHERE something_young AND NOT something_due) AS beside_young,
    (SELECT count(*) FROM in_hand) AS in_hand,
    (SELECT count(*) FROM bulk WHERE at > (SELECT max(claimed_at) FROM high)) AS after,
    (SELECT extract(epoch FROM max(claimed_at) - min(due_at))::float FROM high) AS seconds
"""


@dataclass(frozen=True, slots=True)
class BulkClaims:
    """What claims of bulk saw of a higher lane."""

    beside_due: int  # claims that saw something of it due, and took bulk all the same
    beside_young: int  # ... that saw it only claimed or accepted within the hold time
    in_hand: int  # bulk deliveries that all dispatchers held when its first message was accepted
    after: int  # claims after the last one of that lane
    seconds: float  # from the first delivery of that lane due to the last claimed


async def note_claims(database_url: str) -> None:
    """Have the database keep notes from now on."""
    await command(database_url, *_NOTE)


async def bulk_claims(database_url: str, beside: Lane) -> BulkClaims:
    """What the notes tell about bulk and the lane *beside* it, once that has come to its end."""
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(_KNOWN, beside, PREEMPTION_WINDOW)
    finally:
        await connection.close()
    assert row is not None
    return BulkClaims(**row)
