"""What happened to a message, told."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from command.timeline_text import duration, tell
from posthouse.store.timeline import Timeline

NOON = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
ID = UUID(int=int(NOON.timestamp() * 1000) << 80)
DELIVERY = UUID(int=7)

SUBMISSION: dict[str, Any] = {
    "id": ID,
    "sender": "a@x.example",
    "credential_id": UUID(int=2),
    "recipients": ["b@y.example", "c@y.example"],
    "lane": 1,
    "size": 2048,
    "client": "192.0.2.1",
    "username": "shop",
    "tls": "TLSv1.3",
    "attributes": None,
}
ATTEMPT: dict[str, Any] = {
    "delivery_id": DELIVERY,
    "claim": 1,
    "finished_at": NOON,
    "outcome": "deferred",
    "host": "mx.y.example",
    "tls": "",
    "code": 451,
    "enhanced": "4.7.1",
    "reply": "come back",
}


def delivery(**fields: object) -> dict[str, Any]:
    return {"id": DELIVERY, "recipient": "b@y.example", "due_at": None, "held": False, **fields}


def event(kind: str, detail: dict[str, Any] | None = None, **fields: object) -> dict[str, Any]:
    return {"at": NOON, "kind": kind, "delivery_id": None, "detail": detail, **fields}


def test_who_unsubscribes_and_comes_back_is_told_with_what_and_how() -> None:
    news = {"scopes": ["stream:news"], "by": "one click"}
    everything = {"scopes": ["tag:a", ""], "by": "the page", "listed": "unsubscribe"}
    by_provider = {"source": "opt_out", "listed": "unsubscribe"}
    events = [
        event("unsubscribed", everything, delivery_id=DELIVERY),
        event("resubscribed", news, delivery_id=DELIVERY),
        event("unsubscribed", by_provider, delivery_id=DELIVERY),
    ]
    assert [line[16:] for line in tell(Timeline(SUBMISSION, [delivery()], [], events))][2:] == [
        (
            "unsubscribed b@y.example: from tag a and all mail of the account, by the page,"
            " put on the list: unsubscribe"
        ),
        "resubscribed b@y.example: to stream news, by one click",
        "unsubscribed b@y.example: source opt_out, put on the list: unsubscribe",
    ]


def test_an_event_and_the_attempt_it_reports_are_one_line() -> None:
    deferred = event("deferred", {"wait_seconds": 300}, delivery_id=DELIVERY)
    story = list(tell(Timeline(SUBMISSION, [delivery()], [ATTEMPT], [deferred])))
    assert story == [
        f"message {ID.hex}, 2026-07-01",
        (
            "  from a@x.example to b@y.example and 1 more, lane very-high, 2.0 KiB, "
            "by shop at 192.0.2.1 over TLSv1.3"
        ),
        (
            "  12:00:00.000  deferred   b@y.example by mx.y.example without TLS, "
            "next try 12:05:00: 451 4.7.1 come back"
        ),
    ]


def test_an_attempt_without_an_event_is_told_all_the_same() -> None:
    story = list(tell(Timeline(SUBMISSION, [delivery()], [ATTEMPT], [])))
    assert "451 4.7.1 come back" in story[-1]


def test_a_suppressed_recipient_and_the_signing_keys_are_named() -> None:
    prepared = event("prepared", {"deliveries": 1, "signed": ["s._domainkey.x.example"]})
    suppressed = event("suppressed", {"recipient": "c@y.example"})
    story = list(tell(Timeline(SUBMISSION, [], [], [prepared, suppressed])))
    assert story[2].endswith("1 delivery, signed by s._domainkey.x.example")
    assert story[3].endswith("c@y.example: on the suppression list, not attempted")


def test_what_a_profile_did_is_told_by_its_rule() -> None:
    discarded = event("recipient_discarded", {"recipient": "d@y.example", "rule": "one Bcc"})
    alert = {"alert": "unauthorized_sender", "address": "boss@else.example", "field": "From"}
    story = list(tell(Timeline(SUBMISSION, [], [], [discarded, event("alerted", alert)])))
    assert story[2:] == [
        "  12:00:00.000  recipient_discarded d@y.example: gets no copy, by the rule one Bcc",
        (
            "  12:00:00.000  alerted    its account hears of an unauthorized sender: "
            "boss@else.example in From"
        ),
    ]


def test_an_unsigned_message_says_so() -> None:
    story = list(tell(Timeline(SUBMISSION, [], [], [event("prepared", {"deliveries": 2})])))
    assert story[2].endswith("2 deliveries, not signed")


def test_an_event_without_words_of_its_own_shows_its_facts() -> None:
    returned = event("replied", {"rule": "automatic reply", "rules": 1}, delivery_id=DELIVERY)
    story = list(tell(Timeline(SUBMISSION, [delivery()], [], [returned])))
    assert story[-1].endswith("b@y.example: rule automatic reply, rules 1")


def test_what_still_waits_says_until_when() -> None:
    waiting = delivery(
        due_at=NOON,
        leased=False,
        tries=2,
        parked_at="y.example",
        expires_at=NOON + timedelta(days=2),
    )
    story = list(tell(Timeline(SUBMISSION, [waiting], [], [])))
    assert story[-1].endswith(
        "b@y.example: after 2 tries, next 2026-07-01 12:00:00, parked at y.example, "
        "given up 2026-07-03 12:00"
    )


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (0.04, 59.0, 60.0, 7200.0, 90000.0)] == [
        "0.0 s",
        "59.0 s",
        "1 min",
        "2 h",
        "1 d",
    ]


def test_a_report_that_came_back_is_told_with_its_evidence() -> None:
    detail = {
        "status": "5.1.1",
        "diagnostic": "smtp; 550 no such user",
        "reporting_mta": "mx.y.example",
        "rule": "mailbox unknown by code",
    }
    story = list(
        tell(
            Timeline(SUBMISSION, [delivery()], [], [event("bounced", detail, delivery_id=DELIVERY)])
        )
    )
    assert story[-1].endswith(
        "b@y.example: report from mx.y.example: 5.1.1 (smtp; 550 no such user)"
    )


def test_a_reply_of_several_lines_cannot_forge_a_line_of_ours() -> None:
    """Nor hide one behind control characters of a terminal."""
    forged = (
        "no\n  12:00:00.001  delivered  b@y.example by mx.y.example: 250 ok\n\x1b[2K\u202eyes\r!"
    )
    attempt = {**ATTEMPT, "reply": forged}
    bounced = event("bounced", {}, delivery_id=DELIVERY)
    story = list(tell(Timeline(SUBMISSION, [delivery()], [attempt], [bounced])))
    assert story[2:] == [
        "  12:00:00.000  bounced    b@y.example by mx.y.example without TLS: 451 4.7.1 no",
        "                |   12:00:00.001  delivered  b@y.example by mx.y.example: 250 ok",
        "                | \\x1b[2K\\u202eyes\\r!",
    ]


def test_the_text_of_a_report_cannot_either() -> None:
    detail = {"status": "5.1.1", "diagnostic": "no\n  12:00:00.001  delivered  b@y.example"}
    returned = {"subject": "a\nmessage 01", "excerpt": "x\x00"}
    story = list(
        tell(
            Timeline(
                SUBMISSION,
                [delivery()],
                [],
                [
                    event("bounced", detail, delivery_id=DELIVERY),
                    event("returned", returned, delivery_id=DELIVERY),
                ],
            )
        )
    )
    assert [
        "  12:00:00.000  bo",
        "                | ",
        "  12:00:00.000  re",
        "                | ",
    ] == [line[:18] for line in story[2:]]
    assert "\\x00" in story[-1]


def test_the_timeline_says_what_put_an_address_on_a_list() -> None:
    detail = {"listed": "hard", "rule": "no such mailbox", "rules": "2"}
    bounced = event("bounced", detail, delivery_id=DELIVERY)
    complained = event("complained", {"listed": "complaint", "rule": "arf"}, delivery_id=DELIVERY)
    story = list(tell(Timeline(SUBMISSION, [delivery()], [ATTEMPT], [bounced, complained])))
    assert story[2].endswith(
        "without TLS, put on the list: hard bounce by the rule 'no such mailbox': "
        "451 4.7.1 come back"
    )
    assert story[3].endswith("b@y.example: rule arf, put on the list: complaint by the rule 'arf'")


def test_opens_and_clicks_say_who_it_was_and_why_we_think_so() -> None:
    clicked = event(
        "clicked",
        {
            "verdict": "human",
            "rule": "browser",
            "link": 2,
            "target": "https://shop.example/\x1b",
            "client": "192.0.2.7",
            "agent": "Mozilla/5.0",
        },
        delivery_id=DELIVERY,
    )
    opened = event("opened", {"verdict": "machine", "rule": "gmail proxy"}, delivery_id=DELIVERY)
    unknown = event("opened", {"verdict": "unknown"}, delivery_id=DELIVERY)
    story = list(tell(Timeline(SUBMISSION, [delivery()], [], [clicked, opened, unknown])))
    assert [
        (
            "  12:00:00.000  clicked    b@y.example: by a person by the rule 'browser', "
            "at 192.0.2.7 with Mozilla/5.0: link 2, https://shop.example/\\x1b"
        ),
        "  12:00:00.000  opened     b@y.example: by a machine by the rule 'gmail proxy'",
        "  12:00:00.000  opened     b@y.example: by a person or a machine",
    ] == story[2:]


def test_a_suppressed_recipient_is_told_by_which_entry() -> None:
    detail = {
        "recipient": "c@y.example",
        "list": "unsubscribe",
        "scope": "tag:news",
        "entry": "@y.example",
        "reason": "by hand",
        "since": "2026-06-01T10:30:00+00:00",
    }
    story = list(tell(Timeline(SUBMISSION, [], [], [event("suppressed", detail)])))
    assert story[-1].endswith(
        "c@y.example: on the unsubscribe list as @y.example for tag news since 2026-06-01 10:30 "
        "(by hand), not attempted"
    )


def test_mail_that_the_operator_holds_says_why() -> None:
    why = ", by the operator (a look): until `posthouse queue release`"
    held = delivery(due_at=NOON, leased=False, held=True, hold_reason="a look", tries=2)
    story = list(tell(Timeline(SUBMISSION, [held], [], [])))
    assert f"  held          b@y.example: after 2 tries{why}" == story[-1]
    new = list(tell(Timeline({**SUBMISSION, "hold_reason": "a look"}, [], [], [])))
    assert f"  held          before it is prepared{why}" == new[-1]


def test_mail_of_a_held_account_says_why_it_waits() -> None:
    """With policy, where it has no delivery yet, and with dispatchers."""
    hold = {"held_at": NOON, "reason": "not paid", "waits": True}
    line = (
        "  held          its account is held since 2026-07-01 12:00 (not paid): "
        "it waits until the operator releases the account"
    )
    assert line == list(tell(Timeline(SUBMISSION, [], [], [], hold)))[-1]
    held = delivery(due_at=NOON, leased=False, held=True, tries=2, parked_at="y.example")
    story = list(tell(Timeline(SUBMISSION, [held], [], [], {**hold, "waits": False})))
    assert ["  held          b@y.example: after 2 tries", line] == story[-2:]
    sent = list(tell(Timeline(SUBMISSION, [delivery()], [], [], {**hold, "waits": False})))
    assert not any("held" in told for told in sent)


def test_what_the_sender_asked_about_reports_is_shown_as_it_was_given() -> None:
    notify = {f"u{n}@y.example": {"notify": ["success", "delay"]} for n in range(21)}
    dsn = {"ret": "hdrs", "envid": "a b", "recipients": {"b@y.example": {"notify": []}} | notify}
    story = list(tell(Timeline(SUBMISSION | {"attributes": {"dsn": dsn}}, [], [], [])))
    assert story[2:5] == [
        "  asks for RET=HDRS ENVID=a+20b",
        "  asks about b@y.example NOTIFY=NEVER",
        "  asks about u0@y.example NOTIFY=SUCCESS,DELAY",
    ]
    assert story[23:] == ["  asks about 2 more"]


def test_a_result_says_who_reports_it() -> None:
    attempt = ATTEMPT | {"outcome": "delivered", "code": 250, "enhanced": "2.0.0", "reply": "ok"}
    taken = event("delivered", {"dsn": "relayed"}, delivery_id=DELIVERY)
    story = list(tell(Timeline(SUBMISSION, [delivery()], [attempt], [taken])))
    assert story[2].endswith("by mx.y.example without TLS, report: relayed: 250 2.0.0 ok")


def test_a_message_that_came_again_is_told_of_with_its_key_and_how_long_it_counts() -> None:
    until = {"known_until": "2026-07-01T13:00:00.123456+00:00"}
    other = UUID(int=9)
    events = [
        event("resubmitted", {**until, "key": "order-1"}),
        event("resubmitted", {**until, "accepted_as": str(other)}),
        event("resubmitted", {**until, "repeats": str(other)}),
    ]
    story = [text[27:].strip() for text in tell(Timeline(SUBMISSION, [], [], events))]
    known = "(known until 2026-07-01 13:00)"
    assert story[2:] == [
        f"its client submitted it again under the key order-1 {known}, and heard the same id",
        f"its client submitted it again in the same octets {known}: accepted as {other.hex}",
        f"a repeat of {other.hex}, in the same octets {known}",
    ]
