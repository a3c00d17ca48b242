"""POST /v1/messages: what is taken, what is refused, and what is said then."""

import asyncio
import base64
import json
import sys
import threading
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast
from uuid import UUID

import pytest

from ingest.backpressure import MemoryBudget
from ingest.core.message_body import MessageBody, new_message
from ingest.core.new_message import NewMessage, WrongValue
from ingest.core.raw_envelope import raw_envelope
from ingest.http.http_request import HttpRequest
from ingest.http.request_parser import RequestHead
from ingest.http.wire import HttpWire
from posthouse.http.problem import Problem
from posthouse.mail.lane import Lane
from posthouse.mail.message_flag import MessageFlag, Stream
from posthouse.mail.permission import Permission
from posthouse.mail.rate_limit import Counted, LimitAction, Period, RateLimit
from posthouse.mail.submission import Submission
from posthouse.mail.terms import AcceptedBefore, KeyTaken
from posthouse.running.identity import new_id
from posthouse.store import StoreFull, StoreUnavailable
from posthouse.store.logins import AccountProfile, Login
from posthouse.store.timeline import Timeline
from servers.door import Wire
from servers.http_door import CALLER, MESSAGE, HttpWireClient, OpenHttpDoor, RunningHttp
from servers.patience import until

RAW = {"Content-Type": "message/rfc822"}


