"""Octets meant to do harm, in every place of a request: refused with a pointer, or kept as text.

What is kept has the header fields that the request asked for and no others, whatever stands in
their values; and nothing of it begins a line of the log.
"""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

from posthouse.mail.submission import Submission
from posthouse.running import logs
from servers.http_door import BEARER, MESSAGE, Answer, OpenHttpDoor, RunningHttp

HOSTILE = (
    *("\r", "\n", "\r\n", "\r\nBcc: evil@evil.example\r\n", "\r\n\r\nbody", "\n.\r\n"),
    *("\0", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b[2J", "\x1f", "\x7f"),
    *("\x80", "\x85", "\x9b31m", "\x9f", "\xa0", "\xad"),
    *("\u200b", "\u200e", "\u2028", "\u2029", "\u202e", "\u2066", "\u2069", "\ufeff"),
    *("\ud800", "\udc00", "\udfff\ud800", "\ufffe", "\ufffd", "\U0001f4a9", "\U0010ffff"),
    *("=?utf-8?q?=0D=0ABcc:_evil@evil.example?=", "=?utf-7?q?+AAo-?=", "%0d%0aBcc:%20evil", "%00"),
    *('"', "\\", "<", ">", ",", ";", ":", "@", "(", "{", "\t", " ", "'", "`", "$", "&lt;"),
    *("x" * 999, "é" * 500, "a " * 600),
)
OURS = Counter(["from", "to", "subject", "date", "message-id", "mime-version", "content-type"])
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def given(path: str, text: str) -> dict[str, Any]:
    """`MESSAGE` with *text* at *path*, whose last step may be a name to make of it."""
    message: dict[str, Any] = deepcopy(MESSAGE)
    value: Any = f"a{text}b"
    for step in reversed(path.split("/")[2:]):
        value = [value] if step == "0" else {step if step != "*" else f"X-{text}": value}
    message[path.split("/")[1]] = value
    return message


def mailbox(path: str, text: str) -> dict[str, Any]:
    """The same for a field of an address object."""
    name, _, field = path[1:].partition("/")
    one = {"email": "jo@a.example", "name": "Jo"}
    one[field] = f"jo{text}@a.example" if field == "email" else f"a{text}b"
    return {**MESSAGE, name: one}


def file(path: str, text: str) -> dict[str, Any]:
    """The same for a field of an attachment."""
    field = path.rpartition("/")[2]
    ends = {"content_type": "text/{}x", "filename": "a{}b.txt", "content_id": "a{}b"}
    one = {"content": b64encode(b"text").decode(), field: ends.get(field, "{}").format(text)}
    return {**MESSAGE, "html": '<img src="cid:a">', "attachments": [one]}


Made = Callable[[str, str], dict[str, Any]]
PLACES: dict[str, Made] = {
    **dict.fromkeys(("/from", "/to", "/to/0", "/cc/0", "/bcc/0", "/reply_to"), given),
    **dict.fromkeys(("/subject", "/text", "/html", "/tags/0", "/stream", "/send_at"), given),
    **dict.fromkeys(("/headers/X-Test", "/headers/References", "/headers/*"), given),
    **dict.fromkeys(("/headers/Message-ID", "/metadata/a", "/metadata/*", "/priority"), given),
    **{f"/{name}/{field}": mailbox for name in ("from", "to", "cc") for field in ("email", "name")},
    **{
        f"/attachments/0/{field}": file
        for field in ("content", "filename", "content_type", "content_id")
    },
}
# Where text may stand that is no name, address or word: what is kept of it.
TEXTS: dict[str, Callable[[Message], str]] = {
    "/subject": lambda message: decoded(message["Subject"]),
    "/headers/X-Test": lambda message: decoded(message["X-Test"]),
    "/from/name": lambda message: decoded(parseaddr(str(message["From"]))[0]),
}


def decoded(value: object) -> str:
    return str(make_header(decode_header(str(value).replace("\r\n", ""))))


@pytest.fixture
def log_lines() -> Iterator[list[bytes]]:
    """All that is logged, each as JSON and as a terminal gets it."""
    lines: list[bytes] = []

    def collect(logger: Any, method: str, event: EventDict) -> EventDict:
        lines.append(logs._json_line(logger, method, {**event, "level": method}))
        line: Any = {**event, "level": method}
        for step in logs._readable_lines(colors=False):
            line = step(logger, method, line)
        lines.append(line)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[collect], cache_logger_on_first_use=False)
    yield lines
    structlog.configure(**before)


def check_problem(answer: Answer) -> Any:
    assert answer.fields["content-type"] == "application/problem+json"
    problem = answer.value
    assert set(problem) <= {"type", "title", "status", "detail", "pointer", "code"}
    assert problem["detail"].isprintable(), problem
    return problem


def check_refused(answer: Answer, path: str, text: str) -> None:
    problem = check_problem(answer)
    assert answer.status in (403, 422), (path, text, answer)
    if "code" in problem:  # by a rule of the profile, as SMTP says it
        return
    where = problem.get("pointer", "")
    is_there = where and (path.startswith(where) or where.startswith(path.removesuffix("*")))
    assert is_there or "half of a surrogate pair" in problem["detail"], (path, text, problem)


def check_kept(kept: Submission, path: str, text: str) -> None:
    header = kept.header.decode()
    assert kept.header.isascii() or kept.smtputf8
    lines = header.split("\r\n")
    assert not [line for line in lines if CONTROLS.search(line.replace("\t", " "))], (path, header)
    message = message_from_bytes(kept.header + kept.body)
    names = Counter(name.lower() for name in message)
    also = {"/cc": "cc", "/reply_to": "reply-to", "/headers/X-Test": "x-test"}
    also |= {"/headers/References": "references", "/headers/*": f"x-{text}".lower()}
    expected = OURS + Counter(name for place, name in also.items() if path.startswith(place))
    assert names - Counter(["content-transfer-encoding"]) == expected, (path, header)
    assert not {to for to in kept.recipients if "evil" in to}
    if path in TEXTS:
        kept_text = TEXTS[path](message)
        assert not CONTROLS.search(kept_text.replace("\t", " "))
        # What an application wrote as encoded words is read as such.
        assert kept_text.strip() == f"a{text}b" or "=?" in text, (path, header)


# What stands before and behind the octets in a request, and with what media type.
JSON, RAW = "application/json", "message/rfc822"
WHERE = {
    "target": (b"GET /%s HTTP/1.1\r\n", JSON),
    "id": (b"GET /v1/messages/%s HTTP/1.1\r\n", JSON),
    "cancelled id": (b"POST /v1/messages/%s/cancel HTTP/1.1\r\n", JSON),
    "query": (b"POST /v1/messages?a=%s HTTP/1.1\r\n", RAW),
    **{
        name: (b"POST /v1/messages HTTP/1.1\r\n" + name.encode() + b": a%sb\r\n", RAW)
        for name in (
            *("Posthouse-Sender", "Posthouse-Recipients", "Idempotency-Key", "User-Agent"),
            *("X-Forwarded-For", "X-Forwarded-Proto", "Expect", "Upgrade", "Connection"),
        )
    },
    "a name of a field": (b"POST /v1/messages HTTP/1.1\r\na%sb: c\r\n", RAW),
    "Host": (b"POST /v1/messages HTTP/1.1\r\nHost: a%sb\r\n", RAW),
    "Content-Type": (b"POST /v1/messages HTTP/1.1\r\nContent-Type: a%sb\r\n", ""),
    "Bearer": (b"POST /v1/messages HTTP/1.1\r\nAuthorization: Bearer us%s.er\r\n", RAW),
    "Basic": (b"POST /v1/messages HTTP/1.1\r\nAuthorization: Basic %s\r\n", RAW),
}
OCTETS = (
    *(text.encode() for text in HOSTILE if not re.search("[\ud800-\udfff]", text)),
    *(b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x85", b"\xe2\x80"),
    *(
        b"%85",
        b"%E2%80%A8",
        b"%ed%a0%80",
        b"%",
        b"%zz",
        b"/../",
        b"..%2f",
        b"#",
        b"?",
        b"x" * 70_000,
    ),
)
MAIL = b"From: jo@a.example\r\nTo: x@there.example\r\nMessage-ID: <1@a.example>\r\n\r\nHi\r\n"


def request(where: str, octets: bytes) -> bytes:
    start, media_type = WHERE[where]
    if where == "Basic":
        octets = b64encode(b"us" + octets + b"er:the secret")
    fields = {"Host": "a", "Authorization": BEARER, "Content-Type": media_type}
    head = "".join(
        f"{n}: {v}\r\n" for n, v in fields.items() if f"{n}: ".encode() not in start and v
    )
    length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(MAIL)
    return start.replace(b"%s", octets) + head.encode() + length + MAIL


@pytest.mark.parametrize("where", WHERE)
async def test_hostile_octets_of_a_request_change_nothing_of_a_message(
    open_http: OpenHttpDoor, log_lines: list[bytes], where: str
) -> None:
    door = await open_http("http+proxy=127.0.0.0/8", login_failure_seconds=0.0)
    for octets in OCTETS:
        door.context.authenticator._limits._of_address._entries.clear()
        client = await door.connect()
        await client.send(request(where, octets))
        answer = await client.answer()
        if answer.status >= 400:
            check_problem(answer)
        client.writer.close()
    for kept in door.intake.accepted:
        assert kept.header + kept.body == MAIL
        envelope = (kept.sender, *kept.recipients, kept.client)
        assert not [text for text in envelope if CONTROLS.search(text)]
        key = kept.terms.key
        assert key is None or re.fullmatch("[ -~]{1,255}", key.text)
    check_log(log_lines)


def check_log(lines: Sequence[bytes]) -> None:
    assert lines
    for line in lines:
        text = line.decode()
        assert text.isprintable() or (text.startswith("{") and not re.search("[\x00-\x1f]", text))


@pytest.mark.parametrize("path", PLACES)
async def test_hostile_text_is_refused_by_its_pointer_or_kept_as_text(
    http_door: RunningHttp, log_lines: list[bytes], path: str
) -> None:
    client = await http_door.connect()
    for text in HOSTILE:
        answer = await client.post("/v1/messages", PLACES[path](path, text))
        if answer.status == 202:
            check_kept(http_door.intake.accepted[-1], path, text)
        else:
            check_refused(answer, path, text)
    check_log(log_lines)
