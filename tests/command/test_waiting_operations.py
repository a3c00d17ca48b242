"""`posthouse queue hold` and its like show what they would change, and ask."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

from servers.posthouse_command import Run
from servers.stores import a_submission, open_stores

Command: TypeAlias = Callable[..., Run]


async def queued(url: str) -> UUID:
    """A delivery to Ann, and a message with policy."""
    async with open_stores(url) as stores:
        (delivery,) = await stores.queue(recipients=("ann@dest.example",))
        await stores.submissions.accept(a_submission())
        return delivery.submission_id


def states(posthouse: Command) -> dict[str, int]:
    """How many messages are in each state."""
    lines = json.loads(posthouse("queue", "--json").stdout)
    return Counter(state for line in lines for state in [line["state"]] * line["messages"])


def test_an_operation_shows_what_it_would_change_and_asks(
    posthouse: Command, database: str
) -> None:
    id_ = asyncio.run(queued(database))
    why = ("--reason", "a look")
    asked = posthouse("queue", "hold", "--account", "shop", *why, status=1, stdin="n\n")
    assert f"such as {id_.hex} to ann@dest.example" in asked.stdout
    assert "hold 2?" in asked.stdout
    assert {"ready": 2} == states(posthouse)
    held = posthouse("queue", "hold", id_.hex, *why, stdin="y\n").stdout
    assert "held: 1" in held
    assert {"ready": 1, "held": 1} == states(posthouse)
    assert "held: 0" in posthouse("queue", "hold", id_.hex, *why, "--yes").stdout
    assert "nothing that waits is chosen" in posthouse("queue", "retry", "--all").stdout
    assert "by the operator (a look)" in posthouse("message", id_.hex).stdout
    assert "released: 1" in posthouse("queue", "release", "--all", "--yes").stdout
    assert "bounced: 2" in posthouse("queue", "bounce", "--all", *why, "--yes").stdout
    assert {} == states(posthouse)


def test_an_operation_without_a_choice_is_refused(posthouse: Command) -> None:
    for words, said in (
        (("cancel", "--yes"), "say which mail"),
        (("cancel", "--account", "nobody", "--yes"), "nobody"),
        (("hold", "--all", "--reason", " ", "--yes"), "--reason is empty"),
        (("retry", "--lane", "9", "--yes"), "no lane is called '9'"),
        (("retry", "12", "--yes"), "is not the id of a message"),
    ):
        assert said in posthouse("queue", *words, status=1).stderr