def read(submission: Submission) -> EmailMessage:
    found = message_from_bytes(submission.header + submission.body, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


async def test_C07_a_message_is_submitted_by_http(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    answer = await http.post("/v1/messages", MESSAGE)

    (kept,) = http_door.intake.accepted
    assert answer.status == 202
    assert answer.value == {"id": kept.id.hex, "repeated": False}
    assert answer.fields["location"] == f"/v1/messages/{kept.id.hex}"
    assert (kept.sender, kept.recipients, kept.lane) == (
        "jo@a.example",
        ("x@there.example",),
        Lane.NORMAL,
    )
    assert (kept.client, kept.helo, kept.tls, kept.smtputf8) == ("127.0.0.1", "", "", False)
    message = read(kept)
    assert (message["From"], message["To"], message["Subject"]) == (
        "jo@a.example",
        "x@there.example",
        "Hello",
    )
    assert message.get_content() == "Hi there\r\n"


async def test_everything_that_a_message_may_have(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    stream = Stream("Mailing", "m1", {MessageFlag.OPEN_TRACKING: True})
    http_door.directory.logins["user"] = replace(CALLER, streams={"m1": stream, "Mailing": stream})
    answer = await http.post(
        "/v1/messages",
        {
            "from": {"email": "jo@a.example", "name": "Jö"},
            "to": ["Ann <ann@there.example>", {"email": "bo@bücher.example"}],
            "cc": "cc@there.example",
            "bcc": ["bcc@there.example", "ann@there.example"],
            "reply_to": "re@a.example",
            "subject": "Grüße",
            "text": "Hallo",
            "html": '<img src="cid:logo">',
            "attachments": [
                {"filename": "ü.txt", "content": base64.b64encode(b"text").decode()},
                {"filename": "l.png", "content": "YWJj", "content_id": "logo"},
            ],
            "headers": {"List-Unsubscribe": "<https://a.example/u>", "X-Count": "drei ü"},
            "tags": ["a", "b", "a"],
            "metadata": {"order": 12},
            "priority": 2,
            "tracking": {"opens": False},
            "stream": "M1",
            "send_at": "2001-01-01T00:00:00Z",
        },
    )

    assert answer.status == 202, answer.body
    (kept,) = http_door.intake.accepted
    assert kept.recipients == (
        "ann@there.example",
        "bo@xn--bcher-kva.example",
        "cc@there.example",
        "bcc@there.example",
    )
    assert kept.lane is Lane.HIGH
    assert kept.attributes.tags == ("a", "b")
    assert kept.attributes.metadata == {"order": 12}
    assert kept.attributes.stream == "Mailing"
    assert kept.attributes.flags == {MessageFlag.OPEN_TRACKING: False}
    assert kept.terms.send_at is None  # it is past
    message = read(kept)
    assert message["From"].addresses[0].display_name == "Jö"
    assert message["Reply-To"] == "re@a.example"
    assert message["X-Count"] == "drei ü"
    assert message["Bcc"] is None
    assert b"bcc@" not in kept.header + kept.body
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/plain",
    ]
    (file,) = message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("ü.txt", "text")


@pytest.mark.parametrize(
    ("more", "pointer", "said"),
    [
        ({"subjekt": "x"}, "/subjekt", "there is no field 'subjekt' here"),
        ({"from": 5}, "/from", "'5' seen: Expected `str | object`"),
        ({"from": "nobody"}, "/from", "'nobody' is not a mail address"),
        ({"to": ["a@b.example", "b@"]}, "/to/1", "'b@' is not a mail address"),
        ({"to": "a@b.example, c@d.example"}, "/to", "2 addresses seen"),
        ({"to": {"email": "a@b.example", "nam": ""}}, "/to/nam", "there is no field 'nam'"),
        ({"to": []}, "/to", "there is no recipient"),
        ({"to": [f"a{n}@b.example" for n in range(5_000)]}, "/to", "`array` of length <= 1000"),
        (
            {"to": [f"a{n}@b.example" for n in range(1_000)], "cc": "c@b.example"},
            "/to",
            "1001 recipients seen, at most 1000",
        ),
        ({"to": "a@b.example," * 100}, "/to", "`str` of length <= 1000"),
        ({"tags": ["a"] * 1_001}, "/tags", "`array` of length <= 1000"),
        ({"text": None}, "", "there is no content"),
        ({"subject": "a\r\nBcc: x@b.example"}, "/subject", "control character '\\r'"),
        ({"subject": "a\u2028b"}, "/subject", "control character"),
        ({"from": {"email": "jo@a.example", "name": "a\nb"}}, "/from", "control character"),
        ({"from": "jo@a.example\r\nX: y"}, "/from", "control character"),
        ({"headers": {"X-A": "a\nb"}}, "/headers/X-A", "control character"),
        ({"headers": {"X A": "a"}}, "/headers", "'X A' is no name of a header field"),
        ({"headers": {"X:A": "a"}}, "/headers", "is no name"),
        ({"headers": {"a/b~c": "\n"}}, "/headers/a~1b~0c", "control character"),
        ({"headers": {"bcc": "a@b.example"}}, "/headers/bcc", "made of the other fields"),
        ({"headers": {"X-Posthouse-Tag": "a"}}, "/headers/X-Posthouse-Tag", "not allowed here"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "/headers/x-a", "given twice"),
        ({"headers": {"Message-ID": "5"}}, "/headers/Message-ID", "not of the form"),
        ({"headers": {"References": "é"}}, "/headers/References", "is in ASCII"),
        ({"attachments": [{"content": "!"}]}, "/attachments/0/content", "no base64"),
        ({"attachments": [{"content": "YQ"}]}, "/attachments/0/content", "no base64"),
        (
            {"attachments": [{"content": "", "filename": "a\nb"}]},
            "/attachments/0/filename",
            "control character",
        ),
        (
            {"attachments": [{"content": "", "content_type": "text/plain\r\nX: y"}]},
            "/attachments/0/content_type",
            "a type such as",
        ),
        (
            {"attachments": [{"content": "", "content_type": "multipart/mixed"}]},
            "/attachments/0/content_type",
            "a type such as",
        ),
        (
            {"attachments": [{"content": "", "content_id": "a>\r\nb"}]},
            "/attachments/0/content_id",
            "printable characters",
        ),
        (
            {"attachments": [{"content": "w6k=", "content_type": "message/rfc822"}]},
            "/attachments/0/content",
            "a message/rfc822 is in ASCII",
        ),
        ({"priority": 9}, "/priority", "'9' seen: Expected `int` <= 5"),
        ({"priority": True}, "/priority", "Expected `int | null`"),
        ({"tags": "a"}, "/tags", "Expected `array`"),
        ({"metadata": {"a": "x" * 1_000}}, "/metadata", "at most 1000 are allowed"),
        ({"send_at": "tomorrow"}, "/send_at", "'tomorrow' seen"),
        ({"send_at": "2001-01-01T00:00:00"}, "/send_at", "the zone is missing"),
    ],
)
async def test_what_is_wrong_is_said_and_where(
    http: HttpWireClient, http_door: RunningHttp, more: dict[str, Any], pointer: str, said: str
) -> None:
    answer = await http.post("/v1/messages", {**MESSAGE, **more})

    assert answer.status == 422
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.value["pointer"] == pointer
    assert said in answer.value["detail"]
    assert not http_door.intake.accepted
    assert (await http.post("/v1/messages", MESSAGE)).status == 202


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "this is no JSON: Expecting value"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"from": "a@a.example", "from": "b@a.example"}', "'from' is given twice"),
        (b'{"metadata": {"a": NaN}}', "NaN is no JSON"),
        (b'{"metadata": {"a": 1e999}}', "larger than any number may be"),
        (b'{"subject": "\\ud800"}', "half of a surrogate pair"),
        (b'{"subject": "\\u0000"}', "a NUL"),
        (b'{"subject": "\xff"}', "no UTF-8 at octet 14"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ('{"subject": "a"}'.encode("utf-16"), "no UTF-8"),
        (b"[" * 100_000, "within each other"),
        (b"[" + b"[]," * 250_000 + b"0]", "there are more than 250000 values"),
        (b"[" + b'"",' * 600_000 + b"0]", "there are more than 250000 values"),
        (b'["' + b'\\",' * 600_000 + b'"]', "Expected `object`, got `array`"),
        (b'["' + b'\\"' * 250_000 + b'"' + b",0" * 250_001 + b"]", "there are more than 250000"),
        (b'{"metadata": ' + b'{"a": ' * 40 + b"1" + b"}" * 41, "within each other"),
        (b'{"metadata": {"a": ' + b"9" * 5_000 + b"}}", "this is no JSON"),
        (b'{"from": "a"} {}', "Extra data"),
    ],
)
async def test_json_that_can_be_read_in_two_ways_is_refused(
    http: HttpWireClient, body: bytes, said: str
) -> None:
    answer = await http.post("/v1/messages", body)

    assert answer.status == 422
    assert said in answer.value["detail"]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Bearer user.wrong", 401),
        ("Bearer nobody.the secret", 401),
        ("Bearer nothing", 401),
        ("Bearer \xff.x", 401),
        ("Basic " + base64.b64encode(b"user:the secret").decode(), 202),
        ("basic " + base64.b64encode(b"user:the secret").decode(), 202),
        ("Basic " + base64.b64encode(b"user:wrong").decode(), 401),
        ("Basic !", 401),
        ("Digest username=user", 401),
        ("bearer user.the secret", 202),
    ],
)
async def test_the_secret_comes_with_each_request(
    http: HttpWireClient, authorization: str, status: int
) -> None:
    fields = {"Content-Type": "application/json", "Authorization": authorization}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    body = json.dumps(MESSAGE).encode()
    start = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    await http.send((start + head + "\r\n").encode("latin-1") + body)
    answer = await http.answer()

    assert answer.status == status
    if status == 401:
        assert answer.fields["www-authenticate"].startswith("Bearer ")


