"""The named statements of queries.sql."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """Split *text* into statements by their `-- name:` lines; ValueError if two have one name."""
    pieces = _NAME.split(text)[1:]
    statements: dict[str, str] = {}
    for name, sql in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"two statements are called {name}")
        statements[name] = sql.strip().removesuffix(";")
    return statements


QUERIES = parse(files("posthouse.store").joinpath("queries.sql").read_text("utf-8"))
