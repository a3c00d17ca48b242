"""`posthouse events` prints what happens, and goes on where it ended."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from servers.posthouse_command import Run
from servers.stores import a_submission, open_stores

Command: TypeAlias = Callable[..., Run]


async def accepted(url: str) -> UUID:
    """A message."""
    async with open_stores(url) as stores:
        one = a_submission()
        await stores.submissions.accept(one)
        return one.id


def test_each_event_is_printed_once_as_a_line(
    posthouse: Command, database: str, tmp_path: Path
) -> None:
    lines, cursor = tmp_path / "events.jsonl", tmp_path / "cursor"
    arguments = ("events", "--since", "1h", "--cursor-file", str(cursor), "--output", str(lines))
    expected = []
    for _ in range(2):
        expected.append(asyncio.run(accepted(database)).hex)
        posthouse(*arguments)
        told = [json.loads(line) for line in lines.read_text().splitlines()]
        assert [(one["type"], one["message"]) for one in told] == [
            ("message.accepted", id_) for id_ in expected
        ]
