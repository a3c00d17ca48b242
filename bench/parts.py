"""What ingest spends on a message, part by part: `python -m bench.parts`.

The same message in JSON (12 KB, of which a multipart message is made), as it is by HTTP (10 KB),
and by SMTP (10 KB, over a kept connection), in microseconds of CPU: medians of rounds in which all
parts take turns. `python -m bench.door` measures the whole, with event loop and sockets.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar, cast

from bench.load import Load, Plan
from bench.load_http import Form
from bench.load_session import Door
from bench.open_store import open_context
from bench.preparing import measured

from ingest.core.message_body import MessageBody, new_message, options_of
from ingest.core.mime_maker import Making, made
from ingest.core.raw_envelope import raw_envelope
from ingest.core.request_json import as_kind, parsed
from ingest.core.rules import Client
from ingest.http.door import HttpDoor
from ingest.http.http_request import HttpRequest
from ingest.http.native_bodies import TakenBody
from ingest.http.request_parser import RequestHead, RequestParser
from ingest.http.session import encoded
from ingest.http.wire import HttpWire
from ingest.listeners import Listener
from ingest.message_intake import Admitted, Given, MessageIntake
from ingest.session_context import Limits
from posthouse.http.http_response import json_response
from posthouse.mail.reply import Reply
from posthouse.running.common_settings import LogFormat
from posthouse.running.logs import configure
from posthouse.smtp.commands import Mail
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import AuthRequest, DataRequest, MessageReceived, ServerConfig

T = TypeVar("T")

_SIZES = {Form.RAW: 10_240, Form.JSON: 12_288}
_SENDER, _RECIPIENT = "news@sender.example", "user0@dest.example"
_TAKEN = Reply(250, "Ok", "2.0.0")
_MAKING = Making("<1@sender.example>", datetime(2026, 3, 1, tzinfo=UTC), "0" * 32)
_CLIENT = Client("127.0.0.1", "", "")
_DOOR = Door("127.0.0.1", 0, "user", "secret")


class Part(NamedTuple):
    """One of them."""

    ways: str  # that have it, as their initials: JSON, HTTP, SMTP
    name: str
    pay: Callable[[int], object]


async def main() -> None:
    """Measure and print; parts that could wait need a loop."""
    _measure(_all_parts())


def _measure(parts: Sequence[Part]) -> None:
    with Path(os.devnull).open("w") as nowhere:
        writer = configure("bench", form=LogFormat.JSON, stream=nowhere)
        rounds = measured({f"{p.ways} {p.name}": p.pay for p in parts}, after=writer.flush)
    medians = [median(seen) for seen in rounds.values()]
    print(f"{'CPU, microseconds':52} {'JSON':>7} {'HTTP':>7} {'SMTP':>7}")
    for part, cost in zip(parts, medians, strict=True):
        print(f"{part.name:52}{_cells(dict.fromkeys(part.ways, cost))}")
    sums = {
        way: sum(cost for part, cost in zip(parts, medians, strict=True) if way in part.ways)
        for way in "JHS"
    }
    print(f"{'all':52}{_cells(sums)}")


def _cells(costs: Mapping[str, float]) -> str:
    return "".join(f"{costs[way]:8.1f}" if way in costs else " " * 8 for way in "JHS").rstrip()


def _all_parts() -> list[Part]:
    context = open_context(Limits())
    listener = Listener.parse("127.0.0.1:2580/http")
    door, intake = HttpDoor(context, listener), MessageIntake(context, listener.name)
    json, content = _posted(Form.JSON), _posted(Form.RAW)
    request = HttpRequest(_read(content), cast("HttpWire", None), context.memory)  # body not asked
    request.client = _CLIENT.address
    facts = _done(door.callers.facts(request))
    found = parsed(json.text)
    body = as_kind(found, MessageBody)
    message = new_message(body)
    multipart = made(message, _MAKING)

    def admitted(octets: bytes) -> Admitted:
        given = Given([octets], _SENDER, (_RECIPIENT,), False, _CLIENT)  # noqa: FBT003 -- a tuple
        done = _done(intake.admit(given, facts))
        assert isinstance(done, Admitted)
        return done

    kept = admitted(content.text)
    pieces, most = [content.text], facts.max_header_octets
    return [
        Part("J", "read the request", lambda _: _read(json)),
        Part("H", "read the request", lambda _: _read(content)),
        Part("S", "read commands and text, write replies", _conversation(content.text)),
        Part("JH", "prove who calls", lambda _: _done(door.callers.facts(request))),
        Part("J", "parse the JSON, strictly", lambda _: parsed(json.text)),
        Part("J", "into its type", lambda _: as_kind(found, MessageBody)),
        Part("J", "check each value", lambda _: (new_message(body), options_of(body))),
        Part("J", "make the MIME", lambda _: made(message, _MAKING)),
        Part("H", "look for bare line ends", lambda _: door.cleaned(request, facts, content.text)),
        Part("H", "envelope of the header", lambda _: raw_envelope(pieces, most, None, None)),
        Part("J", "header, rules, submission", lambda _: admitted(multipart)),
        Part("HS", "header, rules, submission", lambda _: admitted(content.text)),
        Part("JHS", "submit, log, count", lambda _: _done(intake.keep((kept,), facts))),
        Part("JH", "write the answer", lambda _: _answer(kept.message.id.hex)),
    ]


class _Posted(NamedTuple):
    head: bytes
    text: bytes


def _posted(form: Form) -> _Posted:
    """A request of the load generator."""
    plan = Plan(_DOOR, size=_SIZES[form], sender=_SENDER, http=form)
    (head,), text = Load(plan).message(0, 0, _RECIPIENT)
    return _Posted(head, text)


def _read(request: _Posted) -> RequestHead:
    parser = RequestParser(65_536)
    parser.feed(b"".join(request))
    parser.take()
    assert parser.head is not None
    return parser.head


def _conversation(text: bytes) -> Callable[[int], object]:
    """One message after the other, in one session."""
    config = ServerConfig("relay.bench.example", max_message_octets=1 << 25, max_recipients=1_000)
    server = SmtpServer(config, lambda *_: None)
    server.receive(b"EHLO load.sender.example\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n")
    assert isinstance(server.next_event(), AuthRequest)
    server.log_in(1 << 25)
    envelope = f"MAIL FROM:<{_SENDER}>\r\nRCPT TO:<{_RECIPIENT}>\r\nDATA\r\n".encode()

    def message(_: int) -> None:
        server.receive(envelope)
        mail = server.next_event()
        assert isinstance(mail, Mail)
        server.accept_sender(mail)
        assert isinstance(server.next_event(), DataRequest)
        server.begin_data(None, cleans=True)
        server.take_output()
        server.receive(text + b".\r\n")
        assert isinstance(server.next_event(), MessageReceived)
        server.answer(_TAKEN)
        server.take_output()

    return message


def _answer(id_: str) -> bytes:
    answer = json_response(202, TakenBody(id_, repeated=False), ("location", f"/v1/messages/{id_}"))
    return encoded(answer, last=False, without_body=False)


def _done(work: Coroutine[Any, Any, T]) -> T:
    """What *work* gives, which waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


if __name__ == "__main__":
    asyncio.run(main())
