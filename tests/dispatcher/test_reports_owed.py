"""Who reports a result to the sender that asked for it: RFC 3461 section 5.2."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.core.envelope import Envelope
from dispatcher.core.reports_owed import DELAY_AFTER, Owed, owed
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.sent import Sent
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.sites import Sites
from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Uncertain
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope
from posthouse.store.deliveries import ClaimedDelivery, Settlement
from servers.claimed_delivery import claimed_delivery

S, F, D = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY
ALL = (S, F, D)
REPLY = Reply(250, "ok", "2.0.0")
TAKEN, ASKED = Delivered(REPLY), Delivered(REPLY, asked_for_reports=True)
LATER = Deferred(Reply(451, "later"), Scope.SITE)
UNKNOWN = Uncertain(Reply(451, "gone"))
REFUSED = Bounced(Reply(550, "no"), Scope.RECIPIENT)
SOON = DELAY_AFTER - timedelta(seconds=1)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ANN = "ann@dest.example"


@pytest.mark.parametrize(
    ("notify", "outcome", "age", "expected"),
    [
        ((S,), TAKEN, SOON, Owed.RELAYED),
        (ALL, TAKEN, DELAY_AFTER, Owed.RELAYED),
        ((S,), ASKED, SOON, Owed.PASSED_ON),
        ((F, D), TAKEN, SOON, None),
        ((), TAKEN, SOON, None),
        (None, TAKEN, SOON, None),
        ((), ASKED, SOON, None),
        ((D,), LATER, SOON, None),
        ((D,), LATER, DELAY_AFTER, Owed.DELAYED),
        (ALL, UNKNOWN, DELAY_AFTER, Owed.DELAYED),
        ((S, F), LATER, DELAY_AFTER, None),
        ((), LATER, DELAY_AFTER, None),
        # Nobody hears of a delay who did not ask for it.
        (None, LATER, DELAY_AFTER, None),
        (ALL, REFUSED, DELAY_AFTER, None),
    ],
)
def test_what_is_owed(
    notify: tuple[Notify, ...] | None, outcome: Outcome, age: timedelta, expected: Owed | None
) -> None:
    assert expected == owed(RecipientRequest(notify), outcome, age, final=False)


def test_who_is_told_of_a_failure_is_not_told_of_a_delay_with_it() -> None:
    assert owed(RecipientRequest(ALL), LATER, DELAY_AFTER, final=True) is None


class Hosts:
    """Resolver and sender, with one answer for all."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.envelopes: list[Envelope] = []

    async def route(self, domain: str) -> Route:
        """One site for all."""
        return Route(((f"mx.{domain}",),), 25, domain, TlsPolicy.OPPORTUNISTIC)

    def doubt(self, domain: str) -> None:
        """Every route is a good one."""

    async def send(self, _: Route, envelope: Envelope) -> Sent:
        """Give the answer."""
        self.envelopes.append(envelope)
        return Sent((self.outcome,), "mx.example", "")

    async def close(self) -> None:
        """Nothing is open."""


def claimed(dsn: DsnRequest | None, accepted_at: datetime = NOW) -> ClaimedDelivery:
    return claimed_delivery(
        ANN, received_at=accepted_at, expires_at=NOW + timedelta(days=5), dsn=dsn
    )


async def result_of(hosts: Hosts, delivery: ClaimedDelivery) -> Settlement:
    attempts = DeliveryAttempts(hosts, hosts, Sites(10), now=lambda: NOW)
    result = await attempts.run(delivery)
    assert isinstance(result, Settlement)
    return result


async def test_an_attempt_gives_the_parameters_and_its_event_says_what_is_owed() -> None:
    asked = DsnRequest(None, "QQ", {ANN: RecipientRequest(ALL)})
    hosts = Hosts(TAKEN)
    result = await result_of(hosts, claimed(asked))
    assert ([asked], "relayed") == ([e.dsn for e in hosts.envelopes], result.detail["dsn"])
    assert "passed on" == (await result_of(Hosts(ASKED), claimed(asked))).detail["dsn"]
    long_ago = claimed(asked, NOW - DELAY_AFTER)
    assert "delayed" == (await result_of(Hosts(LATER), long_ago)).detail["dsn"]
    last = replace(long_ago, expired=True, tries=4)
    assert "dsn" not in (await result_of(Hosts(LATER), last)).detail


async def test_mail_that_asks_for_nothing_has_events_as_before() -> None:
    hosts = Hosts(TAKEN)
    result = await result_of(hosts, claimed(None))
    assert ([None], False) == ([e.dsn for e in hosts.envelopes], "dsn" in result.detail)
