"""For `bench.hops`: records when a service asks the database, and when it sends or hears a hint.

Python imports it at the start of every program with this folder in PYTHONPATH.
"""

import atexit
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def trace(folder: Path) -> None:
    """Write a line per event to a file of this process in *folder* when it ends."""
    from posthouse.broker.rabbitmq import RabbitMqBroker  # noqa: PLC0415
    from posthouse.store.postgres import Postgres  # noqa: PLC0415

    lines: list[str] = []
    fetch, announce, listen = Postgres.fetch, RabbitMqBroker.announce, RabbitMqBroker.listen

    def note(name: str, begun: float) -> None:
        lines.append(f"{name}\t{begun:.6f}\t{time.time():.6f}\n")

    async def traced_fetch(self: Any, query: str, *arguments: Any) -> list[Any]:
        begun = time.time()
        rows = await fetch(self, query, *arguments)
        note(query if rows or not query.startswith("claim_") else f"{query} (nothing)", begun)
        return rows

    def traced_announce(self: Any, topic: Any, lane: Any) -> None:
        begun = time.time()
        announce(self, topic, lane)
        note(f"{topic} sent", begun)

    def traced_listen(self: Any, topic: Any, heard: Callable[[Any], None]) -> None:
        def traced(lane: Any) -> None:
            note(f"{topic} heard", time.time())
            heard(lane)

        listen(self, topic, traced)

    Postgres.fetch = traced_fetch  # type: ignore[method-assign]
    RabbitMqBroker.announce = traced_announce  # type: ignore[method-assign]
    RabbitMqBroker.listen = traced_listen  # type: ignore[method-assign]
    atexit.register(lambda: (folder / f"{os.getpid()}.tsv").write_text("".join(lines)))


if to := os.environ.get("BENCH_HOPS"):
    trace(Path(to))
