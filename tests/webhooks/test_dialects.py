"""Events in the forms of others, each field by field."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from posthouse.webhooks.dialects import DIALECTS, AnswerVerdict
from posthouse.webhooks.occurrence import Occurrence

AT = datetime(2026, 11, 30, 14, 0, 1, 250000, tzinfo=UTC)
REFUSED = {"code": 550, "enhanced": "5.1.1", "reply": "no such user", "host": "mx.a.example"}


def an_event(kind: str, **changes: Any) -> Occurrence:
    known: dict[str, Any] = {
        "id": UUID(int=1),
        "kind": kind,
        "at": AT,
        "sequence": 3,
        "account": "shop",
        "submission_id": UUID(int=2),
        "delivery_id": UUID(int=3),
        "recipient": "ann@a.example",
        "sender": "shop@b.example",
        "tags": ("order",),
        "metadata": {"order": 7},
        **changes,
    }
    known["metadata"] = msgspec.Raw(msgspec.json.encode(known["metadata"]))
    return Occurrence(**known)


def sent(dialect: str, *events: Occurrence, retries: int = 0) -> Any:
    form = DIALECTS[dialect]
    body = b",".join(written for event in events for written in form.render(event))
    return json.loads(form.wrap(UUID(int=9), AT, retries, body))


def test_C27_an_array_of_categories() -> None:
    bounced = an_event("bounced", detail=REFUSED | {"class": "no such mailbox"})
    blocked = an_event(
        "bounced", detail=REFUSED | {"class": "content"}, metadata={"uid": "x" * 101}
    )
    kinds = ("opened", "clicked", "unsubscribed", "complained", "suppressed", "delivered")
    told = sent("critsend", bounced, blocked, *map(an_event, kinds))
    assert {
        "category": "bounce",
        "date": "2026-11-30T14:00:01.250Z",
        "recipient": "ann@a.example",
        "mx": "mx.a.example",
        "tags": ["order"],
        "uid": UUID(int=1).hex,
        "status-code": "5.1.1",
        "diagnostic-code": "550 5.1.1 no such user",
    } == told[0]
    categories = [event["category"] for event in told[1:]]
    assert ["blocked", "open", "click", "unsubscribed", "spam_report", "filtered"] == categories
    assert "x" * 100 == told[1]["uid"]
    assert timedelta(minutes=5) == DIALECTS["critsend"].gather


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, AnswerVerdict.TAKEN),
        (204, AnswerVerdict.TAKEN),
        (302, AnswerVerdict.GIVEN_UP),
        (404, AnswerVerdict.GIVEN_UP),
        (500, AnswerVerdict.RETRY),
        (503, AnswerVerdict.RETRY),
    ],
)
def test_C27_only_failures_of_the_server_are_tried_again(
    status: int, verdict: AnswerVerdict
) -> None:
    assert verdict == DIALECTS["critsend"].judge(status)


def test_T26_a_batch_says_how_often_it_was_sent() -> None:
    accepted = an_event(
        "accepted", recipient="", delivery_id=None, recipients=("a@a.example", "b@a.example")
    )
    delayed = an_event("deferred", detail=REFUSED, recipient_kind="bcc")
    told = sent("sparkpost", accepted, delayed, an_event("suppressed"), retries=2)
    assert (UUID(int=9).hex, 2) == (told["batchId"], told["retryCount"])
    first, second, last = told["events"]
    assert ["injection", "injection"] == [first["status"], second["status"]]
    assert ["a@a.example", "b@a.example"] == [first["recipient"], second["recipient"]]
    assert first["eventId"] != second["eventId"]
    assert {
        "status": "delay",
        "eventId": UUID(int=1).hex,
        "timestamp": "2026-11-30T14:00:01.250Z",
        "messageId": UUID(int=3).hex,
        "transmission_id": UUID(int=2).hex,
        "rcpt_type": "bcc",
        "sender": "shop@b.example",
        "sendingIp": None,
        "recipient": "ann@a.example",
        "recipientMeta": {"order": 7},
        "tags": ["order"],
        "campaign_id": None,
        "reason": "no such user",
        "errorCode": 550,
    } == last
    (known,) = sent("sparkpost", an_event("delivered", detail={"source": "192.0.2.7"}))["events"]
    assert "192.0.2.7" == known["sendingIp"]
    click = {"verdict": "human", "link": 0, "target": "https://a.example/", "agent": "Mail/1"}
    (clicked,) = sent("sparkpost", an_event("clicked", detail=click))["events"]
    assert "https://a.example/" == clicked["targetLinkUrl"]
    statuses = [
        e["status"]
        for k in ("bounced", "opened", "clicked", "delivered")
        for e in sent("sparkpost", an_event(k))["events"]
    ]
    assert ["bounce", "open", "click", "delivery"] == statuses


def test_of_a_click_what_the_tracking_service_wrote() -> None:
    written = {
        "verdict": "human",
        "rule": "r",
        "rules": "1",
        "link": 0,
        "target": "https://a.example/",
    }
    (told,) = sent("native", an_event("clicked", detail=written | {"client": "::1", "agent": "x"}))[
        "data"
    ]
    assert {
        "verdict": "human",
        "rule": "r",
        "url": "https://a.example/",
        "client": "::1",
        "user_agent": "x",
    } == told["detail"]
