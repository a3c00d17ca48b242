"""What a client above a rate limit hears, and what becomes of its message (RULES U24)."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest_asyncio
from prometheus_client import REGISTRY

from posthouse.mail.rate_limit import Counted, LimitAction, RateLimit
from posthouse.mail.terms import Terms
from posthouse.store import StoreUnavailable
from servers.door import LOGIN, SECRET, OpenDoor, Running

MESSAGE = b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\nBody\r\n.\r\n"
TOO_MUCH = "452 4.7.1 This user may send 1 message an hour: it goes on at 2026-11-30 13:00:00 UTC"


def limit(text: str, action: LimitAction, counted: Counted = Counted.MESSAGES) -> RateLimit:
    return RateLimit.parse(counted, text, action)


def exceeded(action: LimitAction) -> float:
    return REGISTRY.get_sample_value("posthouse_rate_exceeded_total", {"action": action}) or 0


@pytest_asyncio.fixture
async def limited(door: Running) -> Running:
    """A door whose user has limits."""
    door.directory.logins["user"] = replace(LOGIN, is_limited=True)
    return door


async def test_a_user_without_limits_is_never_counted(door: Running) -> None:
    client = await door.logged_in()
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert [] == door.rates.asked


async def test_above_the_limit_a_client_hears_which_one_and_when_it_goes_on(
    limited: Running,
) -> None:
    limited.rates.limit(limit("1/hour", LimitAction.REFUSE))
    before = exceeded(LimitAction.REFUSE)
    client = await limited.logged_in()
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert TOO_MUCH == await client.message(MESSAGE)
    # Now it is known at MAIL, before the client sends anything large.
    assert TOO_MUCH == await client.say("MAIL FROM:<jo@a.example>")
    assert 2 == len(limited.rates.asked)
    assert 2 == exceeded(LimitAction.REFUSE) - before
    assert 1 == len(limited.intake.accepted)
    # It is told to its account once.
    ((account, alert),) = limited.intake.alerts
    assert LOGIN.account_id == account
    assert {
        "alert": "rate_limit",
        "username": "user",
        "limit": "1 message an hour",
        "of": "user",
        "action": "refuse",
        "until": "2026-11-30T13:00:00+00:00",
    } == alert
    assert "221 " in await client.say("QUIT")


async def test_other_users_are_not_refused_with_it(limited: Running) -> None:
    limited.rates.limit(limit("1/hour", LimitAction.REFUSE))
    client = await limited.logged_in()
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert TOO_MUCH == await client.message(MESSAGE)
    limited.rates.limit()
    limited.directory.logins["other"] = replace(
        LOGIN, username="other", credential_id=UUID(int=3), is_limited=True
    )
    second = await limited.connect()
    await second.say("EHLO client.example")
    proof = base64.b64encode(f"\0other\0{SECRET}".encode()).decode()
    assert (await second.say(f"AUTH PLAIN {proof}")).startswith("235 ")
    assert (await second.message(MESSAGE)).startswith("250 ")


async def test_what_is_remembered_ends_with_the_window(
    open_door: OpenDoor, leap: Callable[[float], None]
) -> None:
    door = await open_door()
    door.directory.logins["user"] = replace(LOGIN, is_limited=True)
    door.rates.limit(limit("1/minute", LimitAction.REFUSE))
    door.rates.now = datetime(2026, 11, 30, 12, 0, 58, tzinfo=UTC)
    client = await door.logged_in()
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert (await client.message(MESSAGE)).startswith("452 4.7.1 ")
    door.rates.now = datetime(2026, 11, 30, 12, 1, tzinfo=UTC)
    leap(2.1)
    assert (await client.message(MESSAGE)).startswith("250 ")


async def test_a_limit_that_was_raised_is_noticed_within_five_seconds(
    open_door: OpenDoor, leap: Callable[[float], None]
) -> None:
    door = await open_door()
    door.directory.logins["user"] = replace(LOGIN, is_limited=True)
    door.rates.limit(limit("1/month", LimitAction.REFUSE))
    client = await door.logged_in()
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert (await client.message(MESSAGE)).startswith("452 4.7.1 ")
    door.rates.limit(limit("2/month", LimitAction.REFUSE))
    leap(5.1)
    assert (await client.message(MESSAGE)).startswith("250 ")


async def test_a_message_with_more_recipients_than_ever_fit_is_refused_for_good(
    limited: Running,
) -> None:
    limited.rates.limit(limit("2/day", LimitAction.DELAY, Counted.RECIPIENTS))
    client = await limited.logged_in()
    await client.envelope("jo@a.example", *(f"{n}@there.example" for n in range(3)))
    await client.say("DATA")
    assert (
        "550 5.5.3 This user may send to 2 recipients a day, and this alone is more"
        == await client.message_end(MESSAGE)
    )
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert [] == limited.intake.alerts


async def test_U24_excess_is_accepted_and_waits_for_its_turn(limited: Running) -> None:
    limited.rates.limit(limit("1/hour", LimitAction.DELAY))
    client = await limited.logged_in()
    for _ in range(3):
        assert (await client.message(MESSAGE)).startswith("250 2.0.0 Ok: queued as ")
    now, next_hour, then = limited.intake.accepted
    assert Terms() == now.terms
    assert [13, 14] == [s.terms.send_at and s.terms.send_at.hour for s in (next_hour, then)]
    assert next_hour.attributes.notes == ("waited for its turn: at most 1 message an hour",)
    assert [("delay", "2026-11-30T13:00:00+00:00")] == [
        (alert["action"], alert["until"]) for _, alert in limited.intake.alerts
    ]


async def test_a_hold_is_told_and_the_message_accepted(limited: Running) -> None:
    limited.rates.limit(limit("1/hour", LimitAction.HOLD), owner=LOGIN.account_id)
    client = await limited.logged_in()
    for _ in range(3):
        assert (await client.message(MESSAGE)).startswith("250 ")
    assert [None] * 3 == [s.terms.send_at for s in limited.intake.accepted]
    assert [("hold", "account")] == [(a["action"], a["of"]) for _, a in limited.intake.alerts]


async def test_a_message_that_is_refused_for_another_reason_is_not_counted(
    limited: Running,
) -> None:
    client = await limited.logged_in()
    assert (await client.message(b"\r\nno author\r\n.\r\n")).startswith("550 ")
    assert [] == limited.rates.asked


async def test_U24_a_child_has_its_limits_when_a_user_of_its_parent_sends_for_it(
    door: Running,
) -> None:
    """They are told to the child, and the user goes on for others."""
    child = UUID(int=9)
    door.directory.logins["user"] = replace(
        LOGIN, is_limited=True, domains_of_children={child: frozenset(("child.example",))}
    )
    door.rates.limit(limit("1/hour", LimitAction.REFUSE), owner=child)
    client = await door.logged_in()
    of_child = b"From: jo@child.example\r\n\r\nx\r\n.\r\n"
    assert (await client.message(of_child)).startswith("250 ")
    assert "452 4.7.1 This account may send 1 message an hour" in await client.message(of_child)
    assert (await client.message(MESSAGE)).startswith("250 ")
    assert [child, child, None] == [charge.child_id for charge in door.rates.asked]
    assert [child] == [account for account, _ in door.intake.alerts]


async def test_counts_that_cannot_be_had_are_a_fault_of_ours(limited: Running) -> None:
    limited.rates.failure = StoreUnavailable("gone")
    client = await limited.logged_in()
    assert "451 4.3.0 Internal fault, try again later" == await client.message(MESSAGE)
    assert [] == limited.intake.accepted
