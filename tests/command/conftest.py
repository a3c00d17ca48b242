"""The `posthouse` command on a database of its own, and a name server for it."""

import base64
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from servers.name_server import NameServer, dns_in_thread
from servers.posthouse_command import Run, call

KEY = bytes(range(32))
Command: TypeAlias = Callable[..., Run]


@pytest.fixture(scope="module")
def nameserver() -> Iterator[str]:
    """A name server that knows one record."""
    zone = {("old.example", "TXT"): ('"v=spf1 mx -all"', '"another"')}
    with dns_in_thread(NameServer(zone)) as server:
        yield server.address


@pytest.fixture
def posthouse(database: str, nameserver: str) -> Command:
    """`posthouse` on a fresh database; fails the test when the exit status is not as said."""
    environ = {
        "POSTHOUSE_NAMESERVERS": nameserver,
        "POSTHOUSE_DATABASE_URL": database,
        "POSTHOUSE_SECRET_KEY": base64.b64encode(KEY).decode(),
        "POSTHOUSE_HOSTNAME": "relay.example",
    }

    def run(*arguments: str, status: int = 0, **more: str) -> Run:
        done = call(*arguments, **{**environ, **more})
        assert status == done.returncode, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run