async def test_a_key_without_the_permission_is_told_so(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(CALLER, permissions=frozenset({Permission.SMTP}))

    answer = await http.post("/v1/messages", MESSAGE)

    assert answer.status == 403
    assert "no permission http" in answer.value["detail"]


async def test_U24_rate_limits_hold(http: HttpWireClient, http_door: RunningHttp) -> None:
    http_door.directory.logins["user"] = replace(CALLER, is_limited=True)
    http_door.directory.rates.limit(
        RateLimit(Counted.MESSAGES, Period.MONTH, 1, LimitAction.REFUSE)
    )
    assert (await http.post("/v1/messages", MESSAGE)).status == 202

    for _ in range(2):  # the second is refused without asking
        answer = await http.post("/v1/messages", MESSAGE)
        assert (answer.status, answer.value["code"]) == (429, "4.7.1")
        assert int(answer.fields["retry-after"]) >= 1


async def test_a_user_has_so_many_requests_at_one_time_and_others_have_theirs(
    open_http: OpenHttpDoor,
) -> None:
    """With its SMTP sessions; connections without a request do not count."""
    door = await open_http("http", "none", connections_per_credential=2)
    door.directory.logins["other"] = replace(CALLER, username="other", credential_id=UUID(int=3))
    idle, first, second, third = [await door.connect() for _ in range(4)]
    assert (await idle.post("/v1/messages", MESSAGE)).status == 202
    at = door.service.addresses[1]
    smtp = Wire(*await asyncio.open_connection(at.host, at.port))
    await smtp.reply()
    await smtp.log_in()
    door.intake.open.clear()
    asking = asyncio.create_task(first.post("/v1/messages", MESSAGE))
    await until(lambda: door.intake.asked == 2)

    answer = await second.post("/v1/messages", MESSAGE)
    assert (answer.status, answer.value["code"]) == (429, "4.7.0")
    assert "of this user: 2 are open, which is the most" in answer.value["detail"]
    assert answer.fields["retry-after"] == "1"
    others = third.post("/v1/messages", MESSAGE, Authorization="Bearer other.the secret")
    its = asyncio.create_task(others)
    await until(lambda: door.intake.asked == 3)

    door.intake.open.set()
    assert {(await asking).status, (await its).status} == {202}
    assert (await idle.post("/v1/messages", MESSAGE)).status == 202
    smtp.writer.close()


async def test_a_caller_who_guesses_is_turned_away(http_door: RunningHttp) -> None:
    for _ in range(10):
        client = await http_door.connect()
        assert (
            await client.post("/v1/messages", MESSAGE, Authorization="Bearer a.b")
        ).status == 401
        client.writer.close()
    client = await http_door.connect()
    answer = await client.post("/v1/messages", MESSAGE, Authorization="Bearer a.b")

    assert (answer.status, answer.fields["retry-after"]) == (429, "600")


@pytest.mark.parametrize(
    ("knobs", "proxies", "fields", "status"),
    [
        ({"require_tls": True}, "", {}, 403),
        ({"require_tls": True}, "+proxy=127.0.0.1/32", {"X-Forwarded-Proto": "https"}, 202),
        ({"require_tls": True}, "", {"X-Forwarded-Proto": "https"}, 403),
        ({"allowed_networks": ("192.0.2.0/24",)}, "", {"X-Forwarded-For": "192.0.2.1"}, 401),
        (
            {"allowed_networks": ("192.0.2.0/24",)},
            "+proxy=127.0.0.1/32",
            {"X-Forwarded-For": "198.51.100.7, ::ffff:192.0.2.1, 127.0.0.1"},
            202,
        ),
        (
            {"allowed_networks": ("192.0.2.0/24",)},
            "+proxy=127.0.0.1/32",
            {"X-Forwarded-For": "192.0.2.1, 198.51.100.7"},
            401,
        ),
        ({"allowed_listeners": ("127.0.0.1:25/none",)}, "", {}, 401),
    ],
)
async def test_E02_a_profile_says_from_where_and_how_its_users_may_call(
    open_http: OpenHttpDoor,
    knobs: dict[str, Any],
    proxies: str,
    fields: dict[str, str],
    status: int,
) -> None:
    door = await open_http(f"http{proxies}")
    given = {f"session.{name}": value for name, value in knobs.items()}
    door.directory.logins["user"] = with_knobs(**given)
    client = await door.connect()

    answer = await client.post(
        "/v1/messages", MESSAGE, **{name.replace("-", "_"): text for name, text in fields.items()}
    )

    assert answer.status == status


async def test_rules_of_the_profile_hold(http: HttpWireClient, http_door: RunningHttp) -> None:
    answer = await http.post("/v1/messages", {**MESSAGE, "from": "jo@foreign.example"})

    assert (answer.status, answer.value["code"]) == (403, "5.7.1")
    assert answer.value["type"] == "/v1/docs#sender"
    assert "foreign.example" in answer.value["detail"]
    assert not http_door.intake.accepted

    answer = await http.post("/v1/messages", {**MESSAGE, "tags": ["x" * 65]})
    assert answer.status == 422
    assert "64" in answer.value["detail"]

    answer = await http.post("/v1/messages", {**MESSAGE, "stream": "none"})
    assert answer.status == 422

    answer = await http.post("/v1/messages", {**MESSAGE, "send_at": "2999-01-01T00:00:00Z"})
    assert answer.status == 422
    assert "30 days ahead" in answer.value["detail"]


async def test_priority_has_the_limit_of_the_credential(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(CALLER, highest_lane=Lane.HIGH)
    for wanted, lane in ((1, Lane.HIGH), (3, Lane.NORMAL), (5, Lane.NORMAL)):
        assert (await http.post("/v1/messages", {**MESSAGE, "priority": wanted})).status == 202
        assert http_door.intake.accepted[-1].lane is lane


@pytest.mark.parametrize(
    ("failure", "code"), [(StoreUnavailable("away"), "4.3.0"), (StoreFull("full"), "4.3.1")]
)
async def test_a_store_that_fails_is_a_reason_to_come_back(
    http: HttpWireClient, http_door: RunningHttp, failure: Exception, code: str
) -> None:
    http_door.intake.failure = failure

    for _ in range(2):  # the second is turned away without asking the store
        answer = await http.post("/v1/messages", MESSAGE)
        assert (answer.status, answer.value["code"]) == (503, code)
        assert answer.fields["retry-after"] == "1"
    assert http_door.intake.asked == 1


async def test_no_room_on_the_disk_is_a_reason_to_come_back(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.intake.room = False

    assert (await http.post("/v1/messages", MESSAGE)).status == 503


async def test_a_fault_of_ours_is_a_reason_to_come_back(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.intake.failure = RuntimeError("a bug")

    assert (await http.post("/v1/messages", MESSAGE)).status == 503
    http_door.intake.failure = None
    assert (await http.post("/v1/messages", MESSAGE)).status == 202


async def test_memory_of_messages_in_flight_is_limited(open_http: OpenHttpDoor) -> None:
    door = await open_http(octets_in_flight=100_000)
    client = await door.connect()
    large = {**MESSAGE, "text": "x" * 60_000}

    assert (await client.post("/v1/messages", large)).status == 503  # over half of the budget
    assert door.context.memory.total == 0
    client = await door.connect()
    assert (await client.post("/v1/messages", {**MESSAGE, "text": "x" * 30_000})).status == 202
    assert door.context.memory.total == 0


class SlowBody:
    """Two pieces of a body come, and then its end, when that is set."""

    def __init__(self, first: bytes) -> None:
        self.pieces = [b"x", first]
        self.end: asyncio.Future[bytes] = asyncio.Future()

    async def read(self) -> bytes:
        """As a wire does."""
        return self.pieces.pop() if self.pieces else await self.end


async def test_what_is_given_up_is_not_kept_until_more_comes() -> None:
    piece = bytes(60_000)
    before = sys.getrefcount(piece)
    memory = MemoryBudget(140_000)
    head = RequestHead("POST", "/", "", {}, None)
    wire = SlowBody(piece)
    request = HttpRequest(head, cast("HttpWire", wire), memory)
    task = asyncio.create_task(request.body(100_000))
    await asyncio.sleep(0)  # it reads both
    assert memory.total == 60_001
    assert sys.getrefcount(piece) > before
    memory.keep(HttpRequest(head, cast("HttpWire", None), memory), 50_000)
    assert memory.total == 50_000
    assert sys.getrefcount(piece) == before
    wire.end.set_result(b"")
    with pytest.raises(Problem, match="No room"):
        await task


async def test_a_message_of_a_batch_with_many_addresses_is_not_read_on_the_loop(
    http: HttpWireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def noted(body: MessageBody) -> NewMessage:
        threads.add(threading.current_thread())
        return new_message(body)

    monkeypatch.setattr("ingest.http.native_api.new_message", noted)
    many = {**MESSAGE, "to": [f"a{n}@b.example" for n in range(1_000)]}
    answer = await http.post("/v1/messages/batch", {"messages": [many]})
    assert [202] == [each["status"] for each in answer.value["results"]]
    assert threads
    assert threading.main_thread() not in threads


# As it is.


async def test_a_message_is_taken_as_it_is(http: HttpWireClient, http_door: RunningHttp) -> None:
    message = (
        b"From: Jo <jo@a.example>\r\nTo: a@there.example, B <b@there.example>\r\n"
        b"Cc: c@there.example\r\nBcc: a@there.example, d@there.example\r\n"
        b"X-Posthouse-Tag: x\r\nSubject: s\r\n\r\n.\r\nbody\r\n"
    )
    answer = await http.request("POST", "/v1/messages", message, RAW)

    assert answer.status == 202, answer.body
    (kept,) = http_door.intake.accepted
    assert kept.header + kept.body == message
    assert kept.sender == "jo@a.example"
    assert kept.recipients == tuple(f"{one}@there.example" for one in "abcd")
    assert kept.attributes.tags == ("x",)


async def test_all_recipients_in_a_long_header_get_it(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    people = ",\r\n ".join(f'"{"n" * 200}" <a{number}@there.example>' for number in range(900))
    message = f"From: jo@a.example\r\nTo: {people}\r\n\r\nbody\r\n".encode()
    assert len(message) > 131_072

    assert (await http.request("POST", "/v1/messages", message, RAW)).status == 202
    (kept,) = http_door.intake.accepted
    assert kept.recipients == tuple(f"a{number}@there.example" for number in range(900))


def test_a_header_that_would_take_long_is_not_read_for_an_envelope() -> None:
    message = (
        b"From: jo@a.example\r\nTo: x@there.example" + b",\r\n " * 40_000 + b"\r\n\r\nbody\r\n"
    )

    with pytest.raises(WrongValue, match="may have 32768 separators"):
        raw_envelope([message], len(message), None, None)


async def test_its_envelope_may_be_told(http: HttpWireClient, http_door: RunningHttp) -> None:
    message = b"From: jo@a.example\r\nTo: undisclosed-recipients:;\r\n\r\nbody\r\n"
    told = {
        "Posthouse-Sender": "bounce@b.example",
        "Posthouse-Recipients": "x@y.example, z@y.example",
    }
    answer = await http.request("POST", "/v1/messages", message, {**RAW, **told})

    assert answer.status == 202
    (kept,) = http_door.intake.accepted
    assert (kept.sender, kept.recipients) == ("bounce@b.example", ("x@y.example", "z@y.example"))


async def test_addresses_in_fields_of_a_request_are_in_utf_8(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    message = b"From: jo@a.example\r\n\r\nbody\r\n"
    told = {"Posthouse-Recipients": "ü@y.example, z@bücher.example"}
    answer = await http.request("POST", "/v1/messages", message, {**RAW, **told})
    assert answer.status == 202
    (kept,) = http_door.intake.accepted
    assert kept.recipients == ("ü@y.example", "z@xn--bcher-kva.example")
    assert kept.smtputf8
    told = {"Posthouse-Recipients": "\udcfc@y.example"}
    answer = await http.request("POST", "/v1/messages", message, {**RAW, **told})
    assert (answer.status, answer.value["type"]) == (422, "/v1/docs#invalid")


@pytest.mark.parametrize(
    ("message", "fields", "said"),
    [
        (b"To: a@b.example\r\n\r\n", {}, "there is no From"),
        (b"From: a\r\nTo: a@b.example\r\n\r\n", {}, "From: "),
        (b"From: jo@a.example\r\n\r\n", {}, "name no recipient"),
        (b"From: jo@a.example\r\nTo: a@\r\n\r\n", {}, "To, Cc and Bcc: "),
        (
            b"Resent-To: a@b.example\r\nFrom: jo@a.example\r\nTo: a@b.example\r\n\r\n",
            {},
            "it was resent",
        ),
        (b"From: jo@a.example\r\n\r\n", {"Posthouse-Recipients": "a@"}, "Posthouse-Recipients: "),
        (b"From: jo@a.example\r\n\r\n", {"Posthouse-Sender": "a@"}, "Posthouse-Sender: "),
        (
            b"From: jo@a.example\r\n\r\n",
            {"Posthouse-Recipients": ",".join(f"a{n}@b.example" for n in range(5_000))},
            "5000 recipients seen, at most 1000 are allowed",
        ),
    ],
)
async def test_an_envelope_that_cannot_be_read_is_refused(
    http: HttpWireClient, message: bytes, fields: dict[str, str], said: str
) -> None:
    answer = await http.request("POST", "/v1/messages", message, {**RAW, **fields})

    assert answer.status == 422
    assert said in answer.value["detail"]


async def test_a_raw_message_has_the_limits_of_smtp(open_http: OpenHttpDoor) -> None:
    client = await (await open_http(message_octets=2_000)).connect()
    head = b"From: jo@a.example\r\nTo: a@b.example\r\n\r\n"

    answer = await client.request("POST", "/v1/messages", head + b"x" * 2_000, RAW)
    assert answer.status == 413
    door = await open_http(message_octets=50_000)
    door.directory.logins["user"] = with_knobs(**{"conformance.long_lines": "require"})
    client = await door.connect()
    answer = await client.request("POST", "/v1/messages", head + b"x" * 999 + b"\r\n", RAW)
    assert (answer.status, answer.value["code"]) == (422, "5.6.0")


@pytest.mark.parametrize(("options", "status"), [("", 202), ("+line_endings=refuse", 422)])
async def test_line_ends_of_a_raw_message_are_cleaned_or_refused(
    open_http: OpenHttpDoor, options: str, status: int
) -> None:
    door = await open_http(f"http{options}")
    message = b"From: jo@a.example\nTo: a@b.example\r\n\r\nbo\0dy\rx\r\r\n.\n..\nlast"
    client = await door.connect()
    assert (await client.request("POST", "/v1/messages", message, RAW)).status == status

    whole = [kept.header + kept.body for kept in door.intake.accepted]
    clean = b"From: jo@a.example\r\nTo: a@b.example\r\n\r\nbody\r\nx\r\n.\r\n..\r\nlast\r\n"
    assert whole == ([clean] if status == 202 else [])


# Once only.


async def test_an_idempotency_key_names_the_message(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    for value in (MESSAGE, dict(reversed(MESSAGE.items())), {**MESSAGE, "text": "other"}):
        assert (await http.post("/v1/messages", value, Idempotency_Key="k 1")).status == 202
    first, second, third = (kept.terms.key for kept in http_door.intake.accepted)

    assert first is not None
    assert third is not None
    assert first.text == "k 1"
    assert first == second
    assert first.digest != third.digest


async def test_a_message_that_comes_again_has_the_first_id(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.intake.answer = AcceptedBefore(UUID(int=7))
    answer = await http.post("/v1/messages", MESSAGE, Idempotency_Key="k")
    assert answer.status == 202
    assert answer.value == {"id": UUID(int=7).hex, "repeated": True}

    http_door.intake.answer = KeyTaken(UUID(int=7))
    answer = await http.post("/v1/messages", MESSAGE, Idempotency_Key="k")
    assert (answer.status, answer.value["type"]) == (422, "/v1/docs#key-taken")


async def test_a_key_that_cannot_be_one_is_refused(http: HttpWireClient) -> None:
    for path, value, key in (
        ("/v1/messages", MESSAGE, "k" * 256),
        ("/v1/messages/batch", {"messages": [MESSAGE]}, "k" * 251),
        ("/v1/messages/batch", {"messages": [MESSAGE]}, "\t"),  # which is blank, so it is empty
    ):
        answer = await http.post(path, value, Idempotency_Key=key)
        assert answer.status == 400
        assert "1 to 255 printable" in answer.value["detail"]


async def test_the_api_is_described(http: HttpWireClient) -> None:
    answer = await http.request("GET", "/v1/openapi.json", None, {"Authorization": ""})
    assert (answer.status, answer.value["openapi"]) == (200, "3.1.0")
    assert answer.value["paths"].keys() == {
        *("/v1/messages", "/v1/messages/batch"),
        *("/v1/messages/{id}", "/v1/messages/{id}/cancel", "/v3/mail/send"),
        *("/v2/email/outbound-emails", "/v2/email/account"),
    }
    assert answer.value["paths"]["/v2/email/account"]["get"]["security"] == [{"aws": []}]
    fields = answer.value["components"]["schemas"]["MessageBody"]["properties"]
    assert {"from", "to", "send_at"} <= fields.keys()

    page = await http.request("GET", "/v1/docs", None, {"Authorization": ""})
    assert page.fields["content-security-policy"] == "default-src 'none'"
    assert b'id="key-taken"' in page.body


# Many.


async def test_messages_of_a_batch_are_judged_each_by_itself(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    foreign = {**MESSAGE, "from": "jo@foreign.example"}
    wrong = {**MESSAGE, "attachments": [{"content": "!"}]}
    answer = await http.post(
        "/v1/messages/batch",
        {"messages": [MESSAGE, foreign, wrong, 5, MESSAGE]},
        Idempotency_Key="k",
    )

    assert answer.status == 200
    results = answer.value["results"]
    assert [one["status"] for one in results] == [202, 403, 422, 422, 202]
    assert results[2]["pointer"] == "/messages/2/attachments/0/content"
    assert results[3]["pointer"] == "/messages/3"
    assert {one["id"] for one in results if "id" in one} == {
        kept.id.hex for kept in http_door.intake.accepted
    }
    assert sorted(kept.terms.key.text for kept in http_door.intake.accepted if kept.terms.key) == [
        "k/0",
        "k/4",
    ]


async def test_a_fault_of_ours_about_one_message_of_a_batch_stops_no_other(
    http: HttpWireClient, http_door: RunningHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(body: MessageBody) -> NewMessage:
        if body.subject == "Hello":
            return new_message(body)
        raise RuntimeError("a bug")

    monkeypatch.setattr("ingest.http.native_api.new_message", faulty)
    messages = [MESSAGE, {**MESSAGE, "subject": "x"}, MESSAGE]
    answer = await http.post("/v1/messages/batch", {"messages": messages})
    assert [202, 503, 202] == [each["status"] for each in answer.value["results"]]
    assert len(http_door.intake.accepted) == 2


async def test_a_batch_has_its_limits(http: HttpWireClient, http_door: RunningHttp) -> None:
    assert (await http.post("/v1/messages/batch", {"messages": [MESSAGE] * 1_000})).status == 200
    assert len(http_door.intake.accepted) == 1_000
    for messages in ([MESSAGE] * 1_001, []):
        answer = await http.post("/v1/messages/batch", {"messages": messages})
        assert (answer.status, answer.value["pointer"]) == (422, "/messages")


# Afterwards.


def kept(door: RunningHttp, **more: Any) -> UUID:
    id_ = new_id()
    door.kept.timelines[id_] = Timeline(
        {
            "id": id_,
            "account_id": CALLER.account_id,
            "credential_id": UUID(int=98),
            "send_at": None,
            "sender": "jo@a.example",
            "lane": 3,
            "size": 5,
            **more,
        },
        [],
        [],
        [],
    )
    return id_


async def test_what_became_of_a_message_is_told(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    id_ = kept(http_door)
    answer = await http.request("GET", f"/v1/messages/{id_.hex}")

    assert answer.status == 200
    assert (answer.value["id"], answer.value["from"]) == (id_.hex, "jo@a.example")


async def test_messages_of_others_are_not_told(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    id_ = kept(http_door, account_id=UUID(int=99))
    for path in (id_.hex, new_id().hex, "x", "%00", "0" * 33):
        for method, more in (("GET", ""), ("POST", "/cancel")):
            assert (await http.request(method, f"/v1/messages/{path}{more}")).status == 404
    answer = await http.request("GET", f"/v1/messages/{id_.hex}", None, {"Authorization": ""})
    assert answer.status == 401


async def test_a_user_is_told_of_what_it_submitted_for_a_child_of_its_account(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    id_ = kept(http_door, account_id=UUID(int=99), credential_id=CALLER.credential_id)
    assert (await http.request("GET", f"/v1/messages/{id_.hex}")).status == 200


async def test_a_scheduled_message_is_cancelled(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    id_ = kept(http_door)
    assert (await http.request("POST", f"/v1/messages/{id_.hex}/cancel")).status == 409
    http_door.kept.scheduled.add(id_)

    assert (await http.request("POST", f"/v1/messages/{id_.hex}/cancel")).status == 200
    assert http_door.kept.cancelled_by == {id_: "HTTP: user"}


# Paths.


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/", 404, None),
        ("GET", "/v1/messages", 405, "POST"),
        ("DELETE", "/v1/messages", 405, "POST"),
        ("POST", "/v1/messages/", 404, None),
        ("POST", "/v1//messages", 404, None),
        ("POST", "/v1/%6dessages", 404, None),
        ("OPTIONS", "/v1/messages", 405, "POST"),
        ("GET", "/" + "a" * 5_000, 404, None),
    ],
)
async def test_other_paths_and_methods_are_refused(
    http: HttpWireClient, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = await http.request(method, path)

    assert (answer.status, answer.fields.get("allow")) == (status, allowed)
    assert answer.fields["content-type"] == "application/problem+json"


async def test_another_media_type_is_refused(http: HttpWireClient) -> None:
    answer = await http.request("POST", "/v1/messages", b"{}", {"Content-Type": "text/xml"})

    assert (answer.status, answer.fields["accept-post"]) == (
        415,
        "application/json, message/rfc822",
    )


def with_knobs(**knobs: Any) -> Login:
    own = AccountProfile(CALLER.account_id, "own", 1, "native", 1, knobs)
    return replace(CALLER, profile="own", own_profile=own)
