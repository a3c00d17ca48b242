"""What follows from an attempt."""

from datetime import timedelta

import pytest

from dispatcher.core.next_action import (
    MINIMUM_TRIES,
    NextAction,
    expired_untried,
    is_dead,
    next_action,
)
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Scope, Uncertain
from posthouse.mail.reply import Reply

LATER = Reply(451, "later", "4.3.0")


def concluded(outcome: Outcome, *, tries: int = 1, expired: bool = False) -> NextAction:
    """What follows for a normal message."""
    return next_action(outcome, lane=Lane.NORMAL, tries=tries, expired=expired, jitter=0.5)


def test_delivered_is_the_last_word() -> None:
    """Nothing comes after a 250 to the dot."""
    found = concluded(Delivered(Reply(250, "taken", "2.0.0")))

    assert (EventKind.DELIVERED, None, False) == (found.kind, found.wait, found.suppress)
    assert "taken" == found.detail["reply"]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Deferred(LATER, Scope.HOST), EventKind.DEFERRED),
        (Uncertain(Reply(0, "cut")), EventKind.UNCERTAIN),
    ],
)
def test_what_is_not_final_comes_again(outcome: Outcome, kind: EventKind) -> None:
    """Deferred and uncertain are tried again; the event says when."""
    found = concluded(outcome)

    assert kind == found.kind
    assert timedelta(minutes=1) == found.wait
    assert 60 == found.detail["wait_seconds"]


def test_age_ends_what_was_tried_enough() -> None:
    """Five days old and really tried: given up."""
    found = concluded(Deferred(LATER, Scope.SITE), tries=MINIMUM_TRIES, expired=True)

    assert (EventKind.EXPIRED, None) == (found.kind, found.wait)


def test_a_clock_that_jumped_does_not_end_what_was_hardly_tried() -> None:
    """The first attempts count more than the calendar."""
    found = concluded(Deferred(LATER, Scope.SITE), tries=1, expired=True)

    assert EventKind.DEFERRED == found.kind


@pytest.mark.parametrize(
    ("reply", "scope", "dead"),
    [
        (Reply(550, "no such user", "5.1.1"), Scope.RECIPIENT, True),
        (Reply(550, "moved", "5.1.6"), Scope.RECIPIENT, True),
        (Reply(550, "disabled", "5.2.1"), Scope.RECIPIENT, True),
        (Reply(550, "no such user"), Scope.RECIPIENT, True),
        (Reply(552, "mailbox full", "5.2.2"), Scope.RECIPIENT, False),
        (Reply(554, "no"), Scope.RECIPIENT, False),
        (Reply(550, "blocked", "5.7.1"), Scope.SENDER, False),
        (Reply(550, "no such user", "5.1.1"), Scope.SITE, False),
        (Reply(554, "spam", "5.6.0"), Scope.MESSAGE, False),
    ],
)
def test_only_a_mailbox_that_does_not_exist_is_dead(
    reply: Reply, scope: Scope, *, dead: bool
) -> None:
    """A reputation block or a full mailbox does not suppress."""
    bounced = Bounced(reply, scope)

    assert dead is is_dead(bounced)
    found = concluded(bounced)
    assert (EventKind.BOUNCED, None, dead) == (found.kind, found.wait, found.suppress)
    assert scope.value == found.detail["scope"]


def test_too_old_to_be_tried_is_expired() -> None:
    """A delivery that waited past its time ends without an attempt."""
    assert (EventKind.EXPIRED, None, False) == (
        expired_untried().kind,
        expired_untried().wait,
        expired_untried().suppress,
    )
