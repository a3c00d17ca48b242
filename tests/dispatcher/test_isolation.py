"""A suspect is tried by a process of its own: what it says, and what is said when it dies."""

import asyncio
import os
import pickle
import signal
import sys
from pathlib import Path

import pytest

from dispatcher import isolation as module
from dispatcher.isolation import ProcessIsolation
from dispatcher.settings import DispatcherSettings
from posthouse.mail.events import EventKind
from posthouse.store.deliveries import ClaimedDelivery
from servers.claimed_delivery import claimed_delivery
from servers.mx import Peer, mx
from servers.patience import until

BODY = b"0123456789abcd\r\n" * (1 << 16)
HEADER = b"Subject: suspected\r\n\r\n"


def a_suspect() -> ClaimedDelivery:
    """A large message to a static route."""
    return claimed_delivery(claim=3, tries=1, abandoned=2, header=HEADER, body=BODY)


def isolated(port: int) -> ProcessIsolation:
    """With a route to a server of the test."""
    settings = DispatcherSettings.model_validate(
        {
            "hostname": "relay.example",
            "database_url": "postgresql:///none",
            "broker_url": "amqp://none",
            "routes": f"127.0.0.1:{port}",
        }
    )
    return ProcessIsolation(settings)


async def test_a_suspect_is_delivered_by_a_process_of_its_own() -> None:
    """Its result is that of any attempt, under the same claim."""
    suspects = [a_suspect() for _ in range(3)]
    async with mx() as server:
        isolation = isolated(server.port)
        results = [await isolation.run(suspect) for suspect in suspects]

    for suspect, result in zip(suspects, results, strict=True):
        assert result is not None
        assert (EventKind.DELIVERED, suspect) == (result.kind, result.claimed)
        assert result.attempt is not None
        assert 250 == result.attempt.code
    assert [HEADER + BODY] * 3 == server.messages


async def test_its_process_is_kept_for_the_next_and_ends_when_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash may leave a hundred suspects, nearly all of them innocent."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.5)
    async with mx() as server:
        isolation = isolated(server.port)
        await isolation.run(a_suspect())
        (process,) = isolation._idle
        await isolation.run(a_suspect())
        assert [process] == list(isolation._idle)
        await process.wait()
        assert not isolation._idle
        assert await isolation.run(a_suspect())


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 9)", "os._exit(0)", "raise MemoryError"])
async def test_what_ends_its_process_ends_no_other_and_has_no_result(
    monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """However it ends: the lease runs out, and the claim counts as abandoned."""
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", f"import os; {ending}"))
    assert await isolated(9).run(a_suspect()) is None


async def says_nothing(peer: Peer) -> None:
    """Wait until the client is gone."""
    while await peer.reader.read(1024):
        pass


async def test_it_survives_signals_to_its_service_and_ends_with_the_attempt(tmp_path: Path) -> None:
    """A supervisor may signal every process of a service: the dispatcher waits for its own."""
    script = tmp_path / "noted.py"
    noted = tmp_path / "pid"
    script.write_text(
        f"import os, pathlib; pathlib.Path({str(noted)!r}).write_text(str(os.getpid()))\n"
        "from dispatcher.isolated import main; main()\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COMMAND", (sys.executable, str(script)))
        async with mx(says_nothing) as server, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(isolated(server.port).run(a_suspect()))
            await until(lambda: server.connections == 1)
            pid = int(noted.read_text())
            for number in (signal.SIGTERM, signal.SIGINT):
                os.kill(pid, number)
            await asyncio.sleep(0.2)
            assert not running.done()
            assert os.getpgid(pid) != os.getpgid(0)

            running.cancel()
            await asyncio.wait([running])
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_it_ends_with_its_dispatcher() -> None:
    """However that ended: what it was sending is sent again by another, when the lease runs out."""
    async with mx(says_nothing) as server:
        process = await asyncio.create_subprocess_exec(
            *module.COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        given = pickle.dumps((isolated(server.port).settings, a_suspect()))
        process.stdin.write(len(given).to_bytes(module.LENGTH) + given)
        await until(lambda: server.connections == 1)
        process.stdin.close()
        assert 0 == await process.wait()
