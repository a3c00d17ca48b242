"""The hot statements read a few pages, however much waits and whatever the planner believed.

A plan is made once a connection: each statement is planned while the planner knows one thing
about the tables and runs when another is true. What counts are the pages that it touches.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from posthouse.mail.lane import Lane
from posthouse.running.identity import new_id
from posthouse.store.postgres import _SERVER_SETTINGS
from posthouse.store.queries import QUERIES
from servers.stores import ACCOUNT, fill

WAITING = 200_000
WORK = ("due_submissions", "due_deliveries")
TERMS = ("scheduled_submissions", "idempotency_keys", "rate_limits", "link_sets")
TABLES = (
    *WORK,
    *TERMS,
    "events",
    "suppressions",
    "contents",
    "submissions",
    "renditions",
    "deliveries",
    "message_keys",
    *("webhook_endpoints", "webhook_batches"),
)

# Twenty rows, at some pages for each in every table and index concerned, leave room below this;
# to read a table of WAITING rows, or an index of one, takes thousands.
MOST_PAGES = 1000

# Twenty claims are leased before each statement; these are its parameters.
PARAMETERS = {
    "claim_submissions": "20, {lease}, 1000000, true, 5",
    "claim_deliveries": "20, {lease}, interval '0', 5, 100000, 5, true",
    "claim_parked_deliveries": "'full.example', 20, {lease}, 100000",
    "parked_sites": "",
    "unpark_expired_deliveries": "1000",
    "reset_future_due_submissions": "{lease}, interval '1 d'",
    "reset_future_due_deliveries": "{lease}, interval '1 d'",
    "park_deliveries": "{parked}",
    "renew_deliveries": "{claims}, {lease}",
    "return_leases": "{claims}",
    "settle_deliveries": "{results}",
    "keep_link_sets": "{links}",
    "prepare_submissions": "{claims}, {renditions}, {deliveries}, {events}, {lease}, {lease}",
    "return_submission_leases": "{claims}, {lease}",
    "find_settled_events": "'100', '00000000-0000-0000-0000-000000000000', 20",
    "note_untold": (
        "{lease}, '100', '00000000-0000-0000-0000-000000000000', '101', "
        "'00000000-0000-0000-0000-000000000000', '{{bounced}}'"
    ),
    "tally_events": (
        "'100', '00000000-0000-0000-0000-000000000000', '101', "
        "'00000000-0000-0000-0000-000000000000', '{{accepted}}'"
    ),
    "tally_traffic": (
        "'100', '00000000-0000-0000-0000-000000000000', '101', "
        "'00000000-0000-0000-0000-000000000000', '{{accepted}}'"
    ),
    "add_message_keys": (
        "'100', '00000000-0000-0000-0000-000000000000', '101', "
        "'00000000-0000-0000-0000-000000000000'"
    ),
    "find_message_keys": "3, '{{r@dest.example}}', {first}, {beyond}, 20",
    "scan_messages": "{first}, {beyond}, {ids}, 20",
    "read_found_messages": "{ids}, '{{delivered}}'",
    "choose_submissions": f"{{first}}, 20{', NULL' * 12}",
    "choose_deliveries": f"{{first}}, 20{', NULL' * 14}",
    "retry_deliveries": "{ids}",
    "hold_submissions": "{ids}, 'a look'",
    "hold_deliveries": "{ids}, 'a look'",
    "release_deliveries": "{ids}",
    "end_submissions": "{ids}, 'bounced', '{{}}'",
    "end_deliveries": "{ids}, 'cancelled', '{{}}'",
    "find_delivery": "({ids})[1]",
    "find_subscription": "({ids})[1]",
    "find_unsubscribes": "({ids})[1], 'u1@dest.example', ({ids})[1], '{{rule}}'",
    "find_suppressed": "{addresses}",
    "find_sending_domains": "{domains}, interval '10 min'",
    "claim_idempotency_keys": "{keys}",
    "has_just_accepted_high": "",
    "forget_idempotency_keys": "20",
    "schedule_submissions": "{times}",
    "first_scheduled": "",
    "open_scheduled_submissions": "20",
    "lock_rate_limits": "{ids}",
    "count_rates": "{rates}",
    "find_owned_elsewhere": "({ids})[1], '{{sender.example}}'",
    "find_confirmed": "{addresses}",
    "find_link_set": "decode('0000000000000000000a', 'hex')",
    "forget_link_sets": "interval '400 d', 20",
    "find_visited_deliveries": "{ids}",
    "find_events_to_tell": (
        "'100', '00000000-0000-0000-0000-000000000000', '101', "
        "'00000000-0000-0000-0000-000000000000', {ids}, '{{accepted}}'"
    ),
    "gather_events_to_tell": "{ids}, {ids}",
    "read_events_to_replay": "{first}, {beyond}, 20, ({ids})[1], '{{accepted}}', '{{}}'",
    "claim_webhook_replay": "100",
    "find_webhook_wishes": "NULL, interval '7 d', 100",
    "take_unwritten_webhook_batch": "100",
    "find_events_of_batch": "{ids}",
    "find_due_webhooks": "",
    "claim_webhook_batch": "{endpoint}, {lease}, 200, 524288",
    "end_webhook_batch": "{endpoint}, 1, {endpoint}, 1, 'taken', '200', 10, true, 1",
    "retry_webhook_batch": (
        "{endpoint}, 1, {endpoint}, 1, 'refused', '500', 10, NULL, {lease}, 1, 0"
    ),
    "bury_webhook_batches": "20",
    "sweep_sandbox": "interval '7 d', 20",
    "accept_submissions": "{accepted}, {contents}, {lease}, {lease}",
}
# What one row of each array holds, by the name and type of the array; {id} leads to {new} ones.
ROWS = {
    "claims": ("claim_row_1", "'{id}', 1"),
    "domains": ("domain_row_1", "'{id}', 'sender.example'"),
    "addresses": ("address_row_1", "'{id}', 'u1@dest.example'"),
    "keys": ("idempotency_row_2", "'{id}', '{id}', 'order-1', '', '1 h', true"),
    "times": ("schedule_row_1", "'{id}', now() + '1 h'"),
    "links": ("link_set_row_1", "substring(decode(md5('{id}'), 'hex'), 1, 10), '{id}', '{{a,b}}'"),
    "rates": ("rate_row_1", "'{id}', 'messages', 'hour', now(), 1, false"),
    "parked": ("park_row_1", "'{id}', 1, 'full.example'"),
    "results": (
        "result_row_2",
        (
            "'{id}', 1, '1 h', '{id}', '{id}', 'delivered', '{{}}', 'u1@dest.example', NULL, "
            "true, now(), 'deferred', NULL, '', '', '', 450, NULL, ''"
        ),
    ),
    "renditions": ("rendition_row_2", "'{new}', '{id}', '', '', ''"),
    "deliveries": (
        "delivery_row_1",
        "'{new}', '{id}', '{new}', 'r@dest.example', 'to', 'b@x', '', 1, true",
    ),
    "events": ("event_row_1", "'{id}', '{id}', 'prepared', '{{}}'"),
    "accepted": (
        "accept_row_2",
        (
            "'{new}', '{id}', '{id}', 'native', 1, 1, '', '{{r@dest.example}}', false, '', "
            "'', '', 1, NULL, true, '', '', ''"
        ),
    ),
    "contents": ("content_row_2", "'{new}', '', '', NULL"),
}

SUPPRESS = """
WITH shop AS (INSERT INTO accounts (id, name) VALUES ($1, 'shop') RETURNING id)
INSERT INTO suppressions (account_id, normal, list, address, reason)
SELECT id, 'u' || n || '@dest.example', 'bounce', '', 'bounced' FROM shop,
    generate_series(1, $2::integer) AS n
