"""The demo's application: it submits messages to the relay over SMTP, as any program does."""

import re
import smtplib
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

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


def submit(relay: Endpoint, sender: DemoSender, parcels: Sequence[DemoMessage]) -> list[Accepted]:
    """Submit *parcels* over a few connections with STARTTLS and AUTH; raises NotAccepted."""
    shares = [share for n in range(_CONNECTIONS) if (share := parcels[n::_CONNECTIONS])]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        done = pool.map(lambda share: _submit_share(relay, sender, share), shares)
        return [accepted for share in done for accepted in share]


def _submit_share(
    relay: Endpoint, sender: DemoSender, parcels: Sequence[DemoMessage]
) -> list[Accepted]:
    try:
        with _connected(relay, sender) as client:
            return [_submit_one(client, sender, parcel) for parcel in parcels]
    except (OSError, smtplib.SMTPException) as error:
        raise NotAccepted(f"submission to {relay}: {error}") from error


@contextmanager
def _connected(relay: Endpoint, sender: DemoSender) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    # The relay of the demo has signed its certificate itself.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP(relay.host, relay.port, timeout=_SECONDS) as client:
        client.starttls(context=context)
        client.login(sender.username, sender.secret)
        yield client


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
