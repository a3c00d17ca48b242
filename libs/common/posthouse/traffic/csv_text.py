"""Tables as text for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

# A cell that begins so is a formula to spreadsheets: who chooses a subject must not get one run on
# the machine of who reads it. Such a cell gets an apostrophe before it, which is not shown.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """*rows* under a line of *names* (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
