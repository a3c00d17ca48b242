"""Over a session: domains that other accounts have verified, and alerts of refused senders."""

import asyncio
from base64 import b64encode
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from ingest.blocked_alerts import BlockedAlerts
from ingest.core.admission import SessionFacts
from ingest.core.domains_of_others import domains_to_ask
from ingest.settings import IngestSettings
from ingest.wiring import operator_rules
from posthouse.mail.alert import Alert, AlertKind
from posthouse.running.identity import new_id
from posthouse.running.settings import load
from posthouse.store import StoreUnavailable
from posthouse.store.alert_store import AlertStore
from posthouse.store.logins import AccountProfile
from servers.admitting import admitted, facts_for, incoming, refused
from servers.door import LOGIN, Running, Wire
from servers.patience import eventually
from servers.stores import ACCOUNT, open_stores

FOREIGN = b"From: jo@else.example\r\nTo: al@there.example\r\nSubject: Hello\r\n\r\nHello.\r\n.\r\n"


async def client_with(door: Running, preset: str, **knobs: Any) -> Wire:
    """A client of an account with this preset and these knobs, given as group__knob."""
    changed = {name.replace("__", "."): value for name, value in knobs.items()}
    own = AccountProfile(LOGIN.account_id, "ours", 1, preset, 1, changed)
    door.directory.logins["user"] = replace(LOGIN, profile="ours", own_profile=own)
    return await door.logged_in()


async def test_X05_no_open_profile_opens_the_domain_of_another_account(door: Running) -> None:
    """From, MAIL FROM or Sender; a domain that nobody has verified is open."""
    client = await client_with(door, "native", sender__check="off")
    door.directory.others = frozenset({"bank.example"})
    assert (await client.message(FOREIGN)).startswith("250 ")
    for header in (b"From: jo@bank.example", b"From: jo@a.example\r\nSender: jo@bank.example"):
        reply = await client.message(header + b"\r\nTo: al@there.example\r\n\r\nHello.\r\n.\r\n")
        assert reply.startswith("550 5.7.1 bank.example belongs to another account")
    assert 1 == len(door.intake.accepted)


@pytest.mark.parametrize(
    "value",
    [
        "ceo <ceo@bank.example> of it",
        "ceo@(the)bank.example",
        "<ceo@bank.example>, <jo@a.example",
        "ceo@ bank.example.",
        "the bank: ceo@B\u00c4NK.example, jo;",
    ],
)
def test_X05_a_sender_that_cannot_be_read_is_asked_for_each_domain(value: str) -> None:
    message = incoming(f"From: jo@a.example\nSender: {value}\n", facts_for("native"))
    asked = domains_to_ask(message.head, message.sender, message.session)
    assert asked & {"bank.example", "xn--bnk-qla.example"}


async def test_C08_a_register_that_is_away_is_our_fault(door: Running) -> None:
    client = await client_with(door, "native", sender__check="off")
    assert (await client.message(FOREIGN)).startswith("250 ")
    door.directory.failure = StoreUnavailable("away")
    door.service._context.domain_owners._remembered.clear()
    assert (await client.message(FOREIGN)).startswith("451 4.3.0")


async def test_U17_a_refused_sender_is_noted_for_its_account(door: Running) -> None:
    client = await client_with(
        door, "native", sender__check="block_and_alert", sender__check_on="from"
    )
    assert (await client.message(FOREIGN)).startswith("550 5.7.1 ")
    alert = Alert(AlertKind.UNAUTHORIZED_SENDER, "From", "jo@else.example", blocked=True)
    assert [(LOGIN.account_id, alert.detail())] == door.intake.alerts


async def test_alerts_of_an_account_within_a_moment_are_recorded_as_one(database: str) -> None:
    """The first, with how many there were; at the end what is left."""
    other, third = UUID(int=9), UUID(int=10)
    async with open_stores(database) as stores:
        alerts = BlockedAlerts(AlertStore(stores.database), new_id, seconds=0.01)
        stopping = asyncio.Event()
        for n in range(3):
            alerts.note(ACCOUNT, {"alert": "unauthorized_sender", "address": f"u{n}@x.example"})
        alerts.note(other, {"alert": "unauthorized_sender", "address": "o@x.example"})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(alerts.run(stopping))
            count = "SELECT count(*) = 2 FROM events WHERE kind = 'alerted'"
            await eventually(lambda: stores.value(count), within=10)
            stopping.set()
            alerts.note(third, {"alert": "unauthorized_sender"})
        rows = await stores.sql(
            "SELECT account_id, detail FROM events WHERE kind = 'alerted' ORDER BY account_id"
        )
    found = [
        (row["account_id"], row["detail"].get("address"), row["detail"].get("times"))
        for row in rows
    ]
    assert [
        (ACCOUNT, "u0@x.example", 3),
        (other, "o@x.example", None),
        (third, None, None),
    ] == found


