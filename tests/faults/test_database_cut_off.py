"""A network that swallows everything between a program and its database."""

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from faults.cut_off import PATIENCE

TESTS = Path(__file__).parents[1]
# A server that no packet reaches is known to be lost after five; statements may take much longer.
KNOWN_SECONDS = PATIENCE / 2


@pytest.mark.skipif(os.geteuid() != 0, reason="a network that is cut: only root may have its own")
async def test_what_no_packet_reaches_is_lost_in_seconds_and_used_again_at_once(
    database: str,
) -> None:
    """Whether a statement was waiting for its answer, or was sent when all was dark."""
    parts = urlsplit(database)
    (folder,) = parse_qs(parts.query)["host"]
    url = f"postgresql://posthouse@127.0.0.1:5432{parts.path}"
    command = ["unshare", "--net", sys.executable, "-m", "faults.cut_off"]
    child = await asyncio.create_subprocess_exec(
        *command,
        f"{folder}/.s.PGSQL.5432",
        url,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, why = await child.communicate()
    assert 0 == child.returncode, why.decode()
    found = json.loads(said)
    assert found["back"]
    assert max(found["waiting"], found["dark"]) < KNOWN_SECONDS, found
