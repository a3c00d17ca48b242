"""Output of the demo: with a progress display on a terminal, in plain lines elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.checks import Check

_QUARTERS = 4


class DemoOutput:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._console = Console()
        self._step = 0

    def step(self, text: str) -> None:
        """A heading: the next step."""
        self._step += 1
        self._print(f"\n{self._step}. {text}", style="bold")

    def fact(self, text: str) -> None:
        """A result of the step."""
        self._print(f"   {text}")

    def quote(self, lines: Sequence[str]) -> None:
        """Output of the relay itself."""
        self._print("")
        for line in lines:
            self._print(f"   {line}", style="dim" if line.startswith(" ") else "")

    def verdict(self, check: Check) -> None:
        """A check, and whether it passed."""
        word, style = ("ok", "green") if check.holds else ("FAILED", "bold red")
        self._print(f"   {word}  {check.claim}: {check.seen}", style=style)

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how many of *total* are done; the caller reports that to the given function."""
        if not self._console.is_terminal:
            yield _Lines(self, text, total).done
            return
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as display:
            task = display.add_task(text, total=total)
            yield lambda count: display.update(task, completed=count)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


class _Lines:
    """A line at each quarter of the total."""

    def __init__(self, output: DemoOutput, text: str, total: int) -> None:
        self._output = output
        self._text = text
        self._total = total
        self._told = 0

    def done(self, count: int) -> None:
        quarter = count * _QUARTERS // max(self._total, 1)
        if quarter > self._told:
            self._told = quarter
            self._output.fact(f"{self._text}: {count} of {self._total}")
