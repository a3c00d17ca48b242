"""Feedback reports over SMTP into a real PostgreSQL: what is believed, and what it changes."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import aiosmtplib
import pytest

from bounces.return_listener import ReturnListener
from bounces.settings import BouncesSettings
from bounces.wiring import build
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail import return_path, signed_id
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Delivery
from posthouse.running.program import Resources
from posthouse.running.settings import load
from servers.bounce_port import counted
from servers.returned_mail import REPORTS, feedback_report
from servers.stores import ACCOUNT, Stores, a_submission, open_stores, prepared

MASTER = b"secret secret secret secret secret"
ENVIRON = {
    "POSTHOUSE_DATABASE_URL": "postgresql://unused",
    "POSTHOUSE_BROKER_URL": "amqp://unused",
    "POSTHOUSE_SECRET_KEY": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA==",
    "POSTHOUSE_HOSTNAME": "mx.sender.example",
    "POSTHOUSE_BOUNCES_LISTEN": "127.0.0.1:0",
    "POSTHOUSE_COMPLAINT_ADDRESSES": "fbl@loops.example, fbl@sender.example",
    "POSTHOUSE_BOUNCES_MESSAGES_PER_MINUTE": "1000000",
}
OTHER_ACCOUNT = UUID(int=9)
REPORT = {path.stem: path.read_bytes() for path in REPORTS}


def today() -> date:
    return datetime.now(UTC).date()


def id_of(delivery: Delivery, *, master: bytes = MASTER, days: int = 0) -> str:
    """The signed field of the copy that *delivery* got, signed some *days* ago."""
    field = signed_id.sign(
        delivery.account_id,
        delivery.submission_id,
        delivery.rendition_id,
        derive(master, Purpose.SIGNED_IDS),
        today() - timedelta(days),
    )
    return field.raw.decode().replace("\r", "")


def path_of(delivery_id: UUID, *, master: bytes = MASTER, days: int = 0) -> str:
    key = derive(master, Purpose.RETURN_PATHS)
    return return_path.sign(delivery_id, "mx.sender.example", key, today() - timedelta(days))


@dataclass
class Relay:
    """The bounces service as it is built, over a real database."""

    stores: Stores
    listener: ReturnListener

    async def send(self, *recipients: str, account: UUID = ACCOUNT) -> list[Delivery]:
        """A message to *recipients*, who share one copy."""
        submission = a_submission(recipients=recipients, account_id=account)
        await self.stores.submissions.accept(submission)
        (claimed,) = (await self.stores.submissions.claim(1)).submissions
        await self.stores.submissions.prepare([prepared(claimed)])
        for row in await self.stores.sql(
            "SELECT id FROM deliveries WHERE submission_id = $1", submission.id
        ):
            path = path_of(row["id"])
            await self.stores.sql(
                "UPDATE deliveries SET return_path = $2 WHERE id = $1", row["id"], path
            )
        rows = await self.stores.sql(
            "SELECT * FROM deliveries WHERE submission_id = $1 ORDER BY id", submission.id
        )
        return [Delivery(**dict(row)) for row in rows]

    async def give(self, *contents: bytes, to: str = "fbl@loops.example") -> None:
        """Send each of *contents* over one connection; each is answered 250."""
        address = await self.listener.address()
        async with aiosmtplib.SMTP(hostname=address.host, port=address.port) as client:
            for content in contents:
                await client.sendmail("fbl@provider.example", to, content)

    async def lists(self) -> list[tuple[str, str]]:
        """The entries that count."""
        rows = await self.stores.sql(
            "SELECT list, address FROM suppressions WHERE COALESCE(expires_at > now(), true)"
            " ORDER BY 1, 2"
        )
        return [(row["list"], row["address"]) for row in rows]

    async def events(self) -> list[tuple[str, UUID | None]]:
        """Events of returned mail, with the delivery that each is about."""
        rows = await self.stores.sql(
            "SELECT kind, delivery_id FROM events WHERE detail ? 'digest' ORDER BY id"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def relay(database: str) -> AsyncIterator[Relay]:
    async with open_stores(database) as stores:
        await stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'other')", OTHER_ACCOUNT)
        settings = load(BouncesSettings, ENVIRON)
        built = build(settings, Resources(stores.database, stores.database, EmbeddedBroker()))
        listener, stopping = built.by_name["bounces"], asyncio.Event()
        assert isinstance(listener, ReturnListener)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run(stopping))
            yield Relay(stores, listener)
            stopping.set()


@pytest.mark.parametrize("to", ["fbl@loops.example", "abuse@mx.sender.example", "postmaster"])
@pytest.mark.parametrize("kind", ["abuse", "fraud", "virus"])
async def test_a_complaint_with_our_id_lists_the_recipient_of_our_own_row(
    relay: Relay, kind: str, to: str
) -> None:
    (ann,) = await relay.send("ann@dest.example")
    (theirs,) = await relay.send("ann@dest.example", account=OTHER_ACCOUNT)
    await relay.give(feedback_report(id_of(ann, days=89), kind=kind), to=to)
    assert [("complaint", "ann@dest.example")] == await relay.lists()
    assert [("complained", ann.id)] == await relay.events()
    (entry,) = await relay.stores.sql("SELECT * FROM suppressions")
    assert (entry["account_id"], entry["delivery_id"]) == (ACCOUNT, ann.id) != (ACCOUNT, theirs.id)
    assert entry["evidence"]["believed_by"] == "signed id"
    assert entry["rule"] == f"feedback: {kind}"


async def test_a_complaint_counts_through_our_return_path_too(relay: Relay) -> None:
    ann, bob = await relay.send("ann@dest.example", "bob@dest.example")
    await relay.give(
        feedback_report(mail_from=bob.return_path, recipient="ann@dest.example"),
        feedback_report(id_of(ann), mail_from=ann.return_path),
    )
    assert [("complained", bob.id), ("complained", ann.id)] == await relay.events()
    assert ["ann@dest.example", "bob@dest.example"] == [a for _, a in await relay.lists()]


@pytest.mark.parametrize(
    ("kind", "event", "entries"),
    [
        ("opt-out", "unsubscribed", [("unsubscribe", "ann@dest.example")]),
        ("not-spam", "returned", []),
        ("auth-failure", "returned", []),
        ("other", "returned", []),
        ("of-their-own", "returned", []),
    ],
)
async def test_other_feedback_is_noted_or_unsubscribes(
    relay: Relay, kind: str, event: str, entries: list[tuple[str, str]]
) -> None:
    (ann,) = await relay.send("ann@dest.example")
    await relay.give(feedback_report(id_of(ann), kind=kind))
    assert [(event, ann.id)] == await relay.events()
    assert entries == await relay.lists()


async def test_that_it_is_no_spam_lifts_nothing_by_itself(relay: Relay) -> None:
    (ann,) = await relay.send("ann@dest.example")
    await relay.give(feedback_report(id_of(ann)), feedback_report(id_of(ann), kind="not-spam"))
    assert [("complained", ann.id), ("returned", ann.id)] == await relay.events()
    assert [("complaint", "ann@dest.example")] == await relay.lists()


async def test_of_several_recipients_the_report_has_to_name_one_of_ours(relay: Relay) -> None:
    ann, bob = await relay.send("ann@dest.example", "bob@dest.example")
    await relay.give(feedback_report(id_of(ann), recipient="bob@DEST.example"))
    await relay.give(feedback_report(id_of(ann), recipient="victim@dest.example"))
    assert [("complained", bob.id), ("complained", None)] == await relay.events()
    assert [("complaint", "bob@dest.example")] == await relay.lists()


async def test_past_retention_the_id_still_says_whose_message_it_was(relay: Relay) -> None:
    (ann,) = await relay.send("ann@dest.example")
    for table in ("events", "attempts", "deliveries", "submissions"):
        await relay.stores.sql(f"DELETE FROM {table}")  # noqa: S608 -- of the four above
    await relay.give(feedback_report(id_of(ann, days=60), recipient="ann@dest.example"))
    await relay.give(feedback_report(mail_from=ann.return_path))
    (event,) = await relay.stores.sql("SELECT * FROM events")
    assert (ACCOUNT, ann.submission_id, None, "complained") == (
        event["account_id"], event["submission_id"], event["delivery_id"], event["kind"],
    )  # fmt: skip
    assert event["detail"]["original_recipients"] == ["ann@dest.example"]
    assert [] == await relay.lists()


async def test_a_complaint_about_a_message_of_the_relay_itself_is_an_event_alone(
    relay: Relay,
) -> None:
    """It has no account whose list it could be on."""
    (ann,) = await relay.send("ann@dest.example", account=OPERATOR)
    await relay.give(feedback_report(id_of(ann)))
    assert [("complained", ann.id)] == await relay.events()
    assert [] == await relay.lists()


async def test_the_same_complaint_a_hundred_times_is_one_event_and_lifted_it_stays_lifted(
    relay: Relay,
) -> None:
    (ann,) = await relay.send("ann@dest.example")
    copies = [feedback_report(id_of(ann), number=number) for number in range(100)]
    await asyncio.gather(*(relay.give(*copies[n::10]) for n in range(10)))
    assert [("complained", ann.id)] == await relay.events()
    await relay.stores.sql("DELETE FROM suppressions")
    varied = feedback_report(id_of(ann), kind="fraud", recipient="ann@dest.example", number=7)
    await relay.give(copies[0], varied)
    assert [] == await relay.lists()


async def test_one_that_is_not_believed_does_not_hide_one_that_is(relay: Relay) -> None:
    (ann,) = await relay.send("ann@dest.example")
    await relay.give(feedback_report(), feedback_report(id_of(ann)), to=ann.return_path)
    assert [("returned", ann.id), ("complained", ann.id)] == await relay.events()
    (event, _) = await relay.stores.sql(
        "SELECT detail FROM events WHERE detail ? 'digest' ORDER BY id"
    )
    assert event["detail"]["rule"] == "not believed: unsigned"
    assert [("complaint", "ann@dest.example")] == await relay.lists()


async def test_at_a_return_path_only_a_report_about_its_own_message_counts(relay: Relay) -> None:
    (ann,) = await relay.send("ann@dest.example")
    (eve,) = await relay.send("eve@dest.example", account=OTHER_ACCOUNT)
    before = counted("posthouse_feedback_not_believed_total", reason="contradictory")
    await relay.give(feedback_report(id_of(eve)), to=ann.return_path)
    await relay.give(feedback_report(id_of(eve), mail_from=ann.return_path))
    after = counted("posthouse_feedback_not_believed_total", reason="contradictory")
    assert after == before + 2
    assert [] == await relay.lists()


async def test_an_alias_whose_member_is_gone_is_listed_for_a_time_if_that_goes_on(
    relay: Relay,
) -> None:
    """Ann's mail is sent on to an address that does not exist: on three days, and none arrived."""
    for _ in range(3):
        assert [] == await relay.lists()
        await relay.stores.sql(
            "UPDATE suppressions SET evidence = jsonb_set(evidence, '{bounces}', ("
            " SELECT jsonb_agg(b || jsonb_build_object("
            "  'at', (b->>'at')::timestamptz - interval '1 day'))"
            " FROM jsonb_array_elements(evidence->'bounces') b))"
        )
        (ann,) = await relay.send("ann@dest.example")
        await relay.give(REPORT["forwarded"], to=ann.return_path)
    (entry,) = await relay.stores.sql("SELECT * FROM suppressions")
    assert (entry["reason"], entry["expires_at"] is None) == ("another address gone", False)
    assert [("bounce", "ann@dest.example")] == await relay.lists()
    last = entry["evidence"]["bounces"][-1]
    assert last["final_recipient"] == "ann.old@elsewhere.example"


