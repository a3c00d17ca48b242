"""Accounts hear of alerts: the first at once, then within limits, and each once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from bounces.notifier import NoticeLimits, Notifier
from bounces.relay_identity import RelayIdentity
from posthouse.mail.address import Address
from posthouse.mail.alert import Alert, AlertKind, AlertPace, RateAlert
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.lane import Lane
from posthouse.mail.rate_limit import Counted, Excess, LimitAction, Period, RateLimit
from posthouse.mail.submission import Attributes
from posthouse.running.event_reader import EventReader
from posthouse.running.identity import new_id
from posthouse.store.account_holds import RELAY, AccountHolds
from posthouse.store.account_settings import AccountSettingsStore
from posthouse.store.alert_store import AlertStore
from posthouse.store.event_feed import EventFeed, EventPage
from posthouse.store.notices import READER, NoticeStore
from servers.patience import eventually, on_this_machine
from servers.stores import ACCOUNT, Stores, open_stores

OWNER = "owner@home.example"
NO_NOTICE = ("posthouse_notices_put_off_total", {"means": "alert"})


def unauthorized(address: str = "boss@else.example", *, blocked: bool = True) -> Alert:
    return Alert(AlertKind.UNAUTHORIZED_SENDER, "From", address, blocked)


@dataclass
class Alerted:
    """The relay's database, and the hints that were given."""

    stores: Stores
    lanes: list[Lane] = field(default_factory=list)

    @property
    def settings(self) -> AccountSettingsStore:
        """Those of accounts."""
        return AccountSettingsStore(self.stores.database)

    async def record(self, *alerts: Alert, account: UUID = ACCOUNT) -> None:
        """As ingest does for mail that it refused."""
        store = AlertStore(self.stores.database)
        for alert in alerts:
            await store.record_alert(account, new_id(), alert.detail())

    @asynccontextmanager
    async def telling(self, per_hour: int = 20, processes: int = 1) -> AsyncIterator[None]:
        """Bounces processes that tell; at the end all events have been looked at."""
        stopping = asyncio.Event()
        relay = RelayIdentity(
            self.stores.database, hostname="relay.example", return_path_host="back.example"
        )
        async with asyncio.TaskGroup() as tasks:
            for _ in range(processes):
                database = self.stores.database.alone(connections=3)
                limits = NoticeLimits(alerts_per_hour=per_hour)
                notifier = Notifier(database, relay, announce=self.lanes.append, limits=limits)
                reader = EventReader(database, [notifier], look_seconds=0.01)
                tasks.create_task(reader.run(stopping))
            try:
                async with asyncio.timeout(on_this_machine(10)):
                    yield
                    await self.all_read()
            finally:
                stopping.set()

    async def all_read(self) -> None:
        """Wait until every event has been looked at, and nothing is due."""

        async def done() -> bool:
            return not await self.stores.value(
                "SELECT count(*) FROM events e, event_cursors c"
                " WHERE c.reader = 'notices' AND (e.xid, e.id) > (c.xid, c.id)"
            ) and not await self.stores.value(
                "SELECT count(*) FROM untold_alerts WHERE due_at <= now()"
            )

        await eventually(done, within=10)

    async def have_sent(self, count: int) -> None:
        """Wait for so many messages of ours."""

        async def sent() -> bool:
            return len(await self.messages()) >= count

        await eventually(sent, within=10)

    async def messages(self) -> list[EmailMessage]:
        """What we have sent of our own, as mail programs read it."""
        rows = await self.stores.sql(
            "SELECT c.header || c.body AS text FROM contents c JOIN submissions s USING (id)"
            " WHERE s.sender = '' ORDER BY id"
        )
        return [message_from_bytes(row["text"], policy=policy.default) for row in rows]

    async def texts(self) -> list[str]:
        """What they say to people."""
        parts = [next(m.iter_parts()) for m in await self.messages()]
        return [str(part.get_content()) for part in parts]


@pytest_asyncio.fixture
async def alerted(database: str) -> AsyncIterator[Alerted]:
    async with open_stores(database) as stores:
        one = Alerted(stores)
        await one.settings.set_alert_address(ACCOUNT, Address.parse(OWNER))
        yield one


async def test_U26_an_alert_goes_to_the_alert_address_at_once(alerted: Alerted) -> None:
    """It is the operator's mail, since the account's own may be held."""
    async with alerted.telling():
        await alerted.record(unauthorized("boss@else.example"))
    (message,) = await alerted.messages()
    assert OWNER == message["To"]
    assert "Alert for shop: mail from a sender that is not authorized" == message["Subject"]
    assert "auto-generated" == message["Auto-Submitted"]
    (text,) = await alerted.texts()
    assert "  boss@else.example in From" in text
    assert ": refused" in text
    (claimed,) = (await alerted.stores.submissions.claim(10)).submissions
    assert (OPERATOR, "") == (claimed.submission.account_id, claimed.submission.sender)
    assert [Lane.NORMAL] == alerted.lanes
    assert 0 == await alerted.stores.value("SELECT count(*) FROM untold_alerts")


