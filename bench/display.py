"""Progress of the measurement: a bar on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Display:
    """Shows progress on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._run = self._last = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def run(self, name: str) -> None:
        """A run begins."""
        self._run = name

    def phase(self, name: str, wanted: int, done: int = 0) -> None:
        """*done* of *wanted* messages of a phase have passed; *wanted* is 0 if it is not known."""
        if (said := f"{self._run}: {name}") != self._last:
            self._last = said
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task(said, total=wanted or None)
            if not self._console.is_terminal:
                self.say(said)
        self._progress.update(self._task, completed=done)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)
