"""What runs in a namespace of its own sees the files laid over the machine's, and ends with us."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from bench.children import ROOT, Child
from bench.peers.unpacked import add_users, inside

from servers.patience import on_this_machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")

# Says its process id outside the namespace, then waits for whatever ends it.
OTHER_USER = """
import os, sys
os.setuid(65534)
print('{"up": 1}', flush=True)
import time; time.sleep(600)
"""


async def started(layer: Path, folder: Path) -> Child:
    command = inside(layer, [sys.executable, "-c", OTHER_USER, mark(layer)])
    return await Child.start(command, folder / "inside.log", speaks=True, inner=True)


def mark(folder: Path) -> str:
    """An argument by which processes are known."""
    return f"mark:{folder}"


def running(layer: Path) -> list[int]:
    """Processes that have this mark: the program, and those that it was started through."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if mark(layer).encode() in line:
            found.append(int(folder.name))
    return found


async def test_users_are_known_inside_only(tmp_path: Path) -> None:
    add_users(tmp_path, {"somebody-else": 4711})
    command = inside(tmp_path, ["id", "-u", "somebody-else"])
    child = await Child.start(command, tmp_path / "id.log", speaks=True, inner=True)
    try:
        await child.until(lambda: not child.running or bool(child.said()))
    finally:
        await child.stop()
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert (await program.communicate())[0] == b"4711\n"
    assert "somebody-else" not in Path("/etc/passwd").read_text()  # noqa: ASYNC240 -- tiny


async def test_a_program_that_became_another_user_hears_sigterm(tmp_path: Path) -> None:
    child = await started(tmp_path, tmp_path)
    await child.line()
    assert running(tmp_path)
    await child.stop()
    assert not running(tmp_path)


async def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    """The kernel forgets that promise for a process that changes its user; Exim's does."""
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "sys.path[:0] = [sys.argv[2], sys.argv[2] + '/tests']\n"
        "from bench.peers.unpacked import inside\n"
        "from bench.children import Child\n"
        "async def main():\n"
        "    folder = Path(sys.argv[1])\n"
        "    command = inside(folder, [sys.executable, '-c', sys.argv[3], 'mark:' + sys.argv[1]])\n"
        "    child = await Child.start(command, folder / 'log', speaks=True, inner=True)\n"
        "    print(await child.line(), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(tmp_path), str(ROOT), OTHER_USER),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert starter.stdout is not None
        assert b"up" in await starter.stdout.readline()
        assert running(tmp_path)
    finally:
        starter.send_signal(signal.SIGKILL)
        await starter.wait()
    async with asyncio.timeout(on_this_machine(10)):
        while running(tmp_path):  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.05)
