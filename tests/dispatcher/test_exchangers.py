"""What answers of DNS about a domain mean for its mail."""

import pytest

from dispatcher.core.exchangers import (
    AddressAnswer,
    Addresses,
    Exchangers,
    HostsByPreference,
    MailExchanger,
    addresses_of,
    hosts_by_preference,
    without_exchangers,
)
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.second_look import Unconfirmed
from posthouse.answers import AnswerClass, failure_of
from posthouse.mail.address_failure import FailureWeight
from posthouse.mail.dns_answer import LookupFailed, NoRecords, NoSuchName
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.scope import Scope

OURS = RefusedHosts(frozenset({"relay.example"}))


def mx(*records: tuple[int, str]) -> Exchangers:
    return Exchangers(tuple(MailExchanger(*record) for record in records))


@pytest.mark.parametrize(
    ("answer", "hosts"),
    [
        (mx((10, "a.example")), (("a.example",),)),
        (mx((20, "b.example"), (10, "a.example")), (("a.example",), ("b.example",))),
        # DNS rotates its answers: equal ones are one route in any order.
        (mx((10, "b.example"), (10, "a.example")), (("a.example", "b.example"),)),
        (
            mx((10, "a.example"), (20, "b.example"), (20, "a.example")),
            (("a.example",), ("b.example",)),
        ),
        # Only what is better than ourselves (RFC 5321 section 5.1).
        (mx((5, "a.example"), (10, "relay.example"), (10, "b.example")), (("a.example",),)),
        (mx((10, "a.example"), (20, "relay.example"), (30, "b.example")), (("a.example",),)),
        # A null MX among others is a mistake, and no reason to bounce.
        (mx((0, ""), (10, "a.example")), (("a.example",),)),
    ],
)
def test_hosts_by_preference(answer: Exchangers, hosts: HostsByPreference) -> None:
    assert hosts == hosts_by_preference("mx.example", answer, OURS)


def test_a_null_mx_bounces_without_blaming_the_mailbox() -> None:
    outcome = hosts_by_preference("mx.example", mx((0, "")), OURS)

    assert isinstance(outcome, Bounced)
    assert (outcome.reply.enhanced, outcome.scope) == ("5.1.10", Scope.SITE)


def test_mail_that_would_come_back_to_us_waits() -> None:
    outcome = hosts_by_preference("mx.example", mx((10, "relay.example"), (20, "b.example")), OURS)

    assert isinstance(outcome, Unconfirmed)
    assert (outcome.reply.enhanced, outcome.scope) == ("4.4.6", Scope.SITE)


@pytest.mark.parametrize(
    ("answer", "own", "enhanced"),
    [
        (NoSuchName(), NoSuchName(), "5.1.2"),
        (NoSuchName(), NoRecords(), "4.4.4"),
        (NoRecords(), NoSuchName(), "4.4.4"),
        (NoRecords(), NoRecords(), "4.4.4"),
        (NoSuchName(), LookupFailed("timed out"), "4.4.3"),
        (NoRecords(), LookupFailed("SERVFAIL"), "4.4.3"),
    ],
)
def test_only_a_name_that_surely_does_not_exist_bounces_at_once(
    answer: NoSuchName | NoRecords, own: AddressAnswer, enhanced: str
) -> None:
    outcome = without_exchangers("mx.example", answer, own, OURS)

    kinds = {"5.1.2": Bounced, "4.4.4": Unconfirmed, "4.4.3": Deferred}
    assert isinstance(outcome, Bounced | Deferred)
    assert type(outcome) is kinds[enhanced]
    assert (enhanced, Scope.SITE) == (outcome.reply.enhanced, outcome.scope)


@pytest.mark.parametrize("answer", [NoSuchName(), NoRecords()])
def test_a_domain_with_an_address_is_its_own_exchanger(answer: NoSuchName | NoRecords) -> None:
    own = Addresses(("192.0.2.1",))

    assert without_exchangers("mx.example", answer, own, OURS) == (("mx.example",),)
    assert isinstance(without_exchangers("relay.example", answer, own, OURS), Deferred)


@pytest.mark.parametrize(
    ("addresses", "others"),
    [
        (("192.0.2.1",), ("192.0.2.1",)),
        (("127.0.0.1", "192.0.2.1"), ("192.0.2.1",)),
        (("192.0.2.1", "2001:db8::1"), ("192.0.2.1", "2001:db8::1")),
    ],
)
def test_never_to_ourselves(addresses: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert others == addresses_of("mx.example", Addresses(addresses), OURS)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_an_exchanger_that_is_this_machine_is_a_loop(address: str) -> None:
    outcome = addresses_of("mx.example", Addresses((address, "::ffff:127.0.0.1")), OURS)

    assert isinstance(outcome, Unconfirmed)
    assert outcome.reply.enhanced == "4.4.6"


def test_private_addresses_are_never_final() -> None:
    """The operator may have forgotten to allow that network."""
    outcome = addresses_of("mx.example", Addresses(("10.1.2.3",)), OURS)

    assert type(outcome) is Deferred
    assert outcome.reply.enhanced == "4.4.4"


def test_the_operator_may_mean_this_machine() -> None:
    assert addresses_of("localhost", Addresses(("127.0.0.1",))) == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (NoSuchName(), Unconfirmed),
        (NoRecords(), Unconfirmed),
        (LookupFailed("SERVFAIL"), Deferred),
    ],
)
def test_a_host_without_address_is_deferred(answer: AddressAnswer, kind: type[Deferred]) -> None:
    assert type(addresses_of("mx.example", answer, OURS)) is kind


@pytest.mark.parametrize(
    ("final", "said"),
    [
        (without_exchangers("user.example", NoSuchName(), NoSuchName(), OURS), "550 5.1.2"),
        (hosts_by_preference("user.example", mx((0, "")), OURS), "556 5.1.10"),
        (without_exchangers("user.example", NoRecords(), NoRecords(), OURS), "550 5.4.4"),
        (addresses_of("mx.user.example", NoSuchName()), "550 5.4.4"),
    ],
)
def test_what_dns_denies_is_a_domain_that_is_gone(final: object, said: str) -> None:
    """So it is counted against the address, and suppresses it if it was gone twice."""
    bounced = final.final if isinstance(final, Unconfirmed) else final

    assert isinstance(bounced, Bounced)
    assert bounced.answer is not None
    assert bounced.judged is not None
    failure = failure_of(bounced.answer, bounced.judged)
    assert failure is not None
    assert (AnswerClass.DOMAIN_GONE, FailureWeight.GONE) == (failure.kind, failure.weight)
    assert failure.answer.startswith(said)


def test_a_loop_is_nothing_against_the_address() -> None:
    """The mistake may be ours."""
    looped = addresses_of("mx.example", Addresses(("127.0.0.1",)), OURS)

    assert isinstance(looped, Unconfirmed)
    assert looped.final.answer is not None
    assert looped.final.judged is not None
    assert failure_of(looped.final.answer, looped.final.judged) is None
