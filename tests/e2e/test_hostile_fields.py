"""Whatever octets a client gives for a field, log, rows and headers are clean: a line an event."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from bench.sink import Sink
from bench.sink_session import Manners

from chaos.relay import SENDER_DOMAIN, Onebox
from servers.door import Wire
from servers.patience import eventually

MARK = b"hostile"
# Between two marks: what ends a line for somebody, what a terminal obeys, what turns text around,
# and what is no UTF-8.
OCTETS = {
    "nul": b"\0",
    "bell": b"\a",
    "escape": b"\x1b[31m\x1b]0;title\a",
    "backspace": b"\b\b",
    "vertical_tab": b"\v",
    "form_feed": b"\f",
    "separator": b"\x1c",
    "delete": b"\x7f",
    "next_line": b"\xc2\x85",
    "line_separator": b"\xe2\x80\xa8",
    "turned_around": b"\xe2\x80\xae",
    "no_utf8": b"\xff\xfe\x80",
    "bare_cr": b"\r250 forged",
    "quotes": b'","event":"accepted","x":"',
    "tab": b"\t",
}
BODY = b"\r\nHello.\r\n.\r\n"
TEXTS = """
SELECT 'submissions', id::text, to_jsonb(s)::text FROM submissions s
UNION ALL SELECT 'events', id::text, to_jsonb(e)::text FROM events e
UNION ALL SELECT 'deliveries', id::text, to_jsonb(d)::text FROM deliveries d
UNION ALL SELECT 'attempts', delivery_id::text, to_jsonb(a)::text FROM attempts a
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Onebox]:
    folder = tmp_path_factory.mktemp("relay")
    folder.chmod(0o711)
    onebox = Onebox(folder, {"POSTHOUSE_WORKERS": "1", "POSTHOUSE_LOG_LEVEL": "info"})
    try:
        await onebox.start()
        yield onebox
    finally:
        await onebox.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sink(relay: Onebox) -> AsyncIterator[Sink]:
    async with Sink(Manners(keep=True), port=relay.sink_port) as running:
        yield running


