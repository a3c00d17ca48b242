"""A dispatcher of the version before 0029 sends the body that was signed, or none."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.body_edits import edited, packed
from posthouse.mail.submission import Delivery
from posthouse.store.deliveries import LARGE_OCTETS
from posthouse.store.queries import parse
from servers.patience import eventually
from servers.stores import Stores, a_submission, prepared

BEFORE = parse((Path(__file__).parent / "statements_0028.sql").read_text("utf-8"))
CLAIM = (10, timedelta(minutes=1), timedelta(), 5, LARGE_OCTETS, 5, True)
HELD_UP = (
    BEFORE["claim_deliveries"]
    .replace("WITH due AS (", "WITH held AS (SELECT pg_advisory_xact_lock(29)), due AS (")
    .replace("FROM generate_series(1, 5)", "FROM held, generate_series(1, 5)")
)
BODY = b"See <a href=x>one</a> and <a href=y>two</a>." * 20
EDITS = [(12, 13, b"https://t/c/1"), (34, 35, b"https://t/c/2")]
TRACKED = edited(BODY, EDITS)


@pytest_asyncio.fixture
async def before(emptied: str) -> AsyncIterator[Any]:
    """A connection of that version."""
    connection = await asyncpg.connect(emptied, server_settings={"application_name": "posthouse"})
    yield connection
    await connection.close()


async def queue_tracked(stores: Stores, *recipients: str) -> Sequence[Delivery]:
    """Deliveries of one rendition, stored as edits."""
    await stores.submissions.accept(a_submission(recipients=recipients, body=BODY))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    one = prepared(claimed)
    (rendition,) = one.renditions
    rendition = replace(rendition, body=TRACKED, edits=packed(EDITS))
    await stores.submissions.prepare([replace(one, renditions=(rendition,))])
    return one.deliveries


async def claim(before: Any) -> list[bytes]:
    """Bodies that a dispatcher of that version would send now; none for one sent with another."""
    rows = await before.fetch(BEFORE["claim_deliveries"], *CLAIM)
    return [row["body"] for row in rows if row["id"] is not None]


async def test_the_version_before_gets_a_body_whole_or_not_at_all(
    stores: Stores, before: Any
) -> None:
    """Also where deliveries of one claim share it; other mail goes at once."""
    await queue_tracked(stores, "ann@dest.example", "bob@dest.example")
    await stores.queue(recipients=("eve@dest.example",))
    assert [b"Hello.\r\n"] == await claim(before)
    assert [TRACKED, None] == await claim(before)


async def test_of_parked_mail_too(stores: Stores, before: Any) -> None:
    await queue_tracked(stores, "ann@dest.example")
    await stores.deliveries.park([(await stores.claim_one(), "dest.example")])
    parked = (BEFORE["claim_parked_deliveries"], "dest.example", *CLAIM[:2], LARGE_OCTETS)
    assert [] == await before.fetch(*parked)
    assert [TRACKED] == [row["body"] for row in await before.fetch(*parked)]


async def test_a_claim_that_cannot_see_the_whole_body_gets_nothing(
    stores: Stores, before: Any
) -> None:
    """It began before another one had written it, and comes to the row after that."""
    await queue_tracked(stores, "ann@dest.example")
    another = await asyncpg.connect(stores.url)
    await before.execute("SELECT pg_advisory_lock(29)")
    claiming = asyncio.create_task(another.fetch(HELD_UP, *CLAIM))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    await eventually(lambda: stores.value(waiting))
    assert [] == await claim(before)
    await before.execute("SELECT pg_advisory_unlock(29)")
    assert [None] == [row["id"] for row in await claiming]
    await another.close()
    assert [TRACKED] == await claim(before)


async def test_this_version_needs_no_whole_body(stores: Stores) -> None:
    await queue_tracked(stores, "ann@dest.example")
    assert TRACKED == (await stores.claim_one()).body
    assert await stores.value("SELECT body IS NULL FROM renditions")


EXAMPLES = st.lists(
    st.tuples(
        st.binary(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.binary()))
    ),
    max_size=20,
)  # fmt: skip


async def test_the_database_makes_the_same_octets_of_edits(stores: Stores) -> None:
    bodies: list[tuple[bytes, bytes, bytes]] = []

    @given(EXAMPLES)
    def draw(examples: list[tuple[bytes, list[tuple[int, int, bytes]]]]) -> None:
        for body, wanted in examples:
            edits, at = list[tuple[int, int, bytes]](), 0
            for skipped, gone, octets in wanted:
                start = min(at + skipped, len(body))
                at = min(start + gone, len(body))
                edits.append((start, at, octets))
            bodies.append((body, packed(edits), edited(body, edits)))

    draw()
    bodies.append((BODY, packed(EDITS), TRACKED))
    made = await stores.sql(
        "SELECT with_edits(body, edits) AS body FROM unnest($1::bytea[], $2::bytea[]) AS"
        " t(body, edits)",
        *zip(*[one[:2] for one in bodies], strict=True),
    )
    assert [one[2] for one in bodies] == [row["body"] for row in made]
