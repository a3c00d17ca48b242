"""Where an installation lives, and who brings its database up."""

import asyncio
import contextlib
import ssl
import stat
from pathlib import Path

import pytest

from onebox.installation import Installation, NoInstallation
from onebox.postgres_folder import FolderInUse


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_place_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    place = Installation(tmp_path / "deep" / "data")
    assert len(place.ensure("relay.example")) == 4
    key = place.secret_key
    assert len(key) == 32
    assert place.ensure("other.example") == ()
    assert key == place.secret_key
    assert mode(place.folder) & 0o066 == 0
    assert mode(place.secret_key_file) == mode(place.certificate_key_file) == 0o600


@pytest.mark.parametrize("name", ["relay.example", "localhost", "127.0.0.1", "::1"])
def test_the_certificate_serves_tls_for_the_host_and_its_own_programs(
    tmp_path: Path, name: str
) -> None:
    place = Installation(tmp_path / "data")
    place.ensure("relay.example")
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(place.certificate_file, place.certificate_key_file)
    server = serving.wrap_bio(theirs, ours, server_side=True)
    trusting = ssl.create_default_context(cafile=str(place.certificate_file))
    client = trusting.wrap_bio(ours, theirs, server_hostname=name)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.cipher() is not None


def test_a_given_key_is_used_and_none_is_made(tmp_path: Path) -> None:
    place = Installation(tmp_path / "data", given_key=bytes(32))
    place.ensure("relay.example")
    assert place.secret_key == bytes(32)
    assert not place.secret_key_file.exists()


def test_a_damaged_key_is_told_and_not_used(tmp_path: Path) -> None:
    place = Installation(tmp_path)
    place.secret_key_file.write_text("c2hvcnQ=\n")
    with pytest.raises(NoInstallation, match="damaged"):
        _ = place.secret_key


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(NoInstallation, match="/proc/nowhere"):
        Installation(Path("/proc/nowhere")).ensure("relay.example")


async def test_commands_share_a_database_that_one_of_them_started(tmp_path: Path) -> None:
    """The one that started it stays until the last has finished."""
    place = Installation(tmp_path / "data")
    place.ensure("relay.example")

    async def command(seconds: float) -> object:
        async with place.open_store() as store:
            await asyncio.sleep(seconds)
            row = await store.first("round_trip")
            return row["answer"] if row else None

    assert await asyncio.gather(*map(command, (0.0, 0.5, 1.0))) == [1, 1, 1]


async def test_the_relay_waits_for_commands_and_serves_later_ones(tmp_path: Path) -> None:
    place = Installation(tmp_path / "data")
    place.ensure("relay.example")
    async with place.open_store():
        starting = asyncio.create_task(place.start_server())
        await asyncio.sleep(0.3)
        assert not starting.done()
    server = await starting
    try:
        with pytest.raises(FolderInUse):
            await place.start_server()
    finally:
        await server.stop()
