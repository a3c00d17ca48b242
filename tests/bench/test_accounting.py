"""CPU and memory of programs, counted with everything they start."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.accounting import Account, CgroupAccount, TreeAccount, memory_octets, open_account
from bench.children import Child, ProgramFailed

# Uses that many seconds of CPU itself and in a child that it waits for, then prints a line.
BUSY = """
import os, sys, time
def work():
    while time.process_time() < 0.2: pass
if os.fork() == 0:
    work()
    os._exit(0)
os.wait()
work()
print('{"done": 1}', flush=True)
time.sleep(60)
"""


@pytest.fixture(params=[CgroupAccount, TreeAccount])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    if request.param is TreeAccount:
        opened: Account = TreeAccount()
    else:
        try:
            opened = CgroupAccount("tests")
        except OSError as error:
            pytest.skip(f"no cgroup may be made here: {error}")
    yield opened
    opened.close()


async def test_a_program_is_counted_with_its_children(account: Account, tmp_path: Path) -> None:
    child = await Child.start(
        [sys.executable, "-c", BUSY], tmp_path / "busy.log", account, speaks=True
    )
    try:
        assert await child.line() == {"done": 1}
        assert account.cpu_seconds() >= 0.3  # two times 0.2, counted in ticks of each process
        assert len(account.pids()) == 1
        assert memory_octets(account.pids()) > 1 << 20
    finally:
        await child.stop()
    assert not child.running


async def test_nobody_else_is_counted(account: Account) -> None:
    assert account.cpu_seconds() == 0
    assert os.getpid() not in account.pids()


def test_some_way_of_counting_there_is_always() -> None:
    account = open_account("tests")
    assert account.kind
    account.close()


async def test_a_program_that_ends_too_soon_is_quoted(tmp_path: Path) -> None:
    child = await Child.start(
        [sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path / "short.log", speaks=True
    )
    with pytest.raises(ProgramFailed, match="short: no luck"):
        await child.line()
    await child.stop()
