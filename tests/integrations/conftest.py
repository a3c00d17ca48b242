"""One relay for all clients."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import pytest_asyncio

pytest.register_assert_rewrite("integrations.letter", "integrations.world")

from integrations import letter  # noqa: E402 -- its assertions tell more now
from integrations.world import DOMAIN, MODES, World  # noqa: E402
from servers.shared_relay import SharedRelay, shared_relay  # noqa: E402


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_world() -> AsyncIterator[World]:
    """The relay, and what all tests use alike.

    The folder is open to clients that give root up; those of pytest are not.
    """
    with TemporaryDirectory(prefix="posthouse-integrations-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 -- before there is anything to wait for
        async with shared_relay(folder, MODES, POSTHOUSE_DSN_GATHER_SECONDS="0.1") as relay:
            yield await _world(relay, folder)


async def _world(relay: SharedRelay, folder: Path) -> World:
    records = relay.records + await relay.domain("shop", DOMAIN)
    certificate = folder / "relay.crt"
    copyfile(folder / "data" / "tls.crt", certificate)
    certificate.chmod(0o644)
    keys = {record["name"]: record["value"] for record in records if record["type"] == "TXT"}
    login = await relay.login("shop", "native", "--permission", "smtp", "--permission", "http")
    return World(relay, login, certificate, keys, folder, relay.ports)


@pytest.fixture
def world(shared_world: World) -> World:
    """The relay, with a folder and a recipient of one's own."""
    name = uuid4().hex
    folder = shared_world.folder / name
    folder.mkdir(mode=0o755)
    letter.put_into(folder)
    return replace(shared_world, folder=folder, recipient=f"{name}@dest.example")
