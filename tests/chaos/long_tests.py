"""The tests marked `long`, as one more case."""

import asyncio
import os
import sys

from chaos.ordeal import Result
from chaos.report import ROOT

NAME = "long-tests"
_SAYS = "every test that is marked long, by pytest"
_PASSED, _NONE = 0, 5  # exit statuses


async def run_long_tests(messages: int) -> Result:
    """Run them with that many messages each, where they have many."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "--quiet", "-m", "long", "tests"),
        cwd=ROOT,
        env={**os.environ, "POSTHOUSE_CHAOS_MESSAGES": str(messages)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    lines = said.decode(errors="replace").strip().splitlines() or [""]
    if process.returncode == _NONE:
        return Result(NAME, _SAYS, not_run="there are none")
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    broken = () if process.returncode == _PASSED else tuple(failed or lines[-1:])
    return Result(NAME, _SAYS, messages, broken=broken, note=lines[-1].strip("= "))