def conversations(word: bytes, proof: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Sessions, by the field that *word* is given for; *proof* logs in."""
    hello, login = b"EHLO app.example", b"AUTH PLAIN " + proof
    sender = b"MAIL FROM:<app@" + SENDER_DOMAIN.encode() + b">"
    to, author = b"RCPT TO:<ann@dest.example>", b"From: app@" + SENDER_DOMAIN.encode() + b"\r\n"
    mail = [hello, login, sender, to, b"DATA"]
    plain = base64.b64encode(b"\0" + word + b"\0" + word)
    yield "verb", [word]
    yield "EHLO", [b"EHLO " + word, *mail[1:], author + BODY]
    yield "HELO", [b"HELO " + word]
    yield "AUTH mechanism", [hello, b"AUTH " + word]
    yield "AUTH PLAIN", [hello, b"AUTH PLAIN " + plain]
    yield "AUTH LOGIN", [hello, b"AUTH LOGIN", base64.b64encode(word), base64.b64encode(word)]
    scram = base64.b64encode(b"n,,n=" + word + b",r=abc")
    yield "AUTH SCRAM", [hello, b"AUTH SCRAM-SHA-256 " + scram]
    yield "MAIL", [hello, login, b"MAIL FROM:<" + word + b"@" + SENDER_DOMAIN.encode() + b">"]
    yield "MAIL quoted", [hello, login, b'MAIL FROM:<"' + word + b'"@x.example>', to]
    yield "MAIL parameter", [hello, login, sender + b" SMTPUTF8 " + word + b"=" + word]
    yield "MAIL ENVID", [hello, login, sender + b" ENVID=" + word, to]
    yield "RCPT", [*mail[:3], b"RCPT TO:<" + word + b"@dest.example>", b"DATA", author + BODY]
    yield "RCPT domain", [*mail[:3], b"RCPT TO:<ann@" + word + b".example>"]
    yield "RCPT ORCPT", [*mail[:3], to + b" ORCPT=rfc822;" + word]
    for name in (b"Subject", b"To", b"Message-ID", b"Date", b"X-Posthouse-Tag", b"X-Unknown",
                 b"X-Posthouse-Metadata", b"X-Posthouse-Send-At", b"X-Posthouse-Idempotency-Key",
                 b"Content-Type", b"Received"):  # fmt: skip
        yield name.decode(), [*mail, author + name + b": " + word + b"\r\n" + BODY]
    yield "From", [*mail, b"From: " + word + b" <app@" + SENDER_DOMAIN.encode() + b">\r\n" + BODY]
    yield "a field's name", [*mail, author + word + b": x\r\n" + BODY]
    yield "body", [*mail, author + b"\r\n" + word + BODY]


async def play(relay: Onebox, lines: list[bytes]) -> list[str]:
    """Say *lines* one after the other, until the server closes; its replies, which are ASCII."""
    door = relay.customer.normal
    wire = Wire(*await asyncio.open_connection(door.host, door.port))
    replies = [await wire.reply()]
    for line in lines:
        await wire.send(line if line.endswith(b"\r\n.\r\n") else line + b"\r\n")
        replies.append(await wire.reply())
        if not replies[-1] or replies[-1].startswith("421"):
            break
    wire.writer.close()
    return replies


def is_clean(text: str) -> bool:
    return all(character.isprintable() for character in text)


@pytest.mark.usefixtures("sink")
@pytest.mark.parametrize("name", OCTETS)
async def test_every_field_of_a_session_may_hold_anything(relay: Onebox, name: str) -> None:
    door = relay.customer.normal
    proof = base64.b64encode(f"\0{door.user}\0{door.secret}".encode())
    word = MARK + OCTETS[name] + MARK
    for field, lines in conversations(word, proof):
        replies = await play(relay, lines)
        text = "".join(replies).replace("\n", "")
        assert is_clean(text), (field, replies)
        assert text.isascii(), (field, replies)
        # Nothing of it was taken for a reply, and no fault of ours was found.
        assert not any("Internal fault" in reply for reply in replies), (field, replies)


async def test_log_rows_and_messages_are_clean_afterwards(relay: Onebox, sink: Sink) -> None:
    connection = await asyncpg.connect(relay.database_url)

    async def is_done() -> bool:
        return not await connection.fetchval(
            "SELECT (SELECT count(*) FROM due_submissions) + (SELECT count(*) FROM due_deliveries)"
        )

    await eventually(is_done, within=30)
    rows = await connection.fetch(TEXTS)
    await connection.close()
    dirty = [tuple(row) for row in rows if not is_clean(unescaped(json.loads(row[2])))]
    assert [] == dirty
    assert any(MARK.decode() in row[2] for row in rows)

    lines = (relay.folder / "onebox.log").read_bytes().decode().split("\n")
    assert "" == lines.pop()
    assert [] == [line for line in lines if not is_clean(line)]
    assert any(MARK.decode() in line for line in lines)
    events = [json.loads(line) for line in lines]
    assert [] == [e for e in events if e.get("level") in ("error", "critical")]
    told = {event.get("event") for event in events}
    assert {"accepted", "auth_failed", "rejected"} <= told

    assert len(sink.arrivals) > 20
    for arrival in sink.arrivals:
        header = arrival.content.partition(b"\r\n\r\n")[0]
        assert b"\0" not in arrival.content
        assert header.count(b"\r") == header.count(b"\n") == header.count(b"\r\n")
        trace = header[header.lower().index(b"received:") :].partition(b"\r\n")[0]
        assert is_clean(trace.decode("ascii")), trace


def unescaped(value: Any) -> str:
    """Every text in a value of JSON, keys included."""
    if isinstance(value, dict):
        return "".join(unescaped(k) + unescaped(v) for k, v in value.items())
    if isinstance(value, list):
        return "".join(map(unescaped, value))
    return value if isinstance(value, str) else ""
