"""How far it is: a table that is kept up to date on a terminal, a line now and then elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from chaos.ordeal import Result, Running

HEAD = ("case", "strikes", "accepted", "arrived", "lost", "doubled", "uncertain", "seconds", "")
_REFRESH_SECONDS = 0.5
_LINE_SECONDS = 10.0


def finished(result: Result) -> list[str]:
    """A row of what became of a case."""
    verdict = result.verdict + (f" ({result.note})" if result.note else "")
    if (count := result.count) is None:
        return [result.case, *[""] * (len(HEAD) - 2), verdict]
    figures = (
        result.strikes,
        count.accepted,
        # Each accepted message that is not lost, and whatever came beyond.
        count.accepted - count.lost + count.doubled + count.cut + count.resubmitted,
        count.lost,
        f"{count.doubled}+{count.cut} cut" if count.cut else count.doubled,
        count.uncertain,
        round(count.seconds),
    )
    return [result.case, *map(_written, figures), verdict]


def under_way(running: Running) -> list[str]:
    """A row of how far a case is."""
    struck = f"{running.struck}/{running.blows}"
    if running.flow is None:
        return [running.name, struck, *[""] * (len(HEAD) - 3), "at work"]
    tally = running.flow.tally
    figures = (
        f"{tally.accepted:,}/{running.messages:,}",
        tally.transactions,
        "",  # known at the end
        max(tally.doubled, 0),  # what the sink just cut has not come again yet
        running.uncertain,
        round(running.flow.seconds),
    )
    return [running.name, struck, *map(_written, figures), f"{tally.under_way} under way"]


class Display:
    """Shows cases on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        # Drawn from here and not from a thread of its own: the figures belong to our loop.
        self._live = Live(console=self._console, auto_refresh=False)
        self._results: list[Result] = []

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    @asynccontextmanager
    async def showing(self, running: Running) -> AsyncIterator[None]:
        """Show how far *running* is, for as long as the context lasts."""
        watching = asyncio.create_task(self._watch(running))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def done(self, result: Result) -> None:
        """Keep what became of a case in view."""
        self._results.append(result)
        if self._console.is_terminal:
            self._live.update(_table(map(finished, self._results)), refresh=True)
        else:
            self.say(_line(finished(result)))

    def say(self, words: str) -> None:
        """A line that stays."""
        self._console.print(words, highlight=False, markup=False, soft_wrap=True)

    async def _watch(self, running: Running) -> None:
        while True:
            if self._console.is_terminal:
                rows = [*map(finished, self._results), under_way(running)]
                self._live.update(_table(rows), refresh=True)
                await asyncio.sleep(_REFRESH_SECONDS)
            else:
                self.say(_line(under_way(running)))
                await asyncio.sleep(_LINE_SECONDS)


def _table(rows: Iterable[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in HEAD:
        table.add_column(title, justify="left" if title in {"case", ""} else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _line(row: list[str]) -> str:
    name, *cells = row
    facts = (f"{cell} {title}".strip() for title, cell in zip(HEAD[1:], cells, strict=True) if cell)
    return "  ".join((name, *facts))


def _written(figure: object) -> str:
    return f"{figure:,}" if isinstance(figure, int) else str(figure)
