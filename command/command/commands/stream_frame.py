"""`posthouse stream frame`."""

from pathlib import Path

import click

from command.commands.suppression_files import account_option
from command.context import data_option, with_store
from command.provisioning import account_id
from command.stream_names import name_argument
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.streams import StreamStore
from posthouse.tracking.list_frame import MOST_CHARACTERS, ListFrame


def _content(ctx: click.Context, param: click.Parameter, value: Path | None) -> str | None:
    if value is None:
        return None
    try:
        text = value.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{value} is not in UTF-8", ctx, param) from error
    if len(text) > MOST_CHARACTERS or "\0" in text:
        raise click.BadParameter(
            f"{value} has more than {MOST_CHARACTERS:,} characters, or a NUL", ctx, param
        )
    return text


_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command
@name_argument
@click.option("--header-html", type=_file, callback=_content, help="Put before mail in HTML.")
@click.option("--header-text", type=_file, callback=_content, help="Put before mail in text.")
@click.option("--footer-html", type=_file, callback=_content, help="Put behind mail in HTML.")
@click.option("--footer-text", type=_file, callback=_content, help="Put behind mail in text.")
@account_option
@data_option
def frame(name: str, account: str, **given: str | None) -> None:
    """Change what the stream NAME puts around its messages, and show it.

    Each option names a file in UTF-8; an empty one removes that piece. Messages have it where the
    flags --list-header and --list-footer of the stream, or what a message itself says, are on.
    """

    async def work(database: Postgres) -> ListFrame | None:
        owner = await account_id(AccountStore(database), account)
        store = StreamStore(database)
        found = await store.frame(owner, name)
        if found is None:
            return None
        new = found._replace(**{key: text for key, text in given.items() if text is not None})
        await store.set_frame(owner, name, new)
        return new

    found = with_store(work)
    if found is None:
        raise click.ClickException(f"the account {account} has no stream {name!r}")
    for field, text in found._asdict().items():
        title = field.replace("_", " ")
        click.echo(f"{title}:\n{text.rstrip()}" if text else f"{title}: none")
