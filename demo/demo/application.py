"""The demo's application: it submits messages to the relay over SMTP, as any program does."""

import re
import smtplib
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Self

from posthouse.mail.lane import Lane
from posthouse.running.tcp import Endpoint

_SECONDS = 30
_CONNECTIONS = 8
_OK = 250
_QUEUED_AS = re.compile(rb"queued as ([0-9a-f]{32})")
_TEXT = "The rider changed horses and was gone before the dust had settled.\n" * 20


class NotAccepted(Exception):
    """The relay did not accept a message; the text is its reply."""


@dataclass(frozen=True, slots=True)
class DemoSender:
    """A user of the relay, and the address it sends from."""

    username: str
    secret: str
    address: str


@dataclass(frozen=True, slots=True)
class DemoMessage:
    """A message to be submitted."""

    lane: Lane
    recipients: tuple[str, ...]
    subject: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that the relay has accepted."""

    parcel: DemoMessage
    id: str
    at: float  # when its 250 came, in seconds since 1970


class Application:
    """Submits over a few connections, with STARTTLS and AUTH, that it keeps for the next messages.

    A context manager that opens and closes them; raises NotAccepted, as `submit` does.
    """

    def __init__(self, relay: Endpoint, sender: DemoSender) -> None:
        self._relay = relay
        self._sender = sender
        self._clients: list[smtplib.SMTP] = []

    def __enter__(self) -> Self:
        with self._refusing(), ThreadPoolExecutor(_CONNECTIONS) as pool:
            self._clients = list(pool.map(lambda _: self._connected(), range(_CONNECTIONS)))
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            with suppress(OSError, smtplib.SMTPException):
                client.quit()

    def submit(self, parcels: Sequence[DemoMessage]) -> list[Accepted]:
        """Submit *parcels*; returns when all are accepted."""

        def submit_share(number: int) -> list[Accepted]:
            client = self._clients[number]
            return [
                _submit_one(client, self._sender, parcel)
                for parcel in parcels[number::_CONNECTIONS]
            ]

        with self._refusing(), ThreadPoolExecutor(_CONNECTIONS) as pool:
            done = pool.map(submit_share, range(_CONNECTIONS))
            return [accepted for share in done for accepted in share]

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        # The relay of the demo has signed its certificate itself.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = smtplib.SMTP(self._relay.host, self._relay.port, timeout=_SECONDS)
        client.starttls(context=context)
        client.login(self._sender.username, self._sender.secret)
        return client

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, smtplib.SMTPException) as error:
            raise NotAccepted(f"submission to {self._relay}: {error}") from error


def _submit_one(client: smtplib.SMTP, sender: DemoSender, parcel: DemoMessage) -> Accepted:
    message = EmailMessage()
    message["From"] = f"Posthouse demo <{sender.address}>"
    message["To"] = ", ".join(parcel.recipients)
    message["Subject"] = parcel.subject
    message["X-Priority"] = str(parcel.lane.value)
    message.set_content(_TEXT)
    replies = [client.mail(sender.address), *map(client.rcpt, parcel.recipients)]
    replies.append(client.data(message.as_bytes(policy=SMTP)))
    for code, text in replies:
        if code != _OK:
            raise NotAccepted(f"{parcel.subject}: {code} {text.decode(errors='replace')}")
    queued = _QUEUED_AS.search(replies[-1][1])
    if queued is None:
        raise NotAccepted(f"no id in the reply {replies[-1][1].decode(errors='replace')!r}")
    return Accepted(parcel, queued[1].decode(), time.time())