"""


# Spread over the days that have partitions.
HAPPEN = """
INSERT INTO events (id, account_id, submission_id, kind)
SELECT (left(first_id_of(now() - interval '1 day' * (n % 3))::text, 24)
        || lpad(to_hex(n), 12, '0'))::uuid, $1, $1, 'accepted'
FROM generate_series(1, $2::integer) AS n
"""

SCHEDULE = """
INSERT INTO scheduled_submissions (id, account_id, lane, size, received_at, send_at, keep_trying)
SELECT new_id(), $1, 3, 1, now(), now() + interval '1 h' + interval '1 s' * n, interval '5 d'
FROM generate_series(1, $2::integer) AS n
"""
LIMIT_RATES = """
INSERT INTO rate_limits (owner_id, counted, period, most, action)
SELECT new_id(), 'messages', 'hour', 1, 'delay' FROM generate_series(1, $1::integer)
"""
# Those of the ids that the statements name are old, so that they are written again.
LINK = """
INSERT INTO link_sets (id, account_id, targets, used_at)
SELECT substring(decode(md5(d.id::text), 'hex'), 1, 10), $1, '{a,b}', now() - interval '31 days'
FROM due_deliveries d
"""
# A dead endpoint keeps most, a few wait for others, and all endpoints are of one account.
TELL = """
WITH endpoints AS (
    INSERT INTO webhook_endpoints (id, account_id, url, dialect, sealed, paused_at)
    SELECT CASE WHEN n = 1 THEN $3::uuid ELSE new_id() END, $1, 'https://a.example/', 'native', '',
           CASE WHEN n > 20 THEN now() END
    FROM generate_series(1, 200) AS n RETURNING id, paused_at
)
INSERT INTO webhook_batches (endpoint_id, due_at, expires_at, oldest_at, ids, kinds, body)
SELECT e.id, now() - interval '1 s', now() + interval '7 d', now(), ARRAY[new_id()], '{accepted}',
       '{}'
