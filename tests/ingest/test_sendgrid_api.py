"""POST /v3/mail/send: what is taken, what is refused, and what is said then."""

import asyncio
import json
import re
import threading
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from ingest.core.sendgrid_mail import MailSend
from posthouse.mail.permission import Permission
from posthouse.mail.rate_limit import Counted, LimitAction, Period, RateLimit
from posthouse.mail.secret import hash_secret
from posthouse.mail.terms import AcceptedBefore, KeyTaken
from posthouse.store import StoreUnavailable
from servers.door import PEPPER
from servers.http_door import BEARER, CALLER, Answer, HttpWireClient, OpenHttpDoor, RunningHttp
from servers.patience import until

PATH = "/v3/mail/send"
MAIL: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "x@there.example"}]}],
    "from": {"email": "jo@a.example"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hi there\n"}],
}
LONG = {"t": "a" * 1_000}  # substitutions
SANDBOX = {"mail_settings": {"sandbox_mode": {"enable": True}}}


def to(*addresses: str, **more: Any) -> dict[str, Any]:
    """A personalization."""
    return {"to": [{"email": address} for address in addresses], **more}


def many(*personalizations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**MAIL, "personalizations": list(personalizations), **more}


def error(answer: Answer) -> dict[str, Any]:
    """The one error of an answer, which has the form of SendGrid's."""
    assert "application/json" == answer.fields["content-type"]
    (found,) = answer.value["errors"]
    assert ["errors"] == list(answer.value)
    assert {"message", "field", "help"} == found.keys()
    return dict(found)