async def test_alerts_wait_while_the_database_is_away() -> None:
    recorded: list[dict[str, Any]] = []

    class Away:
        """A store that is away once."""

        away = True

        async def record_alert(self, account_id: UUID, submission_id: UUID, detail: Any) -> None:
            del account_id, submission_id
            if self.away:
                self.away = False
                alerts.note(ACCOUNT, {"alert": "a", "n": 2})  # another one meanwhile
                raise StoreUnavailable("away")
            if not recorded:
                alerts.note(ACCOUNT, {"alert": "a", "n": 3})
            recorded.append(dict(detail))

    alerts = BlockedAlerts(Away(), new_id, seconds=0.01)
    alerts.note(ACCOUNT, {"alert": "a", "n": 1})
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(alerts.run(stopping))

        async def both() -> bool:
            return len(recorded) == 2

        await eventually(both, within=10)
        stopping.set()
    assert [{"alert": "a", "n": 1, "times": 2}, {"alert": "a", "n": 1}] == recorded


def asked(header: str, facts: SessionFacts, sender: str = "jo@a.example") -> frozenset[str]:
    message = incoming(header, facts, sender)
    return domains_to_ask(message.head, message.sender, message.session)


@pytest.mark.parametrize("header", ["From: jo@{}", "From: jo@a.example\nSender: jo@{}"])
def test_U13_nobody_sends_from_below_the_domain_of_another_account(header: str) -> None:
    """However far below; an account that has verified a name in between is asked for no more."""
    far = f"{'x.' * 12}shop.bank.example"
    facts = facts_for("native", sender__check="off")
    for domain in ("shop.bank.example", far):
        assert "bank.example" in asked(header.format(domain), facts)
        message = incoming(header.format(domain), facts, owned_elsewhere={"bank.example"})
        assert refused(message).startswith("550 5.7.1 bank.example belongs to another account")
    own = facts_for("native", sender__check="off", domains={"a.example", "shop.bank.example"})
    assert {"x.shop.bank.example"} == asked(header.format("x.shop.bank.example"), own)


def test_a_hostile_domain_asks_for_a_few_names() -> None:
    facts = facts_for("native", sender__check="off")
    assert 10 >= len(asked(f"From: jo@{'x.' * 110}example", facts))


async def test_U13_the_register_is_asked_for_the_domain_above(door: Running) -> None:
    client = await client_with(door, "critsend", recipients__bcc="on")
    door.directory.others = frozenset({"bank.example"})
    for domain, answer in (("shop.bank.example", "550 5.7.1 bank.example "), ("b.example", "250 ")):
        message = FOREIGN.replace(b"jo@else.example", b"jo@" + domain.encode())
        assert (await client.message(message)).startswith(answer)


RELAY = frozenset({"mail.relay.example", "back.relay.example"})


@pytest.mark.parametrize("preset", ["critsend", "mailup", "mailtarget", "native"])
@pytest.mark.parametrize(
    "domain",
    ["mail.relay.example", "x.y.mail.relay.example", "back.relay.example", "relay.example"],
)
@pytest.mark.parametrize("name", ["From", "Sender", "MAIL FROM"])
def test_X05_nobody_sends_as_the_relay_itself(preset: str, domain: str, name: str) -> None:
    """Its DKIM key and return paths would make such mail pass DMARC as the relay's own."""
    facts = facts_for(preset, sender__check="off", relay_names=RELAY, bounces__dsn_to_sender=True)
    fields = {"From": "jo@a.example", "MAIL FROM": "jo@a.example"} | {name: f"ceo@{domain}"}
    sender = fields.pop("MAIL FROM")
    fields |= {"To": "al@there.example", "Subject": "x", "Reply-To": fields["From"]}
    message = incoming("\n".join(f"{key}: {value}" for key, value in fields.items()), facts, sender)
    assert refused(message).startswith(
        f"550 5.7.1 {domain} belongs to this relay itself: verify it"
    )


@pytest.mark.parametrize(
    ("domains", "sandbox", "author"),
    [
        ({"a.example"}, "", "jo@elrelay.example"),
        ({"a.example"}, "", "jo@web.relay.example"),
        ({"a.example", "relay.example"}, "", "jo@relay.example"),
        ({"a.example", "x.mail.relay.example"}, "", "jo@w.x.mail.relay.example"),
        ({"a.example"}, "try.mail.relay.example", "jo@try.mail.relay.example"),
    ],
    ids=["another name", "beside it", "verified", "verified in between", "the sandbox"],
)
def test_X05_names_near_to_the_relay_are_open_to_who_has_them(
    domains: set[str], sandbox: str, author: str
) -> None:
    facts = facts_for(
        "native",
        sender__check="off",
        relay_names=RELAY,
        domains=domains,
        sandbox_domain=sandbox,
    )
    admitted(incoming(f"From: {author}", facts))


def test_X05_the_names_of_the_relay_are_those_of_its_settings() -> None:
    environment = {
        "POSTHOUSE_HOSTNAME": "MX1.relay.example",
        "POSTHOUSE_RELAY_DKIM_DOMAIN": "relay.example",
        "POSTHOUSE_RETURN_PATH_HOST": "back.relay.example.",
        "POSTHOUSE_DATABASE_URL": "postgresql://nowhere/x",
        "POSTHOUSE_BROKER_URL": "amqp://nowhere",
        "POSTHOUSE_SECRET_KEY": b64encode(bytes(32)).decode(),
    }
    names = {"mx1.relay.example", "relay.example", "back.relay.example"}
    assert names == operator_rules(load(IngestSettings, environment)).relay_names
    lonely = {k: v for k, v in environment.items() if "RELAY" not in k and "RETURN" not in k}
    alone = load(IngestSettings, lonely | {"POSTHOUSE_HOSTNAME": "localhost"})
    assert frozenset() == operator_rules(alone).relay_names
