"""Messages are found by what they are about, and each says what has become of it."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from posthouse.mail.headline import Headline
from posthouse.mail.message_query import MessageQuery, cursor_in
from posthouse.mail.submission import Attributes, Discarded
from posthouse.mail.terms import NO_TERMS, Terms
from posthouse.running.identity import earliest_id
from posthouse.store import message_search
from posthouse.store.event_feed import EventFeed, EventPage
from posthouse.store.message_keys import READER, MessageKeys
from posthouse.store.message_search import MessagePage, MessageSearch
from posthouse.store.retention import Partitions, Retention
from servers.stores import Stores, a_submission, bounced, deferred, delivered, prepared

OTHER = UUID(int=9)
TO_ANN = ("ann@dest.example",)


async def keyed(stores: Stores) -> int:
    """Have the keys of all that was accepted written; how many pages of events that took."""
    feed, keys = EventFeed(stores.database), MessageKeys(stores.database)
    pages = 0
    while True:
        page = await feed.read(await feed.position(READER))
        assert isinstance(page, EventPage)
        if page.last == page.after:
            return pages
        assert await keys.take(page)
        pages += 1


async def found(
    stores: Stores,
    words: Mapping[str, str],
    limit: int = 100,
    cursor: str | None = None,
    accounts: Collection[UUID] | None = None,
) -> MessagePage:
    """The page that a search for *words* gives."""
    query = MessageQuery.of(words, datetime.now(UTC))
    before = cursor_in(cursor) if cursor else None
    search = MessageSearch(stores.database)
    return await search.page(query, limit=limit, before=before, accounts=accounts)


async def ids(stores: Stores, **words: str) -> list[UUID]:
    """The messages found, newest first; `sender` stands for "from"."""
    if "sender" in words:
        words["from"] = words.pop("sender")
    return [one.id for one in (await found(stores, words)).messages]


async def accept(stores: Stores, **changes: Any) -> UUID:
    """A message to Ann."""
    one = a_submission(**{"recipients": TO_ANN, **changes})
    await stores.submissions.accept(one)
    return one.id


async def states(stores: Stores, id_: UUID) -> list[tuple[str, str]]:
    """Recipients and states of the only message to Ann."""
    (one,) = (await found(stores, {"to": "ann@dest.example"})).messages
    assert id_ == one.id
    return [(each.recipient, each.state.value) for each in one.recipients]


async def test_messages_are_found_by_recipient_sender_user_and_tag(stores: Stores) -> None:
    """In whatever spelling; each by what it is about, and by nothing else."""
    await stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", OTHER)
    await stores.sql(
        "INSERT INTO credentials (id, account_id, username, secret_hash)"
        " VALUES ($1, $2, 'app-1', '')",
        UUID(int=3), UUID(int=1),
    )  # fmt: skip
    to_bob = await accept(stores, recipients=("zoe@dest.example", "Bob@B\u00fccher.example"))
    in_capitals = await accept(stores, recipients=("\u00c4NN@dest.example",))
    of_user = await accept(stores, credential_id=UUID(int=3), sender="")
    tags = Attributes(tags=("May", "new"), discarded=(Discarded("gone@dest.example", "T16"),))
    tagged = await accept(stores, attributes=tags, sender="Offers@Sender.example")
    await accept(stores, attributes=tags, account_id=OTHER)
    await keyed(stores)
    assert [to_bob] == await ids(stores, to="bob@xn--bcher-kva.example")
    assert [to_bob] == await ids(stores, to="BOB@b\u00fccher.EXAMPLE", sender="shop@sender.example")
    assert [in_capitals] == await ids(stores, to="\u00c4nn@dest.example")
    assert [tagged] == await ids(stores, sender="offers@sender.example")
    assert [of_user] == await ids(stores, user="app-1")
    assert [of_user] == await ids(stores, sender="<>")
    assert [tagged] == await ids(stores, tag="May", account="shop")
    assert [tagged] == await ids(stores, to="gone@dest.example", account="shop")
    assert [] == await ids(stores, tag="may", account="shop")
    assert [] == await ids(stores, to="bob@dest.example")
    assert [] == await ids(stores, user="nobody")
    assert [] == await ids(stores, to="ann@dest.example", until="1h")
    assert 4 == len(await ids(stores, account="shop"))


async def test_what_belongs_to_others_is_not_found(stores: Stores) -> None:
    await stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", OTHER)
    await accept(stores)
    theirs = await accept(stores, account_id=OTHER)
    await keyed(stores)
    for words in ({"to": "ann@dest.example"}, {"since": "1h"}):
        page = await found(stores, words, accounts=[OTHER])
        assert [theirs] == [one.id for one in page.messages]
    page = await found(stores, {"account": "shop"}, accounts=[OTHER])
    assert MessagePage((), None) == page


async def test_pages_follow_one_another_without_a_gap(stores: Stores) -> None:
    """By a key, and by time; a message that comes meanwhile is not in the next page."""
    sent = [await accept(stores) for _ in range(5)]
    await keyed(stores)
    for words in ({"to": "ann@dest.example"}, {"account": "shop"}):
        seen, cursor = [], None
        while True:
            page = await found(stores, words, limit=2, cursor=cursor)
            seen += [one.id for one in page.messages]
            assert len(page.messages) <= 2
            if (cursor := page.cursor) is None:
                break
        assert sent[::-1] == seen


async def test_a_page_of_what_does_not_match_ends(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many states that were read in vain, also where one look finds more."""
    monkeypatch.setattr(message_search, "_MOST_READ", 100)
    sent = [await accept(stores) for _ in range(120)]
    page = await found(stores, {"account": "shop", "state": "bounced"}, limit=1)
    assert MessagePage((), sent[20].hex) == page
    rest = await found(stores, {"account": "shop", "state": "bounced"}, cursor=page.cursor)
    assert MessagePage((), None) == rest


