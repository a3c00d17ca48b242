"""Stock aiosmtpd as a server of submission: `python -m bench.peers.aiosmtpd_server`.

Two of its controllers, one in clear and one with STARTTLS; both want AUTH, and offer PLAIN. They
keep nothing, or with --folder one file for each message, which is flushed to the disk before the
250 in a thread, so that other messages come in meanwhile.
"""

import argparse
import asyncio
import logging
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_ALLOWED = "250 OK"


class Files:
    """Keeps each message in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- its name
        """Answer when the message is on the disk."""
        del server, session
        assert isinstance(envelope.content, bytes)
        await asyncio.to_thread(self._keep, envelope.content)
        return _ALLOWED

    def _keep(self, content: bytes) -> None:
        with (self._folder / uuid4().hex).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("clear", int), ("starttls", int), ("auth", str), ("chain", Path)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    user, _, secret = given.auth.encode().partition(b":")

    def authenticate(_: SMTP, __: Session, ___: Envelope, ____: str, data: object) -> AuthResult:
        right = isinstance(data, LoginPassword) and data == LoginPassword(user, secret)
        return AuthResult(success=right, handled=False)

    # For each login it warns that it uses a property of its own that will go.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(given.chain)
    handler = Files(given.folder) if given.folder else Sink()
    told: dict[str, Any] = {
        "hostname": "127.0.0.1",
        "authenticator": authenticate,
        "auth_required": True,
    }
    controllers = (
        Controller(handler, port=given.clear, auth_require_tls=False, **told),
        Controller(handler, port=given.starttls, tls_context=tls, require_starttls=True, **told),
    )
    for controller in controllers:
        controller.start()
    with suppress(KeyboardInterrupt):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for controller in controllers:
        controller.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
