"""A worker of `posthouse up` that dies is replaced, and one that hangs delays no other."""

import asyncio
import os
import signal
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.knock import knock
from chaos.relay import Onebox
from servers.patience import eventually, on_this_machine


@pytest_asyncio.fixture(params=[1, 2])
async def relay(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Onebox]:
    """A relay with that many workers."""
    made = Onebox(tmp_path, {"POSTHOUSE_WORKERS": str(request.param)})
    try:
        await made.start()
        yield made
    finally:
        await made.close()


async def metrics(relay: Onebox) -> str:
    url = f"http://127.0.0.1:{relay.program._health}/metrics"

    def get() -> str:
        with urllib.request.urlopen(url, timeout=on_this_machine(30)) as answer:
            text: str = answer.read().decode()
            return text

    return await asyncio.to_thread(get)


async def test_a_worker_that_is_killed_is_replaced(relay: Onebox) -> None:
    """Each time, the first included, which takes returned mail; the relay goes on."""
    before = relay.program.workers()
    for victim in before:
        os.kill(victim, signal.SIGKILL)

        async def replaced(victim: int = victim) -> bool:
            now = relay.program.workers()
            return victim not in now and len(now) == len(before) and await relay.program.is_ready()

        await eventually(replaced, within=30)
    assert not set(before) & set(relay.program.workers())
    for number in range(8):  # whichever worker takes it
        assert (await knock(relay.customer.normal, number=number)).startswith("250 ")
    assert f"posthouse_worker_restarts_total {float(len(before))}" in await metrics(relay)
    await relay.program.stop()


async def test_readiness_says_which_worker_is_away(relay: Onebox) -> None:
    os.kill(relay.program.workers()[-1], signal.SIGKILL)

    async def told() -> bool:
        return "it ended with status -9" in await relay.program.readiness()

    await eventually(told, look=0.01)


@pytest.mark.parametrize("relay", [2], indirect=True)
async def test_metrics_come_without_those_of_a_worker_that_hangs(relay: Onebox) -> None:
    first, second = relay.program.workers()
    os.kill(second, signal.SIGSTOP)
    try:
        found = await metrics(relay)
    finally:
        os.kill(second, signal.SIGCONT)

    assert 'worker="1"' in found
    assert 'worker="2"' not in found
    assert "_created" not in found
    assert first in relay.program.workers()


@pytest.mark.parametrize("relay", [1], indirect=True)
async def test_a_second_relay_on_the_same_data_says_that_one_runs(relay: Onebox) -> None:
    second = await asyncio.to_thread(
        subprocess.run,
        relay.program._command,
        env=relay.program._env,
        capture_output=True,
        text=True,
        timeout=on_this_machine(60),
        check=False,
    )

    assert second.returncode == 1
    assert f"a Posthouse (process {relay.program.pid}) already runs on this data" in second.stderr


@pytest.mark.parametrize("relay", [1], indirect=True)
async def test_a_data_folder_that_is_gone_is_seen_in_readiness(relay: Onebox) -> None:
    (relay.folder / "data").rename(relay.folder / "elsewhere")

    async def told() -> bool:
        return '"data folder":"NotReady' in await relay.program.readiness()

    await eventually(told)
