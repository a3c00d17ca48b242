"""Millions of rows, made by the database itself, as months of work would leave them.

Each installation is filled while it is stopped, on its own PostgreSQL.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from bench.children import ProgramFailed
from bench.scenarios.stage import SIZE
from bench.systems import DOMAIN, Ours

from onebox.postgres_server import EmbeddedPostgres, PostgresError

_ACCOUNT = UUID(int=1)
_AT_ONCE = 100_000  # rows a statement
_SHARING = 100  # deliveries of one message
_HEADER = (
    f"From: news@{DOMAIN}\r\nTo: many@dest.example\r\nSubject: Made by the database\r\n"
    "Message-ID: <made@bench.example>\r\nDate: Sun, 01 Nov 2026 00:00:00 +0000\r\n\r\n"
).encode()
_BODY = (b"x" * 76 + b"\r\n") * (SIZE // 78)

_DELIVERIES = """
WITH messages AS MATERIALIZED (
    SELECT new_id() AS id FROM generate_series(1, $1::bigint / $2::bigint)
), kept AS (
    INSERT INTO contents (id, header, body) SELECT id, $3, $4 FROM messages
), submitted AS (
    INSERT INTO submissions (id, account_id, credential_id, profile, lane, sender, recipients,
                             smtputf8, client, helo, tls, size)
    SELECT id, $5, $5, 'native', 5, $6, '{many@dest.example}', false, '127.0.0.1', 'bench', '', $7
    FROM messages
), rendered AS (
    INSERT INTO renditions (id, submission_id, header) SELECT id, id, $3 FROM messages
), made AS MATERIALIZED (
    SELECT new_id() AS id, m.id AS message, n FROM messages m, generate_series(1, $2::bigint) AS n
), delivering AS (
    INSERT INTO deliveries (id, submission_id, account_id, rendition_id, lane, recipient,
                            return_path)
    SELECT id, message, $5, message, 5, 'user' || n || '@dest.example', 'b+x@bounce.bench.example'
    FROM made
)
INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at)
SELECT id, $5, 5, $7, now() - interval '1 hour', now() - interval '1 hour',
       now() + interval '5 days'
FROM made
"""
_EMPTY = "TRUNCATE contents, submissions, renditions, deliveries, attempts, events, due_deliveries"
# Three for each message, like those of its acceptance, its signing and its delivery. Their ids
# say that they happened within the last six hours, one after the other.
_EVENTS = """
WITH numbered AS (
    SELECT n, gen_random_uuid()::text AS chance, (extract(epoch FROM now()) * 1000)::bigint
              - 21600000 * ($3::bigint - n + n % 3) / $3::bigint AS at
    FROM generate_series($1::bigint, $2::bigint) AS n
), made AS (
    SELECT n, lpad(to_hex(at), 12, '0') AS at, to_timestamp(at / 1000.0) AS moment, chance
    FROM numbered
)
INSERT INTO events (id, at, account_id, submission_id, delivery_id, kind, detail)
SELECT (at || '-7' || right(chance, 21))::uuid, moment, $4,
       (at || '-7000-8000-' || lpad((n / 3)::text, 12, '0'))::uuid, NULL,
       CASE n % 3 WHEN 0 THEN 'accepted' ELSE 'delivered' END,
       CASE WHEN n % 3 > 0 THEN '{"host": "mx.dest.example", "code": 250}'::jsonb END
FROM made
"""
# $1 messages of the installation's account, each accepted, prepared and delivered, in one
# transaction, as the relay has one for some; without their texts, which are not told.
_DELIVERED = """
WITH account AS (
    SELECT id FROM accounts ORDER BY id LIMIT 1
), messages AS MATERIALIZED (
    SELECT new_id() AS id, new_id() AS delivery, n FROM generate_series(1, $1::bigint) AS n
), submitted AS (
    INSERT INTO submissions (id, account_id, credential_id, profile, lane, sender, recipients,
                             smtputf8, client, helo, tls, size, subject)
    SELECT m.id, a.id, a.id, 'native', 5, $2, ARRAY['user' || n || '@dest.example'], false,
           '127.0.0.1', 'bench', '', $3, 'Message ' || n
    FROM messages m, account a
), delivering AS (
    INSERT INTO deliveries (id, submission_id, account_id, rendition_id, lane, recipient,
                            return_path)
    SELECT delivery, m.id, a.id, m.id, 5, 'user' || n || '@dest.example', 'b+x@bounce.bench.example'
    FROM messages m, account a
)
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT CASE kind WHEN 'accepted' THEN m.id ELSE new_id() END, a.id, m.id,
       CASE kind WHEN 'delivered' THEN m.delivery END, kind,
       CASE kind
       WHEN 'prepared' THEN jsonb_build_object('message_id', '<' || n || '.1796087640@load>')
       WHEN 'delivered' THEN jsonb_build_object(
           'code', 250, 'host', '127.0.0.1[127.0.0.1]:10019', 'reply', 'Ok: taken',
           'enhanced', '2.0.0', 'recipient', 'user' || n || '@dest.example')
       END
FROM (VALUES (1, 'accepted'), (2, 'prepared'), (3, 'delivered')) AS k(step, kind), account a,
     messages m
ORDER BY step, n
"""
_READ_BY_OTHERS = """
UPDATE event_cursors SET xid = last.xid, id = last.id
FROM (SELECT xid, id FROM events ORDER BY xid DESC, id DESC LIMIT 1) last
WHERE reader <> 'webhooks'
"""
_DELIVERED_AT_ONCE = 1_000


async def fill_delivered(system: Ours, count: int, tell: Callable[[int], None]) -> None:
    """Make *count* delivered messages, whose events all readers but webhooks have read."""
    async with _opened(system) as connection:
        for first in range(0, count, _DELIVERED_AT_ONCE):
            rows = min(_DELIVERED_AT_ONCE, count - first)
            await connection.execute(_DELIVERED, rows, f"news@{DOMAIN}", SIZE)
            tell(first + rows)
        await connection.execute(_READ_BY_OTHERS)


async def fill_deliveries(system: Ours, count: int, tell: Callable[[int], None]) -> None:
    """Make about *count* waiting deliveries, in lane 5, and nothing else.

    A hundred share a message of 10 KB, as the recipients of one submission do.
    """
    async with _opened(system) as connection:
        await connection.execute(_EMPTY)
        for first in range(0, count, _AT_ONCE):
            rows = max(min(_AT_ONCE, count - first), _SHARING)
            texts = (_HEADER, _BODY, _ACCOUNT, f"news@{DOMAIN}", SIZE)
            await connection.execute(_DELIVERIES, rows, _SHARING, *texts)
            tell(first + rows)


async def fill_events(system: Ours, count: int, tell: Callable[[int], None]) -> None:
    """Make *count* more events."""
    async with _opened(system) as connection:
        for first in range(1, count + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, count)
            await connection.execute(_EVENTS, first, last, count, _ACCOUNT)
            tell(last)


@asynccontextmanager
async def _opened(system: Ours) -> AsyncIterator[asyncpg.Connection]:
    """The database of *system*; it is vacuumed and checkpointed before it is closed."""
    try:
        async with EmbeddedPostgres(system.database) as postgres:
            connection = await asyncpg.connect(postgres.dsn, command_timeout=None)
            try:
                yield connection
                await connection.execute("VACUUM ANALYZE")
                await connection.execute("CHECKPOINT")
            finally:
                await connection.close()
    except (asyncpg.PostgresError, PostgresError, OSError) as error:
        raise ProgramFailed(f"the database of {system.title} cannot be filled: {error}") from error
