"""Names of streams, as arguments of commands."""

import click

_MOST_CHARACTERS_OF_NAME = 100


def stream_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """*value*, if a stream may be called so: a callback of click."""
    if (
        not value.isprintable()
        or value != value.strip()
        or not 0 < len(value) <= (_MOST_CHARACTERS_OF_NAME)
    ):
        raise click.BadParameter(
            f"{value!r} is not a name: 1 to {_MOST_CHARACTERS_OF_NAME} printable characters, "
            "without spaces at the ends",
            ctx,
            param,
        )
    return value


name_argument = click.argument("name", callback=stream_name)
