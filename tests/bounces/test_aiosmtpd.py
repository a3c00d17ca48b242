"""What we rely on in aiosmtpd: another version has to be looked at before it is taken."""

import asyncio
import inspect
from datetime import date
from importlib.metadata import version

import aiosmtpd
import pytest
from aiosmtpd.smtp import SMTP, Envelope

from bounces.message_text import AIOSMTPD_VERSION
from bounces.open_connections import ClientLimits, OpenConnections
from bounces.return_connection import ReturnConnection, ReturnHandler
from servers.patience import until
from servers.returned_mail import RememberedReturns, service_of

# Methods that `bounces.return_connection` overrides or calls, and their parameters.
SIGNATURES = {
    "connection_made": "(self, transport)",
    "data_received": "(self, data)",
    "eof_received": "(self)",
    "connection_lost": "(self, error)",
    "push": "(self, status)",
    "smtp_AUTH": "(self, arg)",
    "smtp_DATA": "(self, arg)",
    "smtp_RCPT": "(self, arg)",
    "handle_exception": "(self, error)",
}
ARGUMENTS = {
    "handler",
    "data_size_limit",
    "enable_SMTPUTF8",
    "hostname",
    "ident",
    "tls_context",
    "timeout",
    "auth_exclude_mechanism",
    "command_call_limit",
}


def test_it_is_the_version_that_was_looked_at() -> None:
    assert AIOSMTPD_VERSION == aiosmtpd.__version__ == version("aiosmtpd")


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_methods_that_we_override_or_call_take_what_they_took(name: str) -> None:
    signature = inspect.signature(getattr(SMTP, name))
    assert SIGNATURES[name] == f"({', '.join(signature.parameters)})"


def test_the_options_that_we_set_are_there() -> None:
    assert ARGUMENTS <= set(inspect.signature(SMTP.__init__).parameters)
    assert hasattr(SMTP, "line_length_limit")


async def test_our_attributes_are_none_of_its_own() -> None:
    ours = {"transaction", "heard_at", "_handler", "_connections", "_admitted", "_in_text", "_idle"}
    ours |= {"_client", "_introduction"}
    connections = OpenConnections(ClientLimits(), lambda: 0.0)
    handler = ReturnHandler(*service_of(RememberedReturns(), (), date(2026, 3, 3)), connections)
    made = ReturnConnection(handler, connections, hostname="mx.example", tls=None)
    bare = SMTP(object(), command_call_limit=1)
    assert ours == set(vars(made)) - set(vars(bare))


async def test_its_stream_is_where_message_text_reads_it() -> None:
    """The only private name in use."""
    loop = asyncio.get_running_loop()
    made: list[SMTP] = []

    def protocol() -> SMTP:
        made.append(SMTP(object()))
        return made[-1]

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await until(lambda: bool(made) and made[0].transport is not None)
        assert isinstance(made[0]._reader, asyncio.StreamReader)
        assert isinstance(made[0].envelope, Envelope)
        writer.close()