async def test_an_alert_about_mail_that_is_sent_names_the_message(alerted: Alerted) -> None:
    """Policy writes the event when it prepares the message."""
    attributes = Attributes(alerts=(unauthorized(blocked=False).detail(),))
    async with alerted.telling():
        delivery, *_ = await alerted.stores.queue(attributes=attributes)
    (text,) = await alerted.texts()
    assert f"message {delivery.submission_id.hex}" in text
    assert ": accepted, and sent" in text
    assert "alerted" in await alerted.stores.kinds(delivery.submission_id)


@pytest.mark.parametrize("switch", ["off", "no address"])
async def test_U26_alerts_can_be_turned_off(alerted: Alerted, switch: str) -> None:
    if switch == "off":
        await alerted.settings.set_alerts(ACCOUNT, on=False)
    else:
        await alerted.settings.set_alert_address(ACCOUNT, None)
    async with alerted.telling():
        await alerted.record(unauthorized())
    assert [] == await alerted.messages()


async def test_above_the_limit_of_an_hour_the_rest_is_told_together(alerted: Alerted) -> None:
    """Of each account and kind by itself."""
    other = UUID(int=9)
    await alerted.stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", other)
    await alerted.settings.set_alert_address(other, Address.parse("else@home.example"))
    await alerted.stores.sql(
        "INSERT INTO events (id, account_id, submission_id, kind, detail)"
        " SELECT new_id(), $1, new_id(), 'alerted', $2 FROM generate_series(1, 600)",
        *(ACCOUNT, unauthorized().detail()),
    )
    await alerted.stores.sql(
        "INSERT INTO alert_windows VALUES ($1, $2, now(), 2)",
        ACCOUNT,
        AlertKind.UNAUTHORIZED_SENDER,
    )
    async with alerted.telling(per_hour=2):
        await alerted.record(unauthorized(), account=other)
        await alerted.all_read()
        assert ["else@home.example"] == [m["To"] for m in await alerted.messages()]
        await alerted.stores.sql("UPDATE alert_windows SET began_at = began_at - interval '1 h'")
        await alerted.stores.sql("UPDATE untold_alerts SET due_at = due_at - interval '1 h'")
        await alerted.have_sent(2)
    _, message = await alerted.messages()
    what = "Alert for shop: mail from a sender that is not authorized (600 times)"
    assert (OWNER, what) == (message["To"], message["Subject"])
    text = (await alerted.texts())[1]
    assert 500 == text.count("boss@else.example")
    assert "and 100 more." in text


async def test_processes_that_tell_at_once_tell_each_alert_once(alerted: Alerted) -> None:
    async with alerted.telling(per_hour=1000, processes=3):
        for n in range(10):
            await alerted.record(unauthorized(f"u{n}@else.example"))
    told = "\n".join(await alerted.texts())
    assert [1] * 10 == [told.count(f"u{n}@else.example") for n in range(10)]


async def test_an_address_that_leads_back_to_us_gets_nothing(alerted: Alerted) -> None:
    """No account can set one; a host may begin to take returned mail later."""
    await alerted.stores.sql("UPDATE accounts SET alert_address = 'owner@back.example'")
    async with alerted.telling():
        await alerted.record(unauthorized())
    assert [] == await alerted.messages()
    assert 0 == await alerted.stores.value("SELECT count(*) FROM untold_alerts")


async def test_an_alert_that_cannot_be_told_holds_up_no_other(alerted: Alerted) -> None:
    other = UUID(int=9)
    await alerted.stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", other)
    await alerted.settings.set_alert_address(other, Address.parse("else@home.example"))
    await alerted.stores.sql(f"ALTER TABLE submissions ADD CHECK (NOT recipients @> '{{{OWNER}}}')")
    before = REGISTRY.get_sample_value(*NO_NOTICE) or 0.0
    async with alerted.telling():
        await alerted.record(unauthorized())
        await alerted.record(unauthorized(), account=other)
        await alerted.have_sent(1)
    assert ["else@home.example"] == [m["To"] for m in await alerted.messages()]
    assert before + 1 == REGISTRY.get_sample_value(*NO_NOTICE)
    assert 1 == await alerted.stores.value("SELECT count(*) FROM untold_alerts")


async def test_alerts_of_a_newer_version_are_told_as_they_are(alerted: Alerted) -> None:
    detail = {"alert": "opt_out", "address": "ann@dest.example"}
    async with alerted.telling():
        await AlertStore(alerted.stores.database).record_alert(ACCOUNT, new_id(), detail)
    (message,) = await alerted.messages()
    assert "Alert for shop: opt_out" == message["Subject"]


