"""What follows from an attempt."""

from datetime import timedelta

import pytest

from dispatcher.core.classify import classify_refusal, unreachable
from dispatcher.core.next_action import (
    MINIMUM_TRIES,
    NextAction,
    expired_untried,
    next_action,
)
from posthouse.answers import RULES_VERSION, Stage
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Deferred, Delivered, Outcome, Uncertain
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

LATER = Reply(451, "later", "4.3.0")


def concluded(outcome: Outcome, *, tries: int = 1, expired: bool = False) -> NextAction:
    """What follows for a normal message."""
    return next_action(outcome, lane=Lane.NORMAL, tries=tries, expired=expired, jitter=0.5)


def test_delivered_is_the_last_word() -> None:
    """Nothing comes after a 250 to the dot."""
    found = concluded(Delivered(Reply(250, "taken", "2.0.0")))

    assert (EventKind.DELIVERED, None) == (found.kind, found.wait)
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
    ("reply", "stage", "dead"),
    [
        (Reply(550, "no such user", "5.1.1"), Stage.RCPT, True),
        (Reply(550, "moved", "5.1.6"), Stage.RCPT, True),
        (Reply(550, "no such user"), Stage.RCPT, True),
        (Reply(550, "no such user"), Stage.MAIL, False),
        (Reply(550, "no"), Stage.RCPT, False),
        (Reply(550, "disabled", "5.2.1"), Stage.RCPT, False),
        (Reply(552, "mailbox full", "5.2.2"), Stage.RCPT, False),
        (Reply(550, "Sender verify failed"), Stage.RCPT, False),
        (Reply(550, "blocked", "5.7.1"), Stage.RCPT, False),
        (Reply(554, "spam", "5.6.0"), Stage.DOT, False),
    ],
)
def test_only_a_mailbox_that_does_not_exist_is_dead(
    reply: Reply, stage: Stage, *, dead: bool
) -> None:
    """A block, a full mailbox or a callout of our own address does not suppress."""
    refused = classify_refusal(reply, stage)

    assert refused.judged is not None
    assert dead is refused.judged.suppresses
    assert (EventKind.BOUNCED, None) == (concluded(refused).kind, concluded(refused).wait)


def test_the_event_says_class_rule_and_version() -> None:
    """So that an entry of a list can be explained, and found when the rule is corrected."""
    refused = classify_refusal(Reply(550, "no such user", "5.1.1"), Stage.RCPT)

    assert {
        "code": 550,
        "enhanced": "5.1.1",
        "reply": "no such user",
        "scope": "recipient",
        "class": "no such mailbox",
        "rule": "no such user",
        "rules": RULES_VERSION,
    } == concluded(refused).detail


def test_a_failure_without_an_answer_has_no_class() -> None:
    """Nobody said anything that could be judged."""
    assert "class" not in concluded(unreachable("connection refused")).detail


def test_the_event_keeps_the_start_of_a_long_reply() -> None:
    """Its attempt keeps the whole; the event is a line of the log too."""
    outcome = classify_refusal(Reply(550, "no " * 20_000), Stage.RCPT)
    said = concluded(outcome).detail["reply"]
    assert ("no " * 20_000).startswith(said)
    assert 2_000 == len(said)


def test_too_old_to_be_tried_is_expired() -> None:
    """A delivery that waited past its time ends without an attempt."""
    assert (EventKind.EXPIRED, None) == (expired_untried().kind, expired_untried().wait)