async def test_a_message_is_submitted_as_to_sendgrid(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    key = "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"
    login = replace(CALLER, secret_hash=hash_secret(key, PEPPER))
    http_door.directory.logins["user"] = login  # which was brought along
    answer = await http.post(PATH, MAIL, Authorization=f"Bearer {key}")

    (kept,) = http_door.intake.accepted
    assert (202, b"") == (answer.status, answer.body)
    assert kept.id.hex == answer.fields["x-message-id"]
    assert ("jo@a.example", ("x@there.example",)) == (kept.sender, kept.recipients)


async def test_its_id_is_told_in_the_letters_that_clients_look_for(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    """Some take the lines of the header as they are."""
    body = json.dumps(MAIL).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: {BEARER}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    await http.send(head.encode() + body)
    answer = await http.reader.readuntil(b"\r\n\r\n")
    (kept,) = http_door.intake.accepted
    assert f"\r\nX-Message-Id: {kept.id.hex}\r\n".encode() in answer


async def test_each_personalization_is_a_message(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    mail = many(
        to("a@there.example", substitutions={"-n-": "Ann"}, subject="For -n-"),
        to("b@there.example", "c@there.example", cc=[{"email": "d@there.example"}]),
        subject="For all",
        content=[{"type": "text/plain", "value": "Hi -n-"}],
    )
    answer = await http.post(PATH, mail)

    assert 202 == answer.status
    first, second = http_door.intake.accepted
    assert first.id.hex == answer.fields["x-message-id"]
    assert [1, 3] == [len(first.recipients), len(second.recipients)]
    assert b"\r\nSubject: For Ann\r\n" in first.header
    assert b"\r\nSubject: For all\r\n" in second.header
    assert [b"Hi Ann\r\n", b"Hi -n-\r\n"] == [first.body, second.body]
    assert b"there.example" not in first.header.replace(b"a@there.example", b"")


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (many(to("a@b.example"), to("b@")), "personalizations.1.to.0.email", "'b@' is not a mail"),
        (many(to("a@b.example"), {}), "personalizations.1", "missing required field `to`"),
        (many(to()), "personalizations.0.to", "length >= 1"),
        (many(), "personalizations", "length >= 1"),
        (
            many(*(to(*(f"a{n}@b.example" for n in range(501))) for _ in range(2))),
            "personalizations",
            "1002 recipients seen, at most 1000",
        ),
        (
            many(to("a@b.example", cc=[{"email": "A@B.example"}])),
            "personalizations.0.cc.0.email",
            "'A@B.example' is given twice",
        ),
        ({"from": {"email": "John Doe"}}, "from.email", "not a mail address"),
        ({"from": {"email": "jo@a.example", "nam": "x"}}, "from.nam", "there is no field 'nam'"),
        ({"from": {"email": "jo@a.example", "name": "a\r\nBcc: x"}}, "from.name", "control"),
        ({"subject": ""}, "subject", "length >= 1"),
        ({"subject": "a\r\nBcc: x@b.example"}, "subject", "control character"),
        (
            many(to("a@b.example", substitutions={"-n-": "a\nBcc: x@b.example"}), subject="-n-"),
            "subject",
            "control character",
        ),
        (
            many(to("a@b.example", subject="-n-", substitutions={"-n-": "a\nBcc: x@b.example"})),
            "personalizations.0.subject",
            "control character",
        ),
        (
            many(
                to("a@b.example", substitutions={"-n-": "x>\r\nBcc: x@b.example"}),
                reply_to={"email": "re@a.example", "name": "-n-"},
            ),
            "reply_to.name",
            "control character",
        ),
        (
            many(to("a@b.example", substitutions={"-n-": "x" * 10_000})),
            "personalizations.0.substitutions",
            "10003 octets seen, at most 10000",
        ),
        (
            many(to("a@b.example", substitutions={"": "x"})),
            "personalizations.0.substitutions",
            "one character at least",
        ),
        (
            many(to("a@b.example", substitutions={f"{n:03}": "" for n in range(1_001)})),
            "personalizations.0.substitutions",
            "1001 seen, at most 1000",
        ),
        (
            many(to("a@b.example", headers={"X-A": "a\r\nBcc: x@b.example"})),
            "personalizations.0.headers.X-A",
            "control character",
        ),
        ({"headers": {"X-A": "a\nb"}}, "headers.X-A", "control character"),
        ({"headers": {"bcc": "x@b.example"}}, "headers.bcc", "made of the other fields"),
        ({"headers": {"Content-Type": "a/b"}}, "headers.Content-Type", "made of the other"),
        ({"headers": {"X-SG-EID": "1"}}, "headers.X-SG-EID", "is reserved"),
        ({"headers": {"X-Posthouse-Tag": "1"}}, "headers.X-Posthouse-Tag", "not allowed"),
        ({"headers": {"X-A": 1}}, "headers", "Expected `str`, got `int`"),
        (
            many(to("a@b.example", headers={"dkim-signature": "v"})),
            "personalizations.0.headers.dkim-signature",
            "not allowed",
        ),
        ({"content": []}, "content", "length >= 1"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value", "length >= 1"),
        (
            {"content": [{"type": "image/png", "value": "x"}]},
            "content.0.type",
            "'image/png' seen, a type of text",
        ),
        (
            {"content": [{"type": "text/x\r\nX: y", "value": "x"}]},
            "content.0.type",
            "a type of text",
        ),
        ({"content": MAIL["content"] * 2}, "content.1.type", "text/plain is given twice"),
        ({"attachments": [{"content": "YWJj"}]}, "attachments.0", "missing required field"),
        (
            {"attachments": [{"content": "!", "filename": "a"}]},
            "attachments.0.content",
            "no base64",
        ),
        (
            {"attachments": [{"content": "YWJj", "filename": "a\nb"}]},
            "attachments.0.filename",
            "control character",
        ),
        (
            {"attachments": [{"content": "YWJj", "filename": "a", "type": "a/b\r\nX: y"}]},
            "attachments.0.type",
            "a type such as",
        ),
        (
            {"attachments": [{"content": "YWJj", "filename": "a", "disposition": "x"}]},
            "attachments.0.disposition",
            "Invalid enum value",
        ),
        (
            {"attachments": [{"content": "YWJj", "filename": "a", "content_id": "a>\r\nb"}]},
            "attachments.0.content_id",
            "printable",
        ),
        (
            {"attachments": [{"content": "w6k=", "filename": "a", "type": "message/rfc822"}]},
            "attachments.0.content",
            "is in ASCII",
        ),
        (
            {"reply_to": {"email": "a@b.example"}, "reply_to_list": [{"email": "a@b.example"}]},
            "reply_to_list",
            "one of them",
        ),
        ({"categories": ["a"] * 2}, "categories.1", "'a' is given twice"),
        ({"categories": ["ä"]}, "categories.0", "ASCII is allowed"),
        ({"categories": [f"{n}" for n in range(11)]}, "categories", "length <= 10"),
        ({"custom_args": {"a": 1}}, "custom_args", "Expected `str`, got `int`"),
        (
            {"custom_args": {"a": "x" * 10_000}},
            "personalizations.0.custom_args",
            "10001 octets seen",
        ),
        ({"send_at": "2026-01-01"}, "send_at", "Expected `int"),
        ({"subjekt": "x"}, "subjekt", "there is no field 'subjekt' here"),
        ({"mail_settings": {"sandbox_mode": {"enable": "true"}}}, None, "Expected `bool`"),
        ({"categories": ["x" * 65]}, None, "64"),  # a rule of the profile
        ({"send_at": 9_999_999_999}, None, "30 days ahead"),
    ],
)
async def test_what_is_wrong_is_said_in_the_form_of_sendgrid(
    http: HttpWireClient,
    http_door: RunningHttp,
    change: dict[str, Any],
    field: str | None,
    said: str,
) -> None:
    answer = await http.post(PATH, {**MAIL, **change})

    assert 400 == answer.status, answer.body
    found = error(answer)
    assert said in found["message"]
    if field is not None:
        assert field == found["field"]
    assert re.fullmatch("/v1/docs#(invalid|refused)", found["help"])
    assert not http_door.intake.accepted


async def test_a_subject_is_required(http: HttpWireClient) -> None:
    mail = many(to("a@b.example", subject="x"), to("c@d.example"))
    del mail["subject"]
    answer = await http.post(PATH, mail)
    assert (400, "subject") == (answer.status, error(answer)["field"])
    mail["personalizations"][1]["subject"] = "y"
    assert 202 == (await http.post(PATH, mail)).status


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        (to("b@"), 400, "personalizations.2.to.0.email"),
        (to("b@c.example", send_at=9_999_999_999), 400, "personalizations.2"),
        (
            to("b@c.example", **{"from": {"email": "x@foreign.example"}}),
            403,
            "personalizations.2.from",
        ),
    ],
)
async def test_all_are_accepted_or_none(
    http: HttpWireClient, http_door: RunningHttp, wrong: dict[str, Any], status: int, field: str
) -> None:
    others = [to(f"a{n}@b.example") for n in range(3)]
    answer = await http.post(PATH, many(*others[:2], wrong, others[2]))

    assert (status, field) == (answer.status, error(answer)["field"])
    assert not http_door.intake.accepted
    assert not http_door.intake.asked
    assert 202 == (await http.post(PATH, many(*others))).status
    assert 3 == len(http_door.intake.accepted)


