"""Tables for people: as wide as the terminal, and not cut if a program reads them."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNLIMITED = 400  # columns, when the output is not a terminal


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, numbers: int = 0
) -> None:
    """Print *rows*, or the sentence *empty*; the last *numbers* columns are right-aligned."""
    if not rows:
        print_line(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, column in enumerate(columns):
        is_number = at >= len(columns) - numbers
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # a cell is text, and no markup
    _console().print(table)


def print_line(text: str) -> None:
    """Print *text* as it is."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_UNLIMITED)
