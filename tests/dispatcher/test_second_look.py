"""Failures that are final only if they are the same some minutes later."""

from dispatcher.core.second_look import (
    APART_SECONDS,
    FORGOTTEN_SECONDS,
    MOST_REMEMBERED,
    SecondLook,
    Unconfirmed,
    unconfirmed,
)
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope


def seen(enhanced: str = "5.4.4") -> Unconfirmed:
    return unconfirmed(Bounced(Reply(550, "no way", enhanced), Scope.SITE))


def kinds(look: SecondLook, *times: float) -> list[type]:
    return [type(look.at("dest.example", seen(), now)) for now in times]


def test_the_first_look_defers_with_a_temporary_code() -> None:
    found = SecondLook().at("dest.example", seen(), 0)

    assert Deferred(Reply(451, "no way", "4.4.4"), Scope.SITE) == found
    assert type(found) is Deferred


def test_the_same_minutes_later_is_final_and_not_before() -> None:
    looks = kinds(SecondLook(), 0, 1, 60, APART_SECONDS - 1, APART_SECONDS)

    assert [Deferred] * 4 + [Bounced] == looks


def test_once_it_is_sure_it_is_so_for_other_mail_too_but_not_for_ever() -> None:
    looks = kinds(SecondLook(), 0, APART_SECONDS, FORGOTTEN_SECONDS, FORGOTTEN_SECONDS + 1)

    assert [Deferred, Bounced, Bounced, Deferred] == looks


def test_another_reason_begins_anew() -> None:
    look = SecondLook()
    look.at("dest.example", seen("5.4.6"), 0)

    assert [Deferred, Bounced] == kinds(look, APART_SECONDS, 2 * APART_SECONDS)


def test_a_look_that_disagrees_begins_anew() -> None:
    look = SecondLook()
    look.at("dest.example", seen(), 0)
    look.disagrees("dest.example")

    assert [Deferred, Bounced] == kinds(look, APART_SECONDS, 2 * APART_SECONDS)


def test_one_domain_says_nothing_of_another() -> None:
    look = SecondLook()
    look.at("other.example", seen(), 0)

    assert [Deferred] == kinds(look, APART_SECONDS)


def test_what_is_remembered_has_a_bound() -> None:
    look = SecondLook()
    look.at("dest.example", seen(), 0)
    for number in range(MOST_REMEMBERED):
        look.at(f"d{number}.example", seen(), 0)

    assert [Deferred] == kinds(look, APART_SECONDS)