async def test_each_message_gets_its_keys_once(stores: Stores) -> None:
    await accept(stores, recipients=("ann@dest.example", "ANN@dest.example"))
    assert await keyed(stores)
    assert 3 == await stores.value("SELECT count(*) FROM message_keys")
    feed, keys = EventFeed(stores.database), MessageKeys(stores.database)
    await accept(stores)
    page = await feed.read(await feed.position(READER))
    assert isinstance(page, EventPage)
    assert await keys.take(page)
    assert not await keys.take(page)
    assert 6 == await stores.value("SELECT count(*) FROM message_keys")


async def test_subjects_are_searched_by_words(stores: Stores) -> None:
    """Of the account's messages of a day, in any order and case."""
    invoice = await accept(stores, headline=Headline("Stra\u00dfenbahn: Rechnung 100% M\u00c4RZ"))
    await accept(stores, headline=Headline("Rechnung April"))
    encoded = await accept(stores, headline=Headline("Gr\u00fc\u00dfe aus Wien"))
    assert [invoice] == await ids(stores, account="shop", subject="m\u00e4rz RECHNUNG")
    assert [invoice] == await ids(stores, account="shop", subject="strassenbahn")
    assert [invoice] == await ids(stores, account="shop", subject="100%")
    assert [] == await ids(stores, account="shop", subject="rechnung_april")
    assert [encoded] == await ids(stores, account="shop", subject="wien gr\u00fcsse")
    (one,) = (await found(stores, {"account": "shop", "subject": "wien"})).messages
    assert "Gr\u00fc\u00dfe aus Wien" == one.subject


async def test_a_state_is_that_of_each_recipient(stores: Stores) -> None:
    one = a_submission(recipients=("ann@dest.example", "bob@dest.example", "cy@dest.example"))
    await stores.submissions.accept(one)
    await keyed(stores)
    ann, bob, cy = one.recipients
    assert [(r, "ready") for r in one.recipients] == await states(stores, one.id)
    (claimed,) = (await stores.submissions.claim(1)).submissions
    assert [(r, "inflight") for r in one.recipients] == await states(stores, one.id)
    await stores.submissions.prepare([prepared(claimed, cy)])
    to_ann, to_bob = (await stores.deliveries.claim(2)).deliveries
    assert [(ann, "inflight"), (bob, "inflight"), (cy, "suppressed")] == await states(
        stores, one.id
    )
    await stores.deliveries.settle(delivered(to_ann))
    await stores.deliveries.settle(deferred(to_bob, timedelta(hours=1)))
    assert [(ann, "delivered"), (bob, "deferred"), (cy, "suppressed")] == await states(
        stores, one.id
    )
    assert [one.id] == await ids(stores, to=ann, state="bounced,deferred")
    assert [] == await ids(stores, to=ann, state="bounced")
    await stores.run_out()
    await stores.sql("UPDATE due_deliveries SET due_at = now()")
    (again,) = (await stores.deliveries.claim(1)).deliveries
    await stores.deliveries.settle(bounced(again))
    assert [one.id] == await ids(stores, to=ann, state="bounced")


@pytest.mark.parametrize("state", ["scheduled", "quarantined"])
async def test_what_policy_has_not_seen_is_found(stores: Stores, state: str) -> None:
    later = Terms(send_at=datetime.now(UTC) + timedelta(days=1))
    one = replace(
        a_submission(recipients=TO_ANN), terms=later if state == "scheduled" else NO_TERMS
    )
    await stores.submissions.accept(one)
    if state == "quarantined":
        (claimed,) = (await stores.submissions.claim(1)).submissions
        await stores.submissions.quarantine(claimed, "no From field")
    await keyed(stores)
    assert [("ann@dest.example", state)] == await states(stores, one.id)


async def test_keys_go_with_the_history(stores: Stores) -> None:
    """Also those whose id came from a clock that was far off."""
    long_ago = earliest_id(datetime.now(UTC) - timedelta(days=400))
    await accept(stores, id=long_ago)
    kept = await accept(stores)
    await keyed(stores)
    assert [kept, long_ago] == await ids(stores, to="ann@dest.example")
    await Partitions(stores.database, Retention()).retire_keys()
    assert [kept] == await ids(stores, to="ann@dest.example")
