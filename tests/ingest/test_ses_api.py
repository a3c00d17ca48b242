"""SendEmail of Amazon SES: who may call, what becomes of a message, what is said then."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
import structlog

from ingest.core.ses_message import raw_message, simple_message
from ingest.http.ses_errors import ses_response
from posthouse.http.problem import Kind, Problem
from posthouse.mail.message_flag import Stream
from posthouse.mail.permission import Permission
from posthouse.mail.rate_limit import Counted, LimitAction, Period, RateLimit
from posthouse.mail.terms import AcceptedBefore, KeyTaken
from posthouse.running.identity import new_id
from posthouse.store import StoreUnavailable
from servers.door import SECRET, login_with
from servers.http_door import CALLER, MESSAGE, Answer, HttpWireClient, OpenHttpDoor, RunningHttp
from servers.patience import until
from servers.ses_client import (
    BASE,
    SEND,
    SES_CALLER,
    b64,
    raw,
    send_email,
    signed_fields,
    simple,
)

TRY = "6267916d-c2c3-4139-8736-4e8d2d564ebc"


@pytest.fixture(autouse=True)
def caller(http_door: RunningHttp) -> None:
    """Whoever calls has a sealed secret."""
    http_door.directory.logins["user"] = SES_CALLER


def error(answer: Answer) -> tuple[int, str]:
    """Its status and name."""
    assert answer.fields["content-type"] == "application/json"
    assert answer.value.keys() == {"message"}
    assert UUID(answer.fields["x-amzn-requestid"])
    return answer.status, answer.fields["x-amzn-errortype"]


# Who calls.


async def test_a_message_that_is_signed_is_committed(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    answer = await send_email(http, BASE)

    (kept,) = http_door.intake.accepted
    assert (answer.status, answer.value) == (200, {"MessageId": kept.id.hex})
    assert UUID(answer.fields["x-amzn-requestid"])
    assert kept.credential_id == SES_CALLER.credential_id
    assert (kept.sender, kept.recipients) == ("jo@a.example", ("x@there.example",))
    message = message_from_bytes(kept.header + kept.body)
    assert (message["Subject"], message.get_payload()) == ("s", "t\r\n")


@pytest.mark.parametrize(
    ("how", "status", "name"),
    [
        ({"secret": "other"}, 403, "InvalidSignatureException"),
        ({"secret": "Ü"}, 403, "InvalidSignatureException"),
        ({"username": "nobody"}, 403, "InvalidSignatureException"),
        ({"username": "u" * 256}, 403, "InvalidSignatureException"),
        ({"now": datetime.now(UTC) - timedelta(hours=1)}, 403, "InvalidSignatureException"),
        ({"x_amz_security_token": "token"}, 403, "UnrecognizedClientException"),
        ({"x_amz_content_sha256": "UNSIGNED-PAYLOAD"}, 403, "InvalidSignatureException"),
    ],
)
async def test_who_proves_nothing_is_refused(
    http: HttpWireClient, http_door: RunningHttp, how: dict[str, Any], status: int, name: str
) -> None:
    answer = await send_email(http, BASE, **how)

    assert error(answer) == (status, name)
    assert "www-authenticate" not in answer.fields
    assert not http_door.intake.accepted


@pytest.mark.parametrize(
    "login",
    [
        CALLER,  # its secret is not kept sealed
        replace(SES_CALLER, sealed=SES_CALLER.sealed and SES_CALLER.sealed[:-1]),
        None,
    ],
)
async def test_a_wrong_signature_and_an_unknown_user_hear_the_same(
    http: HttpWireClient, http_door: RunningHttp, login: Any
) -> None:
    http_door.directory.logins = {"user": login} if login else {}
    known = await send_email(http, BASE)
    http_door.directory.logins = {"user": SES_CALLER}
    wrong = await send_email(http, BASE, secret="wrong")

    assert (known.status, known.body) == (wrong.status, wrong.body)
    assert error(known) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("username", ["user", "nobody"])
async def test_X03_a_signature_with_no_secret_is_that_of_nobody(
    http: HttpWireClient, http_door: RunningHttp, username: str
) -> None:
    """It is compared with one, so that the time tells nothing; anybody could make it."""
    http_door.directory.logins["user"] = CALLER  # whose secret is not sealed
    for secret in ("\0", ""):
        answer = await send_email(http, BASE, username=username, secret=secret)
        assert error(answer) == (403, "InvalidSignatureException")
    assert not http_door.intake.accepted


async def test_the_log_says_what_to_do_about_a_secret_that_is_not_sealed(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = CALLER
    with structlog.testing.capture_logs() as logs:
        await send_email(http, BASE)

    (failed,) = [line for line in logs if line["event"] == "auth_failed"]
    assert "posthouse credential reset user --sealed" in failed["advice"]


async def test_a_secret_that_comes_along_with_the_request_proves_nothing_here(
    http: HttpWireClient,
) -> None:
    answer = await http.post(SEND, BASE)

    assert error(answer) == (403, "IncompleteSignature")
    answer = await http.post(SEND, BASE, Authorization="")
    assert error(answer) == (403, "MissingAuthenticationTokenException")


async def test_a_signature_of_one_body_is_not_one_of_another(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    body = json.dumps(BASE).encode()
    fields = signed_fields("POST", SEND, body)

    answer = await http.request("POST", SEND, body.replace(b"jo@", b"me@"), fields)
    assert error(answer) == (403, "InvalidSignatureException")
    assert not http_door.intake.accepted
    assert (await http.request("POST", SEND, body, fields)).status == 200


async def test_a_body_whose_digest_is_told_is_held_against_it(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    body = json.dumps(BASE).encode()
    digest = sha256(body).hexdigest()

    assert (await send_email(http, body, x_amz_content_sha256=digest)).status == 200
    answer = await send_email(http, body + b" ", x_amz_content_sha256=digest)
    assert error(answer) == (403, "InvalidSignatureException")
    assert "another SHA-256" in answer.value["message"]
    assert len(http_door.intake.accepted) == 1


async def test_a_body_whose_digest_is_told_is_read_when_its_caller_is_proven(
    http: HttpWireClient,
) -> None:
    """It is not sent at all: the answer does not wait for it."""
    fields = signed_fields("POST", SEND, b"", secret="wrong", x_amz_content_sha256="0" * 64)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    await http.send(f"POST {SEND} HTTP/1.1\r\n{lines}Content-Length: 100000\r\n\r\n".encode())

    assert error(await http.answer()) == (403, "InvalidSignatureException")


async def test_X03_wrong_signatures_are_counted_as_wrong_secrets_are(
    http_door: RunningHttp,
) -> None:
    http = await http_door.connect()
    for _ in range(5):
        assert (await send_email(http, BASE, secret="wrong")).status == 403
        answer = await http.post("/v1/messages", MESSAGE, Authorization="Bearer user.wrong")
        assert answer.status == 401

    answer = await send_email(http, BASE)
    assert error(answer) == (429, "TooManyRequestsException")
    assert answer.fields["retry-after"] == "600"


@pytest.mark.parametrize(
    ("login", "name", "said"),
    [
        (
            replace(SES_CALLER, permissions=frozenset({Permission.SMTP})),
            "AccessDeniedException",
            "no permission http",
        ),
        (
            replace(
                login_with(session__require_tls=True),
                permissions=frozenset(Permission),
                sealed=SES_CALLER.sealed,
            ),
            "AccessDeniedException",
            "over TLS only",
        ),
    ],
)
async def test_who_may_not_call_is_told_why(
    http: HttpWireClient, http_door: RunningHttp, login: Any, name: str, said: str
) -> None:
    http_door.directory.logins["user"] = login
    answer = await send_email(http, BASE)

    assert error(answer) == (403, name)
    assert said in answer.value["message"]


async def test_a_directory_that_is_away_is_a_reason_to_come_back(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.failure = StoreUnavailable("away")

    assert error(await send_email(http, BASE)) == (503, "ServiceUnavailable")


async def test_bodies_of_strangers_leave_half_of_the_memory_to_users(
    open_http: OpenHttpDoor,
) -> None:
    """Whoever was here with the right secret counts as itself, and not as one of them."""
    door = await open_http(octets_in_flight=100_000)
    door.directory.logins["user"] = SES_CALLER
    large = json.dumps({**BASE, "Content": simple(Subject={"Data": "x" * 30_000})}).encode()
    stranger = await door.connect()
    head = "".join(
        f"{name}: {value}\r\n"
        for name, value in signed_fields("POST", SEND, b"", username="me").items()
        if value
    )
    await stranger.send(f"POST {SEND} HTTP/1.1\r\n{head}Content-Length: 45000\r\n\r\n".encode())
    await stranger.send(b"x" * 25_000)
    await until(lambda: door.context.memory.total == 25_000)

    http = await door.connect()
    assert error(await send_email(http, large)) == (503, "ServiceUnavailable")
    http = await door.connect()
    assert (await send_email(http, BASE)).status == 200
    assert (await send_email(http, large)).status == 200
    assert len(door.intake.accepted) == 2
    assert door.context.memory.total == 25_000


async def test_a_large_body_is_forgotten_with_its_request(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    large = {**BASE, "Content": simple(Body={"Text": {"Data": "x" * 200_000}})}

    for how in ({}, {"x_amz_content_sha256": sha256(json.dumps(large).encode()).hexdigest()}):
        assert (await send_email(http, large, **how)).status == 200
        assert http_door.context.memory.total == 0
        assert not http_door.context.memory._by_credential


# Raw messages.


@pytest.mark.parametrize(
    ("more", "sender", "recipients"),
    [
        ({}, "jo@a.example", ("a@there.example", "b@there.example")),
        (
            {"Destination": {"ToAddresses": ["c@d.example"], "BccAddresses": ["e@d.example"]}},
            "jo@a.example",
            ("c@d.example", "e@d.example"),
        ),
        (  # who is named twice gets it once
            {"Destination": {"ToAddresses": ["c@d.example"], "CcAddresses": ["C <c@d.example>"]}},
            "jo@a.example",
            ("c@d.example",),
        ),
        (
            {"FromEmailAddress": "Me <me@b.example>", "Destination": {}},
            "me@b.example",
            ("a@there.example", "b@there.example"),
        ),
        (
            {
                "FromEmailAddress": "me@b.example",
                "FeedbackForwardingEmailAddress": "bounces@a.example",
            },
            "bounces@a.example",
            ("a@there.example", "b@there.example"),
        ),
    ],
)
async def test_the_envelope_of_a_raw_message(
    http: HttpWireClient,
    http_door: RunningHttp,
    more: dict[str, Any],
    sender: str,
    recipients: tuple[str, ...],
) -> None:
    header = "From: Jo <jo@a.example>\r\nTo: a@there.example\r\nBcc: b@there.example\r\n"
    answer = await send_email(http, {"Content": raw(header), **more})

    assert answer.status == 200, answer.body
    (kept,) = http_door.intake.accepted
    assert (kept.sender, kept.recipients) == (sender, recipients)
    assert (kept.header, kept.body) == (f"{header}\r\n".encode(), b"hi\r\n")


async def test_a_raw_message_has_so_many_recipients_as_by_smtp(open_http: OpenHttpDoor) -> None:
    door = await open_http(recipients=2)
    door.directory.logins["user"] = SES_CALLER
    people = {"ToAddresses": [f"a{n}@b.example" for n in range(3)]}
    answer = await send_email(await door.connect(), {"Content": raw(), "Destination": people})
    assert error(answer) == (400, "BadRequestException")
    assert "/Destination: 3 recipients seen, at most 2" in answer.value["message"]


async def test_all_recipients_in_a_long_header_get_it(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    people = ",\r\n ".join(f'"{"n" * 200}" <a{number}@there.example>' for number in range(900))
    header = f"To: {people}\r\nX-SES-MESSAGE-TAGS: a=1\r\n"
    given = {"FromEmailAddress": "jo@a.example", "Content": raw(header)}

    assert (await send_email(http, given)).status == 200
    (kept,) = http_door.intake.accepted
    assert kept.recipients == tuple(f"a{number}@there.example" for number in range(900))
    assert kept.attributes.metadata == {"a": "1"}
    assert kept.header == f"From: jo@a.example\r\n{header}\r\n".encode()


async def test_a_raw_message_gets_what_it_lacks(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    given = {
        "FromEmailAddress": "Jö <jo@a.example>",
        "ReplyToAddresses": ["re@a.example", "R <r@a.example>"],
    }
    lacking = {**given, "Content": raw("To: x@there.example\r\n")}
    whole = "From: me@a.example\r\nReply-To: me@a.example\r\nTo: x@there.example\r\n"

    assert (await send_email(http, lacking)).status == 200
    assert (await send_email(http, {**given, "Content": raw(whole)})).status == 200

    first, second = http_door.intake.accepted
    assert first.header == (
        b"From: =?utf-8?b?SsO2?= <jo@a.example>\r\n"
        b"Reply-To: re@a.example, R <r@a.example>\r\nTo: x@there.example\r\n\r\n"
    )
    assert second.header == f"{whole}\r\n".encode()


async def test_a_raw_message_says_stream_and_tags_in_its_header(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    stream, other = Stream("Mailing", "m1", {}), Stream("Other", "m2", {})
    streams = {"m1": stream, "Mailing": stream, "m2": other, "Other": other}
    http_door.directory.logins["user"] = replace(SES_CALLER, streams=streams)
    header = (
        "From: jo@a.example\r\nTo: x@there.example\r\nX-SES-CONFIGURATION-SET: m1\r\n"
        "X-SES-MESSAGE-TAGS: a=1, b=2=3\r\nX-SES-SOURCE-ARN: arn:x\r\n"
    )
    told = {"ConfigurationSetName": "Other", "EmailTags": [{"Name": "c", "Value": "4"}]}

    assert (await send_email(http, {"Content": raw(header)})).status == 200
    assert (await send_email(http, {"Content": raw(header), **told})).status == 200

    first, second = [kept.attributes for kept in http_door.intake.accepted]
    assert (first.stream, first.metadata) == ("Mailing", {"a": "1", "b": "2=3"})
    assert (second.stream, second.metadata) == ("Other", {"c": "4"})


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("X-SES-LIST-MANAGEMENT-OPTIONS: l; topic=t", "no contact lists here"),
        ("X-SES-TENANT: t", "no tenants here"),
        ("X-SES-MESSAGE-TAGS: a", "NAME=VALUE is allowed"),
        ("X-SES-MESSAGE-TAGS: a=1, a=2", "given twice"),
        ("X-SES-CONFIGURATION-SET: a\r\nX-SES-CONFIGURATION-SET: b", "2 X-SES-CONFIGURATION-SET"),
        ("Resent-To: a@there.example", "add Destination"),
    ],
)
async def test_a_field_of_a_raw_message_is_refused_by_name(
    http: HttpWireClient, http_door: RunningHttp, field: str, said: str
) -> None:
    header = f"From: jo@a.example\r\nTo: x@there.example\r\n{field}\r\n"
    answer = await send_email(http, {"Content": raw(header)})

    assert error(answer) == (400, "BadRequestException")
    assert said in answer.value["message"]
    assert not http_door.intake.accepted


async def test_line_ends_of_a_raw_message_are_cleaned(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    content = b64(b"From: jo@a.example\nTo: x@there.example\n\nhi\n")

    assert (await send_email(http, {"Content": {"Raw": {"Data": content}}})).status == 200
    assert http_door.intake.accepted[0].body == b"hi\r\n"


# What is wrong.


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Unknown": 1}, "/Unknown: there is no field 'Unknown' here"),
        ({"Content": {}}, "/Content: 0 of Simple and Raw seen"),
        ({"Content": {**simple(), **raw()}}, "/Content: 2 of Simple and Raw seen"),
        ({"Content": {"Raw": {"Data": "!"}}}, "/Content/Raw/Data: it is no base64"),
        ({"Content": {"Simple": {"Subject": {"Data": "a"}}}}, "missing required field `Body`"),
        ({"Content": simple(Body={})}, "/Content/Simple/Body: there is no content"),
        (
            {"Content": simple(Subject={"Data": "a\r\nBcc: x@y.example"})},
            "/Content/Simple/Subject/Data: ",
        ),
        ({"Content": simple(Subject={"Data": "\u2028"})}, "/Content/Simple/Subject/Data: "),
        ({"FromEmailAddress": None}, "/FromEmailAddress: it is required"),
        ({"FromEmailAddress": "jo@a.example\r\nX: y"}, "/FromEmailAddress: "),
        ({"FromEmailAddress": f"{'a ' * 500}<jo@a.example>"}, "/FromEmailAddress: "),
        ({"Destination": {"ToAddresses": [":" * 1_001]}}, "length <= 1000"),
        ({"FromEmailAddress": "jo"}, "/FromEmailAddress: 'jo' is not a mail address"),
        ({"Destination": {}}, "/Destination: there is no recipient"),
        ({"Destination": {"ToAddresses": ["x@y.example", "@"]}}, "/Destination/ToAddresses/1: "),
        (
            {"Destination": {"ToAddresses": ["a@b.example,c@d.example"]}},
            "/Destination/ToAddresses/0: 2 addresses seen",
        ),
        (
            {"Destination": {"ToAddresses": [f"a{n}@b.example" for n in range(1_001)]}},
            "/Destination/ToAddresses: ",
        ),
        (
            {
                "Destination": {
                    "ToAddresses": [f"a{n}@b.example" for n in range(1_000)],
                    "CcAddresses": ["c@d.example"],
                }
            },
            "/Destination: 1001 recipients seen",
        ),
        ({"ReplyToAddresses": ["a@a.example\n"]}, "/ReplyToAddresses/0: "),
        ({"FeedbackForwardingEmailAddress": "x"}, "/FeedbackForwardingEmailAddress: "),
        ({"ConfigurationSetName": "a\nb"}, "/ConfigurationSetName: "),
        ({"EmailTags": [{"Name": "a", "Value": "x" * 1_000}]}, "/EmailTags: "),
        (
            {"EmailTags": [{"Name": "a", "Value": ""}, {"Name": "a", "Value": "b"}]},
            "/EmailTags: a name is given twice",
        ),
        (
            {"Content": simple(Headers=[{"Name": "Bcc", "Value": "x@y.example"}])},
            "/Content/Simple/Headers/Bcc: Bcc is made of the other fields",
        ),
        (
            {"Content": simple(Headers=[{"Name": "X-A", "Value": "b\r\nBcc: x@y.example"}])},
            "/Content/Simple/Headers/X-A: ",
        ),
        (
            {"Content": simple(Headers=[{"Name": "X-A\r\nX-B", "Value": "b"}])},
            "/Content/Simple/Headers: ",
        ),
        (
            {"Content": simple(Headers=[{"Name": "X-SES-CONFIGURATION-SET", "Value": "b"}])},
            "/Content/Simple/Headers: X-SES-CONFIGURATION-SET counts in a raw message only",
        ),
        (
            {"Content": simple(Headers=[{"Name": "X-A", "Value": "1"}] * 2)},
            "/Content/Simple/Headers: a field is given twice",
        ),
        (
            {"Content": simple(Attachments=[{"FileName": "a\r\nb", "RawContent": ""}])},
            "/Content/Simple/Attachments/0/FileName: ",
        ),
        (
            {
                "Content": simple(
                    Attachments=[{"FileName": "a", "RawContent": "", "ContentDescription": "\n"}]
                )
            },
            "/Content/Simple/Attachments/0/ContentDescription: ",
        ),
        (
            {
                "Content": simple(
                    Attachments=[
                        {"FileName": "a", "RawContent": "w6k=", "ContentType": "message/rfc822"}
                    ]
                )
            },
            "/Content/Simple/Attachments/0/RawContent: a message/rfc822 is in ASCII",
        ),
    ],
)
async def test_what_is_wrong_is_said_and_where(
    http: HttpWireClient, http_door: RunningHttp, given: dict[str, Any], said: str
) -> None:
    answer = await send_email(http, {**BASE, **given})

    assert error(answer) == (400, "BadRequestException")
    assert said in answer.value["message"]
    assert not http_door.intake.accepted


async def test_a_sender_of_another_domain_is_refused(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    for name in ("FromEmailAddress", "FeedbackForwardingEmailAddress"):
        answer = await send_email(http, {**BASE, name: "jo@foreign.example"})
        assert error(answer) == (400, "MessageRejected")
        assert "foreign.example" in answer.value["message"]
    assert not http_door.intake.accepted


@pytest.mark.parametrize("content", [simple(), raw()])
async def test_a_sender_may_need_smtputf8(
    http: HttpWireClient, http_door: RunningHttp, content: dict[str, Any]
) -> None:
    given = {**BASE, "Content": content, "FeedbackForwardingEmailAddress": "bö@a.example"}

    assert (await send_email(http, given)).status == 200
    (kept,) = http_door.intake.accepted
    assert (kept.sender, kept.smtputf8) == ("bö@a.example", True)


async def test_a_configuration_set_has_to_be_a_stream(http: HttpWireClient) -> None:
    answer = await send_email(http, {**BASE, "ConfigurationSetName": "none"})

    assert error(answer) == (404, "NotFoundException")
    assert "'none' seen" in answer.value["message"]


async def test_a_limit_that_is_reached_says_when_to_come_back(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(SES_CALLER, is_limited=True)
    limit = RateLimit(Counted.MESSAGES, Period.HOUR, 1, LimitAction.REFUSE)
    http_door.directory.rates.limit(limit)

    assert (await send_email(http, BASE)).status == 200
    answer = await send_email(http, BASE)
    assert error(answer) == (429, "TooManyRequestsException")
    assert int(answer.fields["retry-after"]) > 0


async def test_a_store_that_fails_is_a_reason_to_come_back(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.intake.failure = StoreUnavailable("away")

    assert error(await send_email(http, BASE)) == (503, "ServiceUnavailable")


async def test_a_message_that_is_too_large_is_refused(open_http: OpenHttpDoor) -> None:
    door = await open_http(message_octets=1_000)
    door.directory.logins["user"] = SES_CALLER
    for content in (simple(Subject={"Data": "x" * 1_000}), raw("From: jo@a.example\r\n" * 60)):
        answer = await send_email(await door.connect(), {**BASE, "Content": content})
        assert error(answer) == (413, "RequestEntityTooLargeException")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", SEND),
        ("GET", "/v2/email/contact-lists"),
        ("POST", "/v2/email/outbound-bulk-emails"),
        ("PUT", "/v2/email/templates/name"),
    ],
)
async def test_what_else_is_called_is_answered_in_the_same_form(
    http: HttpWireClient, method: str, path: str
) -> None:
    answer = await http.request(method, path)

    assert error(answer) == (405, "UnknownOperationException")
    assert "SendEmail and GetAccount" in answer.value["message"]


def test_every_problem_has_a_name() -> None:
    for kind in Kind:
        assert ses_response(Problem(400, kind, "")).body == b'{"message":""}'


# Once only.


async def test_all_tries_of_a_call_have_one_key(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    """The id of the first is told, so that the library notices nothing."""
    first = new_id()
    for given in (BASE, {"Content": raw()}):
        await send_email(http, given, {"amz-sdk-invocation-id": TRY})
        http_door.intake.answer = AcceptedBefore(first)
        answer = await send_email(http, given, {"amz-sdk-invocation-id": TRY})

        assert (answer.status, answer.value) == (200, {"MessageId": first.hex})
    keys = [kept.terms.key for kept in http_door.intake.accepted]
    assert {key and key.text for key in keys} == {f"aws-sdk:{TRY}"}
    assert keys[0] == keys[1] != keys[2] == keys[3]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"amz-sdk-invocation-id": TRY, "Idempotency-Key": "own"}, "own"),
        ({"aws-sdk-invocation-id": TRY.replace("-", "")}, f"aws-sdk:{TRY.replace('-', '')}"),
        ({"amz-sdk-invocation-id": "x" * 300}, None),
        ({}, None),
    ],
)
async def test_the_key_of_a_request(
    http: HttpWireClient, http_door: RunningHttp, more: dict[str, str], text: str | None
) -> None:
    assert (await send_email(http, BASE, more)).status == 200

    key = http_door.intake.accepted[0].terms.key
    assert (key and key.text) == text


async def test_another_message_under_a_key_is_refused(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.intake.answer = KeyTaken(new_id())
    answer = await send_email(http, BASE, {"Idempotency-Key": "own"})

    assert error(answer) == (400, "BadRequestException")


# GetAccount.


async def test_an_account_has_no_limit_of_its_own(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    path = "/v2/email/account"
    answer = await http.request("GET", path, fields=signed_fields("GET", path, b""))

    assert answer.status == 200
    assert answer.value == {
        "SendQuota": {
            "Max24HourSend": -1.0,
            "MaxSendRate": 1_000_000.0,
            "SentLast24Hours": 0.0,
        },
        "SendingEnabled": True,
        "ProductionAccessEnabled": True,
    }
    answer = await http.request("GET", path, b"x", signed_fields("GET", path, b"x"))
    assert error(answer) == (413, "RequestEntityTooLargeException")
    http = await http_door.connect()
    wrong = signed_fields("GET", path, b"", secret=f"{SECRET}x")
    assert error(await http.request("GET", path, fields=wrong)) == (
        403,
        "InvalidSignatureException",
    )


# What takes long.


@pytest.mark.parametrize("kind", ["simple", "raw", "addresses"])
async def test_a_large_message_is_not_read_on_the_loop(
    http: HttpWireClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    threads = set()

    def noted(work: Any) -> Any:
        def run(*args: Any) -> Any:
            threads.add(threading.current_thread())
            return work(*args)

        return run

    for name, work in (("simple_message", simple_message), ("raw_message", raw_message)):
        monkeypatch.setattr(f"ingest.http.ses_api.{name}", noted(work))
    # Of the last one JSON is not large: what is in it takes long.
    content = {
        "simple": simple(Body={"Text": {"Data": "x" * 70_000}}),
        "raw": raw("From: jo@a.example\r\n" + "X-Own: 1\r\n" * 6_000),
        "addresses": raw("From: jo@a.example\r\nTo: " + ",".join(["a@b.example"] * 100) + "\r\n"),
    }[kind]

    answer = await send_email(http, {**BASE, "Content": content})
    assert answer.status == 200, answer.body
    assert threads
    assert threading.main_thread() not in threads


async def test_a_raw_message_of_several_pieces_gets_what_it_lacks(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    content = b"To: x@there.example\r\n\r\n" + b"line\r\n" * 60_000
    answer = await send_email(http, {**BASE, "Content": {"Raw": {"Data": b64(content)}}})

    assert answer.status == 200
    (kept,) = http_door.intake.accepted
    assert kept.header + kept.body == b"From: jo@a.example\r\n" + content
