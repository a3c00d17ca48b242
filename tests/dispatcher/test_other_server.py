"""Our client and aiosmtpd, an implementation that is not ours, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trustme
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Received

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.router import MxResolver
from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest, Return
from posthouse.mail.outcome import Bounced, Delivered

# Dots at line starts, lines of the greatest length there is, octets above 127, no text at all.
BODIES = {
    "dots": b".first\r\n..second\r\n.\r\nlast\r\n",
    "long lines": (b"x" * 998 + b"\r\n") * 1_000,
    "eight bit": "grüße\r\n".encode() * 50,
    "empty": b"",
}


@dataclass
class Inbox:
    """aiosmtpd's hooks: keeps what was taken, and offers what it is told to."""

    pipelining: bool = False
    dsn: bool = False  # of which aiosmtpd knows nothing
    received: list[Received] = field(default_factory=list)

    async def handle_EHLO(
        self, _: SMTP, session: Session, __: Received, hostname: str, responses: list[str]
    ) -> list[str]:
        """See the class."""
        session.host_name = hostname
        more = ["250-PIPELINING"] * self.pipelining + ["250-DSN"] * self.dsn
        return [*responses[:-1], *more, responses[-1]]

    async def handle_RCPT(
        self, _: SMTP, __: Session, envelope: Received, address: str, ___: list[str]
    ) -> str:
        """Refuse nobody@."""
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Received) -> str:
        """Take a message."""
        self.received.append(envelope)
        return "250 2.0.0 taken"


@pytest.fixture(scope="module")
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.example").configure_cert(context)
    return context


@asynccontextmanager
async def serving(inbox: Inbox, context: ssl.SSLContext | None = None) -> AsyncIterator[Route]:
    """A route to aiosmtpd with *inbox* behind it."""
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(inbox, hostname="mx.example", tls_context=context, enable_SMTPUTF8=True),
        "127.0.0.1",
        0,
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Route((("127.0.0.1",),), port, "test", TlsPolicy.OPPORTUNISTIC, static=True)


@asynccontextmanager
async def client() -> AsyncIterator[ConnectionPool]:
    made = ConnectionPool("relay.example", MxResolver(["127.0.0.1:9"]), RefusedHosts(frozenset()))
    try:
        yield made
    finally:
        await made.close()


def envelope(body: bytes, *recipients: str) -> Envelope:
    header = "Subject: grüße\r\n\r\n".encode()
    return Envelope("s@relay.example", recipients or ("x@mx.example",), header, body)


@pytest.mark.parametrize("pipelining", [False, True], ids=["one by one", "pipelining"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "tls"])
async def test_every_message_arrives_whole(
    server_context: ssl.SSLContext, *, encrypted: bool, pipelining: bool
) -> None:
    inbox = Inbox(pipelining)
    async with serving(inbox, server_context if encrypted else None) as to, client() as sender:
        sent = [await sender.send(to, envelope(body)) for body in BODIES.values()]

    assert all(isinstance(outcome, Delivered) for s in sent for outcome in s.outcomes)
    assert [encrypted] * len(sent) == [s.tls.startswith("TLSv1.") for s in sent]
    expected = [envelope(body).header + body for body in BODIES.values()]
    assert expected == [received.content for received in inbox.received]
    assert {"s@relay.example"} == {received.mail_from for received in inbox.received}
    assert all("BODY=8BITMIME" in received.mail_options for received in inbox.received)


@pytest.mark.parametrize("pipelining", [False, True], ids=["one by one", "pipelining"])
async def test_each_recipient_has_its_own_result(*, pipelining: bool) -> None:
    message = envelope(b"hi\r\n", "nobody@mx.example", "x@mx.example", "jörg@mx.example")
    inbox = Inbox(pipelining)
    async with serving(inbox) as to, client() as sender:
        sent = await sender.send(to, message)
        again = await sender.send(to, envelope(b"again\r\n"))

    assert [Bounced, Delivered, Delivered] == [type(outcome) for outcome in sent.outcomes]
    assert ["x@mx.example", "jörg@mx.example"] == inbox.received[0].rcpt_tos
    assert isinstance(again.outcomes[0], Delivered)
    assert "SMTPUTF8" in inbox.received[0].mail_options


@pytest.mark.parametrize("pipelining", [False, True], ids=["one by one", "pipelining"])
@pytest.mark.parametrize(
    "asked",
    [
        DsnRequest(Return.FULL, "QQ"),
        DsnRequest(recipients={"x@mx.example": RecipientRequest((Notify.SUCCESS,))}),
    ],
    ids=["MAIL", "RCPT"],
)
async def test_a_server_that_offers_dsn_and_refuses_it_gets_the_message_without(
    asked: DsnRequest, *, pipelining: bool
) -> None:
    """It has a 555 for parameters that it does not know."""
    inbox = Inbox(pipelining, dsn=True)
    async with serving(inbox) as to, client() as sender:
        sent = [await sender.send(to, replace(envelope(b"hi\r\n"), dsn=asked)) for _ in range(2)]

    assert [(Delivered, False)] * 2 == [
        (type(outcome), getattr(outcome, "asked_for_reports", None))
        for one in sent
        for outcome in one.outcomes
    ]
    assert [["x@mx.example"]] * 2 == [received.rcpt_tos for received in inbox.received]