async def test_none_is_kept_while_others_are_told(alerted: Alerted) -> None:
    """Ended are all that are due: one that came in between would not be told."""
    database = alerted.stores.database
    feed, notices = EventFeed(database), NoticeStore(database)
    await alerted.record(unauthorized())
    page = await feed.read(await feed.position(READER))
    assert isinstance(page, EventPage)
    async with AlertStore(database).turn() as turn:
        assert turn is not None
        assert not await notices.note(page, timedelta())
    assert await notices.note(page, timedelta())
    assert 1 == await alerted.stores.value("SELECT count(*) FROM untold_alerts")


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (LimitAction.REFUSE, "refused until Mon, 30 Nov 2026 13:00:00 +0000"),
        (LimitAction.DELAY, "the first of it is sent at Mon, 30 Nov 2026 13:00:00 +0000"),
        (LimitAction.HOLD, "held until the operator releases it"),
    ],
)
async def test_U24_an_account_hears_of_a_limit_that_was_exceeded(
    alerted: Alerted, action: LimitAction, says: str
) -> None:
    excess = Excess(
        RateLimit(Counted.MESSAGES, Period.HOUR, 1000, action),
        of_account=False,
        is_first=True,
        account_id=ACCOUNT,
    )
    until = None if action is LimitAction.HOLD else datetime(2026, 11, 30, 13, tzinfo=UTC)
    store = AlertStore(alerted.stores.database)
    async with alerted.telling():
        await store.record_alert(ACCOUNT, new_id(), RateAlert("app-1", excess, until).detail())
    (message,) = await alerted.messages()
    assert "Alert for shop: more mail than it may send" == message["Subject"]
    (text,) = await alerted.texts()
    assert "1000 messages an hour, the limit of the user: app-1" in text
    assert says in " ".join(text.split())


ALL_AT_ONCE = dict.fromkeys(AlertKind, AlertPace.AT_ONCE)


async def happened(alerted: Alerted, kind: str, *, old: str = "0 s", **detail: object) -> UUID:
    """An event of a message that was accepted *old* ago; the message."""
    row = await alerted.stores.sql(
        "INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)"
        " SELECT new_id(), $1, first_id_of(now() - $2::text::interval), new_id(), $3, $4"
        " RETURNING submission_id",
        *(ACCOUNT, old, kind, {"recipient": "ann@dest.example", **detail}),
    )
    return UUID(str(row[0][0]))


@pytest.mark.parametrize(
    ("kind", "old", "subject"),
    [
        ("unsubscribed", "0 s", "recipients who unsubscribed"),
        ("bounced", "0 s", "mail that bounced"),
        ("expired", "0 s", "mail that was not sent"),
        ("quarantined", "0 s", "mail that was not sent"),
        ("delivered", "65 min", "mail that was delivered late"),
    ],
)
async def test_U23_an_account_hears_of_what_it_chose(
    alerted: Alerted, kind: str, old: str, subject: str
) -> None:
    await alerted.settings.set_alert_paces(ACCOUNT, ALL_AT_ONCE)
    async with alerted.telling():
        message_id = await happened(alerted, kind, old=old, reason="so it is")
        await happened(alerted, "delivered", old="55 min")
    (message,) = await alerted.messages()
    assert f"Alert for shop: {subject}" == message["Subject"]
    (text,) = await alerted.texts()
    assert "  ann@dest.example" in text
    assert f": {kind}: so it is" in " ".join(text.split())
    assert f"message {message_id.hex}" in text


async def test_U23_nobody_hears_of_single_recipients_who_has_not_chosen_that(
    alerted: Alerted,
) -> None:
    async with alerted.telling():
        for kind in ("unsubscribed", "bounced", "expired", "quarantined"):
            await happened(alerted, kind)
        await happened(alerted, "delivered", old="2 h")
    assert [] == await alerted.messages()


@pytest.mark.parametrize(
    ("actor", "by_relay", "says"),
    [(RELAY, True, "too many bounces"), ("boss", False, "the operator held it")],
)
async def test_U23_an_account_hears_that_it_is_blocked(
    alerted: Alerted, actor: str, by_relay: bool, says: str
) -> None:
    """The operator's own words are for the operator."""
    async with alerted.telling():
        assert await AccountHolds(alerted.stores.database).hold(ACCOUNT, actor, "too many bounces")
    (message,) = await alerted.messages()
    assert "Alert for shop: its mail is held" == message["Subject"]
    (text,) = await alerted.texts()
    assert says in text
    assert by_relay == ("too many bounces" in text)


@pytest.mark.parametrize(
    ("pace", "unit"),
    [(AlertPace.HOURLY, "hour"), (AlertPace.DAILY, "day"), (AlertPace.WEEKLY, "week")],
)
async def test_U23_alerts_wait_for_the_end_of_their_hour_day_or_week(
    alerted: Alerted, pace: AlertPace, unit: str
) -> None:
    """All of them are one message."""
    await alerted.settings.set_alert_paces(ACCOUNT, {AlertKind.BOUNCED: pace})
    async with alerted.telling():
        for _ in range(3):
            await happened(alerted, "bounced")
        await alerted.record(unauthorized())
        await alerted.all_read()
        assert 1 == len(await alerted.messages())
        assert await alerted.stores.value(
            "SELECT bool_and(due_at = date_trunc($1, at, 'UTC') + ('1 ' || $1)::interval)"
            " FROM untold_alerts WHERE alert = 'bounced'",
            unit,
        )
        await alerted.stores.sql("UPDATE untold_alerts SET due_at = now()")
        await alerted.have_sent(2)
    _, message = await alerted.messages()
    assert "Alert for shop: mail that bounced (3 times)" == message["Subject"]
