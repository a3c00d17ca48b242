"""`posthouse send`."""

import re
import smtplib
import ssl
import sys
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from enum import StrEnum
from pathlib import Path

import click

from command.context import LANE
from posthouse.mail.lane import Lane

_SECONDS = 30
_LINE_END = re.compile(rb"\r\n|\r|\n")
_REFUSED = 300  # and above


class Tls(StrEnum):
    """How the connection is secured."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class _Relay:
    host: str
    port: int
    tls: Tls
    username: str | None
    secret: str | None


@click.command
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=2587, show_default=True)
@click.option(
    "--tls",
    type=click.Choice([mode.value for mode in Tls]),
    default=Tls.STARTTLS.value,
    show_default=True,
    help="The relay's certificate is not checked: it may be self-signed.",
)
@click.option("--username", help="Without it AUTH is not used.")
@click.option("--secret", help="Asked for when there is a username and no secret.")
@click.option("--from", "sender", required=True, metavar="ADDRESS")
@click.option("--to", "recipients", required=True, multiple=True, metavar="ADDRESS")
@click.option("--lane", type=LANE, help="Sent as X-Priority.")
@click.option("--subject", default="Posthouse test", show_default=True)
@click.option("--body", default="This message came by Posthouse.\n", show_default=False)
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="A whole message to send as it is, instead of subject and body; - is standard input.",
)
def send(
    *,
    host: str,
    port: int,
    tls: str,
    username: str | None,
    secret: str | None,
    sender: str,
    recipients: tuple[str, ...],
    lane: Lane | None,
    subject: str,
    body: str,
    path: Path | None,
) -> None:
    """Submit a message to a running relay and print its reply."""
    if username and secret is None:
        secret = click.prompt("Secret", hide_input=True, err=True)
    content = _read(path) if path else _composed(sender, recipients, lane, subject, body)
    relay = _Relay(host, port, Tls(tls), username, secret)
    try:
        click.echo(_submit(relay, sender, recipients, content))
    except (OSError, smtplib.SMTPException) as error:
        raise click.ClickException(f"not sent by {host}:{port}: {_said(error)}") from error


def _read(path: Path) -> bytes:
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from error
    # Files have the line ends of their system; SMTP has one kind.
    return _LINE_END.sub(b"\r\n", content)


def _composed(
    sender: str, recipients: tuple[str, ...], lane: Lane | None, subject: str, body: str
) -> bytes:
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    message["Date"] = formatdate(localtime=True)
    if lane is not None:
        message["X-Priority"] = str(lane.value)
    message.set_content(body)
    return message.as_bytes(policy=SMTP)


def _submit(relay: _Relay, sender: str, recipients: tuple[str, ...], content: bytes) -> str:
    """The reply to the message; recipients that were refused are named with it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client: smtplib.SMTP
    if relay.tls is Tls.IMPLICIT:
        client = smtplib.SMTP_SSL(relay.host, relay.port, timeout=_SECONDS, context=context)
    else:
        client = smtplib.SMTP(relay.host, relay.port, timeout=_SECONDS)
    with client:
        if relay.tls is Tls.STARTTLS:
            client.starttls(context=context)
        if relay.username and relay.secret is not None:
            client.login(relay.username, relay.secret)
        return _transaction(client, sender, recipients, content)


def _transaction(
    client: smtplib.SMTP, sender: str, recipients: tuple[str, ...], content: bytes
) -> str:
    client.ehlo_or_helo_if_needed()
    _expect(client.mail(sender), "MAIL FROM")
    refused = []
    for recipient in recipients:
        code, text = client.rcpt(recipient)
        if code >= _REFUSED:
            refused.append(f"refused {recipient}: {code} {_text(text)}")
    if len(refused) == len(recipients):
        raise smtplib.SMTPException("; ".join(refused))
    code, text = client.data(content)
    _expect((code, text), "the message")
    return "\n".join([f"{code} {_text(text)}", *refused])


def _expect(reply: tuple[int, bytes], what: str) -> None:
    code, text = reply
    if code >= _REFUSED:
        raise smtplib.SMTPException(f"{what} was answered {code} {_text(text)}")


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or type(error).__name__


def _text(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return text.replace("\n", " ")