async def test_U24_rate_limits_count_all_or_none(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(CALLER, is_limited=True)
    limit = RateLimit(Counted.MESSAGES, Period.MONTH, 3, LimitAction.REFUSE)
    http_door.directory.rates.limit(limit)
    assert 202 == (await http.post(PATH, MAIL)).status

    answer = await http.post(PATH, many(*(to(f"a{n}@b.example") for n in range(3))))
    assert 429 == answer.status
    assert int(answer.fields["retry-after"]) >= 1
    assert int(answer.fields["x-ratelimit-reset"]) > 1_700_000_000
    assert "0" == answer.fields["x-ratelimit-remaining"]
    assert "/v1/docs#too-many" == error(answer)["help"]
    assert 1 == len(http_door.intake.accepted)
    (count,) = http_door.directory.rates.counts
    assert 1 == count.used


async def test_a_sandboxed_request_is_checked_and_nothing_else(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(CALLER, is_limited=True)
    answer = await http.post(PATH, {**MAIL, **SANDBOX}, Idempotency_Key="k")
    assert (200, b"") == (answer.status, answer.body)
    assert "x-message-id" not in answer.fields
    foreign = {**MAIL, **SANDBOX, "from": {"email": "x@foreign.example"}}
    answer = await http.post(PATH, foreign)
    assert (403, "from") == (answer.status, error(answer)["field"])
    assert not http_door.intake.asked
    assert not http_door.directory.rates.asked


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"Authorization": ""}, 401, "Authorization is required"),
        ({"Authorization": "Bearer SG.wrong"}, 401, "is wrong"),
        ({"Content_Type": "text/plain"}, 415, "application/json is allowed"),
        ({"Content_Encoding": "gzip"}, 415, "Content-Encoding 'gzip' seen"),
        ({"On_Behalf_Of": "subuser"}, 400, "On-Behalf-Of is not supported"),
        ({"Idempotency_Key": "k" * 256}, 400, "1 to 255 printable"),
    ],
)
async def test_what_the_header_of_a_request_gets_wrong(
    http: HttpWireClient, http_door: RunningHttp, fields: dict[str, str], status: int, said: str
) -> None:
    answer = await http.post(PATH, MAIL, **fields)
    assert status == answer.status
    assert said in error(answer)["message"]
    assert not http_door.intake.accepted


