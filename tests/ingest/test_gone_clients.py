"""A client that has left ends its own session, and nothing else."""

import asyncio
import socket
from typing import cast
from unittest.mock import Mock

import pytest

from ingest.smtp_session import SmtpSession
from ingest.smtp_wire import ClientGone, SmtpWire
from servers.door import Running
from servers.patience import until


async def test_a_client_that_reset_the_connection_is_gone_when_we_linger() -> None:
    """Its socket says so (ENOTCONN) before asyncio does: an OSError would end the service."""
    transport = Mock(spec=asyncio.Transport)
    transport.is_closing.return_value = False
    transport.write_eof.side_effect = OSError(107, "Transport endpoint is not connected")
    server = Mock(take_output=Mock(return_value=b""))
    wire = SmtpWire(server, Mock(), Mock(), holds=False)
    wire._transport = transport
    with pytest.raises(ClientGone):
        await wire.linger()


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(door: Running) -> None:
    for bound in door.service._sockets[0]:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    client = await door.logged_in()
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    cast("asyncio.ReadTransport", client.writer.transport).pause_reading()
    recipients = b"RCPT TO:<you@example.net>\r\n" * 50_000  # each of which has an answer
    client.writer.write(b"MAIL FROM:<me@a.example>\r\n" + recipients)
    (session,) = cast("set[SmtpSession]", door.service._context.connections.open)
    await until(lambda: session._wire._drains)
    door.stopping.set()
    await until(door.task.done, within=5)  # and not only when the kernel gives it up