FROM endpoints e, generate_series(1, $2::integer / 200) AS n
"""
ENDPOINT = UUID(int=77)
KEY_MESSAGES = """
INSERT INTO message_keys (key, id) SELECT message_key(3, recipients[1]), id FROM submissions
"""
KEEP_KEYS = """
INSERT INTO idempotency_keys (account_id, key, submission_id, digest)
SELECT $1, 'order-' || n, new_id(), '' FROM generate_series(1, $2::integer) AS n
"""


@dataclass
class Planned:
    """A connection that has planned every hot statement already."""

    connection: "asyncpg.Connection[Any]"

    @classmethod
    async def on(cls, url: str) -> "Planned":
        """Plan all, knowing what the planner knows now."""
        planned = cls(await asyncpg.connect(url, server_settings=_SERVER_SETTINGS))
        for name, parameters in PARAMETERS.items():
            await planned.connection.execute(f"PREPARE {name} AS {QUERIES[name]}")
            await planned.connection.execute(f"EXPLAIN {_call(name, parameters, [])}")
        return planned

    async def pages(self, name: str, ids: Sequence[UUID]) -> int:
        """The most pages that any step of the plan touches, and undo what it did."""
        transaction = self.connection.transaction()
        await transaction.start()
        call = _call(name, PARAMETERS[name], ids)
        explained = await self.connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}"
        )
        await transaction.rollback()
        return max(_pages(json.loads(explained)[0]["Plan"]))


def _call(name: str, parameters: str, ids: Sequence[UUID]) -> str:
    rows = {
        array: "ARRAY[{}]::{}[]".format(
            ", ".join(f"ROW({row.format(id=id_, new=new_id())})::{type_}" for id_ in ids), type_
        )
        for array, (type_, row) in ROWS.items()
    }
    known = "ARRAY[{}]::uuid[]".format(", ".join(f"'{id_}'" for id_ in ids))
    bounds = {
        "first": f"'{UUID(int=0)}'",
        "beyond": f"'{UUID(int=(1 << 128) - 1)}'",
        "endpoint": f"'{ENDPOINT}'",
    }
    values = parameters.format(ids=known, lease="interval '20 s'", **bounds, **rows)
    return f"EXECUTE {name}({values})" if values else f"EXECUTE {name}"


def _pages(node: dict[str, Any]) -> list[int]:
    here: int = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return [here, *(pages for child in node.get("Plans", ()) for pages in _pages(child))]


async def test_no_statement_reads_what_it_does_not_need(database: str) -> None:
    """Planned for empty tables or for full ones, it runs on full ones."""
    admin = await asyncpg.connect(database)
    for table in WORK:
        # The planner is to stay wrong for as long as this takes.
        await admin.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    await admin.execute(f"ANALYZE {', '.join(TABLES)}")
    planned_empty = await Planned.on(database)

    await fill(database, WAITING // 2, Lane.VERY_HIGH)
    await fill(database, WAITING // 2, Lane.VERY_HIGH, parked_at="full.example")
    await admin.execute(SUPPRESS, ACCOUNT, WAITING // 4)
    await admin.execute(HAPPEN, ACCOUNT, WAITING)
    await admin.execute(SCHEDULE, ACCOUNT, WAITING)
    await admin.execute(KEEP_KEYS, ACCOUNT, WAITING)
    await admin.execute(LIMIT_RATES, WAITING)
    await admin.execute(LINK, ACCOUNT)
    await admin.execute(KEY_MESSAGES)
    await admin.execute(TELL, ACCOUNT, WAITING, ENDPOINT)
    ids = [
        UUID(str(row["id"]))
        for row in await admin.fetch(
            "SELECT id FROM due_deliveries WHERE parked_at IS NULL ORDER BY id OFFSET 1000 LIMIT 20"
        )
    ]
    await admin.execute(
        "UPDATE due_submissions SET leased = true, claim = 1 WHERE id = ANY($1)", ids
    )
    await admin.execute(
        "UPDATE due_deliveries SET leased = true, claim = 1 WHERE id = ANY($1)", ids
    )
    read = {(name, "empty"): await planned_empty.pages(name, ids) for name in PARAMETERS}

    await admin.execute(f"ANALYZE {', '.join(TABLES)}")
    planned_full = await Planned.on(database)
    read |= {(name, "full"): await planned_full.pages(name, ids) for name in PARAMETERS}
    assert {which: pages for which, pages in read.items() if pages > MOST_PAGES} == {}
    for connection in (admin, planned_empty.connection, planned_full.connection):
        await connection.close()
