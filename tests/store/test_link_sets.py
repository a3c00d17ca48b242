"""Where tracked links lead: stored once, and for as long as mail with them may be read."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from posthouse.store.housekeeping import Housekeeping
from posthouse.store.known_link_sets import KnownLinkSets
from posthouse.store.queries import QUERIES
from posthouse.store.retention import Retention
from posthouse.store.submissions import ClaimedSubmission
from posthouse.tracking.link_set import LinkSet
from servers.patience import eventually
from servers.stores import ACCOUNT, Stores, a_submission, prepared

LINKS = LinkSet.of(ACCOUNT, ["https://shop.example/a", "https://shop.example/b?c=d"])
OTHER = LinkSet.of(ACCOUNT, ["https://shop.example/other"])

AGE = "UPDATE link_sets SET used_at = now() - $1::interval"


async def claimed(stores: Stores, messages: int) -> tuple[ClaimedSubmission, ...]:
    for _ in range(messages):
        await stores.submissions.accept(a_submission())
    return (await stores.submissions.claim(messages)).submissions


async def rows(stores: Stores) -> dict[bytes, tuple[str, ...]]:
    found = await stores.sql("SELECT id, targets FROM link_sets WHERE account_id = $1", ACCOUNT)
    return {row["id"]: tuple(row["targets"]) for row in found}


async def test_messages_with_the_same_links_share_one_set(stores: Stores) -> None:
    a, b, c, d, e = await claimed(stores, 5)
    await stores.submissions.prepare(
        [
            replace(prepared(a), links=LINKS),
            replace(prepared(b), links=OTHER),
            replace(prepared(c), links=LINKS),
            prepared(d),
        ]
    )
    await stores.submissions.prepare([replace(prepared(e), links=LINKS)])
    assert {LINKS.id: LINKS.targets, OTHER.id: OTHER.targets} == await rows(stores)
    (found,) = await stores.database.fetch("find_link_set", LINKS.id)
    assert (ACCOUNT, LINKS.targets) == (found["account_id"], tuple(found["targets"]))


def test_mail_without_links_pays_nothing() -> None:
    """What writes a table costs its statement, also where nothing is to be written."""
    assert "link_sets" not in QUERIES["prepare_submissions"]


async def test_a_set_is_kept_for_some_time_after_its_last_use(stores: Stores) -> None:
    """A set that is used again counts as new, but is written at most once a month for that."""
    await stores.database.run("keep_link_sets", [LINKS])
    age = "SELECT now() - used_at < interval '1 hour' FROM link_sets WHERE id = $1"
    for days, refreshed in ((27, False), (29, True)):
        await stores.sql(AGE, timedelta(days))
        await stores.database.run("keep_link_sets", [LINKS])
        assert refreshed == await stores.value(age, LINKS.id)

    keeping = Housekeeping(stores.database, Retention(links=timedelta(days=400)))
    (duty,) = [duty for duty in keeping.duties if duty.name == "link_sets"]
    for days, left in ((429, 1), (431, 0)):  # its time of use may be a month old
        await stores.sql(AGE, timedelta(days))
        assert await duty.run_once()
        assert left == len(await rows(stores))
    await keeping._own.close()


async def test_a_set_that_was_stored_a_minute_ago_is_not_asked_for_again(stores: Stores) -> None:
    """A younger one is: a crash of the server may have taken it back."""
    for age, is_known in ((59, False), (61, True)):
        a, b, c = await claimed(stores, 3)
        await stores.submissions.prepare([replace(prepared(a), links=LINKS)])
        await stores.sql(AGE, timedelta(seconds=age))
        await stores.submissions.prepare([replace(prepared(b), links=LINKS)])
        await stores.sql("DELETE FROM link_sets")
        await stores.submissions.prepare([replace(prepared(c), links=LINKS)])
        assert is_known == (not await rows(stores))


async def test_a_set_that_is_about_to_be_forgotten_is_not_known(stores: Stores) -> None:
    await stores.database.run("keep_link_sets", [LINKS])
    await stores.sql(AGE, timedelta(days=500))
    assert not await stores.database.fetch("keep_link_sets", [LINKS])


def test_what_is_known_is_asked_for_once_an_hour() -> None:
    now = 1_000.0
    known = KnownLinkSets(lambda: now)
    assert sorted([LINKS, OTHER]) == known.others([LINKS, None, OTHER, LINKS])
    known.learn([LINKS.id])
    assert [OTHER] == known.others([LINKS, OTHER])
    now += 3_600
    assert sorted([LINKS, OTHER]) == known.others([LINKS, OTHER])


async def test_a_set_that_is_swept_while_it_is_used_again_is_there_in_the_end(
    stores: Stores,
) -> None:
    """It is old; whoever sweeps has its row and deletes it when the new use waits for that row."""
    await stores.database.run("keep_link_sets", [LINKS])
    await stores.sql(AGE, timedelta(days=500))

    async def waits() -> bool:
        return bool(
            await stores.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND query LIKE '%link_sets%'"
            )
        )

    async with (
        asyncio.TaskGroup() as tasks,
        stores.database.connection() as sweeping,
        sweeping.transaction(),
    ):
        await sweeping.fetch("SELECT FROM link_sets FOR UPDATE")
        tasks.create_task(stores.database.run("keep_link_sets", [LINKS]))
        await eventually(waits)
        await sweeping.execute("DELETE FROM link_sets")
    assert [LINKS.id] == list(await rows(stores))
