"""What we rely on in aiosmtpd: another version has to be looked at before it is taken."""

import asyncio
import inspect
from importlib.metadata import version

import aiosmtpd
import pytest
from aiosmtpd.smtp import SMTP, Envelope

from bounces.message_text import AIOSMTPD_VERSION
from servers.patience import until

# Methods that `bounces.return_connection` overrides or calls, and their parameters.
SIGNATURES = {
    "connection_made": "(self, transport)",
    "data_received": "(self, data)",
    "connection_lost": "(self, error)",
    "push": "(self, status)",
    "smtp_AUTH": "(self, arg)",
    "smtp_DATA": "(self, arg)",
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