async def forged(relay: Relay, count: int) -> dict[str, int]:
    """Send *count* forged DSNs and complaints; how many replies of each kind there were."""
    chance = random.Random(count)  # noqa: S311 -- the same in each run
    ann, bob = await relay.send("ann@dest.example", "bob@dest.example")
    (eve,) = await relay.send("eve@other.example", account=OTHER_ACCOUNT)
    replies: Counter[str] = Counter()
    address = await relay.listener.address()
    async with aiosmtplib.SMTP(hostname=address.host, port=address.port) as client:
        for number in range(count):
            to, content = _forgery(chance, ann, bob, eve, number)
            try:
                await client.sendmail("", to, content)
            except aiosmtplib.SMTPRecipientsRefused as error:
                replies[f"refused {error.recipients[0].code}"] += 1
            else:
                replies["taken"] += 1
            if number % 900 == 899:
                await client.quit()
                await client.connect()
    return dict(replies)


def _forgery(
    chance: random.Random, ann: Delivery, bob: Delivery, eve: Delivery, number: int
) -> tuple[str, bytes]:
    """An address, and a report that tries to put ann or bob on a list."""
    token = id_of(ann).split(": ")[1].strip()
    at = chance.randrange(len(token))
    letter = chance.choice([c for c in "ABCDEFxyz0189-_" if c != token[at]])
    broken = [
        "",
        id_of(ann, master=bytes(chance.randbytes(32))),
        id_of(ann, days=chance.randrange(91, 2000)),
        f"X-Posthouse-Id: {token[:at]}{letter}{token[at + 1 :]}\n",
        f"X-Posthouse-Id: {token[: at or 1]}\n",
        f"X-Posthouse-Id: {ann.submission_id}\n",
        f"X-Posthouse-Id: {token.swapcase()}\n",
    ]
    complaint = feedback_report(
        chance.choice(broken),
        kind=chance.choice(["abuse", "fraud", "virus", "opt-out"]),
        mail_from=chance.choice(
            ["", "news@sender.example", path_of(ann.id, master=b"x" * 32), path_of(ann.id, days=15)]
        ),
        recipient=chance.choice(["ann@dest.example", "bob@dest.example"]),
        number=number,
    )
    wrong_paths = [
        f"b+{'a' * 48}@mx.sender.example",
        path_of(ann.id, master=b"x" * 32),
        path_of(ann.id, days=chance.randrange(15, 2000)),
        path_of(UUID(int=chance.getrandbits(128))),
        path_of(ann.id).replace("mx.", "mx2."),
    ]
    to, dsn = chance.choice(
        [
            (chance.choice(wrong_paths), "user_unknown"),
            ("postmaster@mx.sender.example", "user_unknown"),
            ("fbl@sender.example", "recipient_not_found"),
            (eve.return_path, "user_unknown"),  # about ann, to the return path of another account
        ]
    )
    roles = ("fbl@loops.example", "abuse@mx.sender.example", bob.return_path)
    return chance.choice([(to, REPORT[dsn]), (chance.choice(roles), complaint)])


async def test_forged_reports_change_no_list(relay: Relay) -> None:
    replies = await forged(relay, 600)
    assert set(replies) == {"refused 550", "taken"}
    assert [] == await relay.lists()
    kinds = {kind for kind, _ in await relay.events()}
    assert kinds <= {"bounced", "returned"}


@pytest.mark.long
async def test_ten_thousand_forged_reports_change_no_list(relay: Relay) -> None:
    await forged(relay, 10_000)
    assert [] == await relay.lists()
