"""The named statements of queries.sql."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """Split *text* into statements by their `-- name:` lines."""
    pieces = _NAME.split(text)[1:]
    return {
        name: sql.strip().removesuffix(";")
        for name, sql in zip(pieces[::2], pieces[1::2], strict=True)
    }


QUERIES = parse(files("posthouse.store").joinpath("queries.sql").read_text("utf-8"))
