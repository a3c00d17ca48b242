"""The page "SMTP Settings" of MailUp (SMTP+), example by example (RULES U)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from e2e.vendors_pages import Customer, customer, message, relay_of, text_of
from servers.patience import eventually
from servers.shared_relay import SharedRelay

TO = "ann@dest.example"
# As the page writes them.
DOMAINS = "sender.authorized_domains=yourCompany.com;yourOtherCompany.com"
SENDERS = (
    "sender.authorized_senders="
    "info@yourCompany.com;sales@yourCompany.com;john.smith@yourCompany.com"
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    async with relay_of(tmp_path_factory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def anyone(relay: SharedRelay) -> Customer:
    """A user whose fields are both empty."""
    user = ("--highest-lane", "very-high")
    return await customer(
        relay,
        "mailup",
        account="yourcompany",
        user=user,
        domains=("yourcompany.com", "yourothercompany.com"),
    )


def mail(author: str = "info@yourcompany.com", fields: str = "") -> str:
    return f"From: {author}\nTo: {TO}\nSubject: Hello\n{fields}\nHello.\n"


async def lane(of: Customer, fields: str) -> int:
    submitted = await of.submit("info@yourcompany.com", TO, mail(fields=fields))
    return int((await of.known(submitted))["lane"])


# Priority.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", 3),
        ("X-Priority: 1\n", 1),
        ("X-Priority: 1 (Highest)\n", 1),
        ("X-Priority: 5\nImportance: high\n", 3),  # believed first, and the user's is higher
        ("Importance: high\n", 2),
        ("Priority: urgent\n", 2),
        ("X-MSMail-Priority: High\n", 2),
        ("Importance: low\n", 3),
    ],
)
async def test_U08_U09_U10_the_higher_of_both_priorities_is_used(
    anyone: Customer, fields: str, expected: int
) -> None:
    assert expected == await lane(anyone, fields)


async def test_U08_U11_a_user_of_high_priority_raises_its_messages(relay: SharedRelay) -> None:
    high = await customer(relay, "mailup", account="yourcompany", user=("--lane", "high"))

    assert 2 == await lane(high, "")
    assert 2 == await lane(high, "X-Priority: 5\n")


async def test_U12_the_recipient_sees_the_priority_very_high(anyone: Customer) -> None:
    """In each of the fields that mail clients read."""
    arrived = await anyone.send("info@yourcompany.com", TO, mail(fields="X-Priority: 1\n"))

    header, blank, body = text_of(mail()).partition("\n\n")
    shown = "X-Priority: 1 (Highest)\nImportance: high\nPriority: urgent\nX-MSMail-Priority: High"
    assert {TO: f"{header}\n{shown}{blank}{body}"} == arrived


# Senders.


@pytest.fixture(scope="module")
def authorized() -> dict[str, Customer]:
    """Customers by what is authorized, made once."""
    return {}


async def blocking(relay: SharedRelay, made: dict[str, Customer], *lists: str) -> Customer:
    key = " ".join(lists)
    if key not in made:
        knobs = ("sender.check=block_and_alert", *lists)
        made[key] = await customer(relay, "mailup", *knobs, account="yourcompany")
    return made[key]


@pytest.mark.parametrize(
    ("author", "taken"),
    [
        ("any.one@yourcompany.com", True),
        ("any.one@YourOtherCompany.com", True),
        ("any.one@marketing.yourcompany.com", False),  # not listed itself
        ("any.one@notyourcompany.com", False),
    ],
)
async def test_U13_every_address_of_an_authorized_domain_and_of_no_other(
    relay: SharedRelay, authorized: dict[str, Customer], author: str, *, taken: bool
) -> None:
    own = await blocking(relay, authorized, DOMAINS)

    if taken:
        assert {TO} == (await own.send(author, TO, mail(author))).keys()
    else:
        assert (await own.refusal(author, TO, mail(author))).startswith("550 5.7.1 ")


@pytest.mark.parametrize(
    ("author", "taken"),
    [
        ("info@yourcompany.com", True),
        ("John.Smith@yourcompany.com", True),
        ("jane.smith@yourcompany.com", False),
    ],
)
async def test_U14_the_addresses_that_are_authorized_and_no_other(
    relay: SharedRelay, authorized: dict[str, Customer], author: str, *, taken: bool
) -> None:
    own = await blocking(relay, authorized, SENDERS)

    if taken:
        assert {TO} == (await own.send(author, TO, mail(author))).keys()
    else:
        assert (await own.refusal(author, TO, mail(author))).startswith("550 5.7.1 ")


async def test_U15_every_sender_is_authorized_where_both_fields_are_empty(
    anyone: Customer,
) -> None:
    author = "who@wherever.example"

    arrived = await anyone.send(author, TO, mail(author))

    assert {TO: text_of(mail(author))} == arrived


@pytest.mark.usefixtures("anyone")  # which makes the account
async def test_U16_an_unauthorized_sender_raises_an_alert_and_is_sent(relay: SharedRelay) -> None:
    author = "who@wherever.example"
    alerted = await customer(relay, "mailup", "sender.check=alert", DOMAINS, account="yourcompany")

    submitted = await alerted.submit(author, TO, mail(author))

    assert {TO} == (await alerted.relay.arrived(submitted)).keys()
    kinds = {event["kind"] for event in await alerted.relay.events(submitted)}
    assert "alerted" in kinds


async def test_U16_U17_U26_the_account_hears_of_unauthorized_senders(relay: SharedRelay) -> None:
    """At the address that it has set, of one that was sent and of one that was refused."""
    owner, sent, blocked = "owner@home.example", "sent@else.example", "blocked@else.example"
    await relay.domain("alerted", "alerted.example")
    alerting, refusing = [
        await customer(relay, "mailup", f"sender.check={check}", DOMAINS, account="alerted")
        for check in ("alert", "block_and_alert")
    ]
    await relay.command("account", "alerts", "alerted", "--address", owner)

    submitted = await alerting.submit(sent, TO, mail(sent))
    assert (await refusing.refusal(blocked, TO, mail(blocked))).startswith("550 5.7.1 ")

    def told() -> str:
        mine = [a.content.decode() for a in relay.sink.arrivals if owner in a.recipients]
        return "\n".join(mine)

    async def has_both() -> bool:
        return all(address in told() for address in (sent, blocked))

    await eventually(has_both, within=20)
    assert f"message {submitted.id.hex}" in told()
    assert 1 == told().count(f"{sent} in From")
    assert 1 == told().count(f"{blocked} in From")


async def test_U21_a_reply_to_that_is_not_from_is_refused_unless_it_is_enabled(
    relay: SharedRelay, anyone: Customer
) -> None:
    sender = "info@yourcompany.com"
    same, other = (mail(fields=f"Reply-To: {a}\n") for a in (sender, "sales@yourcompany.com"))
    enabled = await customer(relay, "mailup", "sender.reply_to=free", account="yourcompany")

    assert {TO: text_of(same)} == await anyone.send(sender, TO, same)
    assert "Reply-To" in await anyone.refusal(sender, TO, other)
    assert {TO: text_of(other)} == await enabled.send(sender, TO, message(other))
