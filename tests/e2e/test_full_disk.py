"""A full disk: the door says so, what was accepted stays, and all goes on when there is room."""

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from bench.sink import Sink

from chaos.eventually import eventually
from chaos.knock import knock
from chaos.ledger import Ledger
from chaos.relay import Onebox

DISK = "128m"
CHUNK = bytes(64 << 10)
LINES = 700  # of a message, some 50 KB
REFUSALS = 5  # in a row: now it is really full
MOST = 2_000  # messages


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("a full disk: only root may mount one of its own")
    with tempfile.TemporaryDirectory(prefix="posthouse-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", folder]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"a full disk: {done.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest_asyncio.fixture
async def relay(disk: Path) -> AsyncIterator[Onebox]:
    """A onebox on that disk."""
    onebox = Onebox(disk)
    try:
        await onebox.start()
        yield onebox
    finally:
        await onebox.close()


@contextmanager
def filled(disk: Path, but_for: int) -> Iterator[None]:
    """While inside, *disk* has only *but_for* octets left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(CHUNK) == len(CHUNK):
                pass
        except OSError:
            pass
        file.truncate(max(file.tell() - but_for, 0))
    try:
        yield
    finally:
        filler.unlink()


async def submit_until_refused(relay: Onebox) -> tuple[set[int], set[str]]:
    """Numbers of the messages that were accepted, and what was said to the others."""
    accepted, refusals, in_a_row = set(), set(), 0
    for number in range(MOST):
        reply = await knock(relay.customer.normal, number=number, lines=LINES)
        if reply.startswith("250 "):
            accepted.add(number)
            in_a_row = 0
        else:
            refusals.add(reply[:9])
            in_a_row += 1
        if in_a_row == REFUSALS:
            break
    return accepted, refusals


@pytest.mark.parametrize(
    ("left", "said"),
    [
        pytest.param(2 << 20, {"452 4.3.1"}, id="tables cannot grow"),
        # PostgreSQL itself gives up when it cannot begin a new segment of its log, and is started
        # again until it can.
        pytest.param(40 << 20, {"452 4.3.1", "451 4.3.0"}, id="the database goes down"),
    ],
)
async def test_a_full_disk_turns_mail_away_and_loses_none(
    relay: Onebox, disk: Path, left: int, said: set[str]
) -> None:
    async with Sink(port=relay.sink_port) as sink:
        with filled(disk, but_for=left):
            accepted, refusals = await submit_until_refused(relay)
        assert refusals
        assert refusals <= said

        async def takes_mail_again() -> bool:
            return (await knock(relay.customer.normal, number=MOST)).startswith("250 ")

        async def all_through() -> bool:
            return not await Ledger(relay.database_url).open_items()

        await eventually(takes_mail_again)
        await eventually(all_through)
        assert accepted | {MOST} == {int(arrival.id) for arrival in sink.arrivals}