async def test_another_method_is_refused_in_the_same_form(http: HttpWireClient) -> None:
    answer = await http.request("GET", PATH)
    assert (405, "POST") == (answer.status, answer.fields["allow"])
    assert "GET seen, POST is allowed" == error(answer)["message"]


async def test_a_user_without_the_permission_is_told_so(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(CALLER, permissions=frozenset({Permission.SMTP}))
    answer = await http.post(PATH, MAIL)
    assert 403 == answer.status
    assert "no permission http" in error(answer)["message"]


async def test_json_that_can_be_read_in_two_ways_is_refused(http: HttpWireClient) -> None:
    answer = await http.post(PATH, b'{"from": {"email": "a@a.example", "email": "b@a.example"}}')
    assert 400 == answer.status
    assert "'email' is given twice" in error(answer)["message"]


async def test_a_store_that_fails_is_a_reason_to_come_back(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.intake.failure = StoreUnavailable("away")
    answer = await http.post(PATH, many(to("a@b.example"), to("c@d.example")))
    assert (503, "1") == (answer.status, answer.fields["retry-after"])
    assert "/v1/docs#unavailable" == error(answer)["help"]


# Once only.


async def test_an_idempotency_key_is_that_of_the_whole_request(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    mail = many(*(to(f"a{n}@b.example") for n in range(3)))
    for _ in range(2):
        assert 202 == (await http.post(PATH, mail, Idempotency_Key="k")).status
    keys = [kept.terms.key for kept in http_door.intake.accepted]
    assert ["k", "k/1", "k/2"] * 2 == [key.text for key in keys if key]
    assert 1 == len({key.digest for key in keys if key})

    http_door.intake.answer = AcceptedBefore(UUID(int=7))
    answer = await http.post(PATH, mail, Idempotency_Key="k")
    assert (202, UUID(int=7).hex) == (answer.status, answer.fields["x-message-id"])
    http_door.intake.answer = KeyTaken(UUID(int=7))
    answer = await http.post(PATH, mail, Idempotency_Key="k")
    assert (400, "/v1/docs#key-taken") == (answer.status, error(answer)["help"])


async def test_its_longest_key_is_one(http: HttpWireClient, http_door: RunningHttp) -> None:
    assert 202 == (await http.post(PATH, MAIL, Idempotency_Key="k" * 255)).status
    two = many(to("a@b.example"), to("c@d.example"))
    assert 400 == (await http.post(PATH, two, Idempotency_Key="k" * 254)).status
    assert 1 == len(http_door.intake.accepted)


# Large ones.


async def test_a_thousand_personalizations(http: HttpWireClient, http_door: RunningHttp) -> None:
    mail = many(*(to(f"a{n}@b.example", substitutions={"-n-": str(n)}) for n in range(1_000)))
    assert 202 == (await http.post(PATH, mail)).status
    assert 1_000 == len(http_door.intake.accepted)
    assert 0 == http_door.context.memory.total


async def test_a_message_may_be_as_large_as_by_smtp(open_http: OpenHttpDoor) -> None:
    door = await open_http(message_octets=50_000)
    client = await door.connect()
    large = {**MAIL, "content": [{"type": "text/plain", "value": "some text\n" * 5_100}]}
    answer = await client.post(PATH, large)
    assert 413 == answer.status
    assert ("/v1/docs#too-large", None) == (error(answer)["help"], error(answer)["field"])


async def test_the_messages_of_a_request_have_a_limit_together(open_http: OpenHttpDoor) -> None:
    door = await open_http(octets_in_flight=400_000)
    client = await door.connect()
    text = [{"type": "text/plain", "value": "some text\n" * 3_000}]
    few = many(*(to(f"a{n}@b.example") for n in range(3)), content=text)
    assert 202 == (await client.post(PATH, few)).status
    assert 0 == door.context.memory.total
    answer = await client.post(PATH, many(*(to(f"a{n}@b.example") for n in range(9)), content=text))
    assert 413 == answer.status
    assert "at most 200000 are allowed: send several requests" in error(answer)["message"]
    assert re.fullmatch(r"personalizations\.\d", error(answer)["field"])
    assert 3 == len(door.intake.accepted)
    assert 0 == door.context.memory.total


@pytest.mark.parametrize(
    "texts",
    [
        {"content": [{"type": f"text/x{n}", "value": "t" * 30} for n in range(20)]},
        {"reply_to_list": [{"email": "a@b.example", "name": "t" * 30} for _ in range(20)]},
    ],
)
async def test_substitutions_make_no_message_larger_than_one_may_be(
    open_http: OpenHttpDoor, texts: dict[str, Any]
) -> None:
    """Each of its texts alone would be within the limit."""
    client = await (await open_http(message_octets=50_000)).connect()
    answer = await client.post(PATH, {**many(to("a@b.example", substitutions=LONG)), **texts})
    assert 400 == answer.status
    assert "larger than a message may be" in error(answer)["message"]


async def test_each_message_may_be_as_large(open_http: OpenHttpDoor) -> None:
    client = await (await open_http(message_octets=50_000)).connect()
    content = [{"type": "text/plain", "value": "t" * 30}]
    people = [to(f"a{n}@b.example", substitutions=LONG) for n in range(3)]
    assert 202 == (await client.post(PATH, many(*people, content=content))).status


async def test_messages_for_which_there_is_no_memory_are_a_reason_to_come_back(
    open_http: OpenHttpDoor,
) -> None:
    door = await open_http(octets_in_flight=200_000)
    content = [{"type": "text/plain", "value": "t" * 40}]
    mail = many(*(to(f"a{n}@b.example", substitutions=LONG) for n in range(2)), content=content)
    door.intake.open.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task((await door.connect()).post(PATH, mail))
        await until(lambda: door.intake.asked == 1)
        group.create_task((await door.connect()).post(PATH, mail))
        await until(lambda: door.intake.asked == 2)
        answer = await (await door.connect()).post(PATH, mail)
        door.intake.open.set()
    assert (503, "/v1/docs#unavailable") == (answer.status, error(answer)["help"])
    assert 4 == len(door.intake.accepted)
    assert 0 == door.context.memory.total


async def test_a_message_that_substitutions_make_large_is_counted_in_memory(
    open_http: OpenHttpDoor,
) -> None:
    door = await open_http(octets_in_flight=1_000_000)
    client = await door.connect()
    door.intake.open.clear()
    content = [{"type": "text/plain", "value": "t" * 200}]
    mail = many(to("a@b.example", substitutions=LONG), content=content)
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(client.post(PATH, mail))
        await until(lambda: door.intake.asked == 1)
        held = door.context.memory.total
        door.intake.open.set()
    assert 202 == answer.result().status
    (kept,) = door.intake.accepted
    assert 200_000 < kept.size <= held
    assert 0 == door.context.memory.total


@pytest.mark.parametrize(
    ("mail", "is_light"),
    [
        (MAIL, True),
        ({**MAIL, "content": [{"type": "text/plain", "value": "x" * 66_000}]}, False),
        (many(to("a@b.example", substitutions={"-a-": "b"})), True),
        ({**MAIL, "headers": {"X-A": "x " * 33_000}}, False),
        (many(to("a@b.example", subject="x " * 33_000)), False),
        (many(to(*(f"a{n}@b.example" for n in range(40)))), False),
        (many(to("a@b.example", substitutions={"a": "b" * 9_000})), False),  # may become large
        (many(to("a@b.example", substitutions={f"{n:04}": "" for n in range(1_000)})), True),
        (
            many(
                to("a@b.example", substitutions={f"{n:04}": "" for n in range(1_000)}),
                content=[{"type": "text/plain", "value": "x" * 500}],
            ),
            False,
        ),
    ],
)
async def test_what_takes_long_is_not_made_on_the_loop(
    http: HttpWireClient, monkeypatch: pytest.MonkeyPatch, mail: dict[str, Any], is_light: bool
) -> None:
    threads = set()
    message = MailSend.message

    def noted(self: MailSend, number: int) -> Any:
        threads.add(threading.current_thread())
        return message(self, number)

    monkeypatch.setattr(MailSend, "message", noted)
    await http.post(PATH, mail)
    assert 1 == len(threads)
    assert is_light is (threading.main_thread() in threads)


async def test_it_is_described(http: HttpWireClient) -> None:
    answer = await http.request("GET", "/v1/openapi.json", None, {"Authorization": ""})
    (send,) = answer.value["paths"][PATH].values()
    assert "content" not in send["responses"]["202"]
    assert ["application/json"] == list(send["responses"]["default"]["content"])
    properties = answer.value["components"]["schemas"]["MailSendBody"]["properties"]
    assert "from" in properties
    assert "template_id" not in properties
