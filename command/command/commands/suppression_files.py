"""`posthouse suppression import` and `export`."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import click

from command.context import actor, data_option, with_store
from command.provisioning import account_id
from posthouse.mail.suppression_file import FileFormat, first_line, line_of, read_file
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.suppression_import import BadFile, Imported, SuppressionFiles

_MANY = 100_000  # lines between two lines about the progress

account_option = click.option("--account", default="default", show_default=True, metavar="NAME")


class _ListType(click.ParamType[SuppressionList]):
    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> SuppressionList:
        try:
            return SuppressionList(str(value))
        except ValueError:
            self.fail(f"{value!r} is not one of: {', '.join(SuppressionList)}", param, ctx)


def list_option(*, default: SuppressionList | None) -> Callable[..., Any]:
    """The option --list."""
    return click.option(
        "--list",
        "on",
        type=_ListType(),
        default=default,
        show_default=default is not None,
        help=f"One of: {', '.join(SuppressionList)}.",
    )


_format_option = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in FileFormat]),
    help="csv or jsonl.  [default: as the name of the file ends, else csv]",
)


@click.command("import")
@click.argument("file", metavar="FILE")
@list_option(default=SuppressionList.MANUAL)
@_format_option
@account_option
@data_option
def import_(file: str, on: SuppressionList, form: str | None, account: str) -> None:
    """Put the entries of FILE on their lists; "-" is standard input.

    A CSV file has a header line that names its columns, of which only `address` is needed; a JSON
    lines file has an object with such names on each line. --list is for entries that name none.
    If a line is not an entry, all such lines are reported and nothing is imported.
    """
    name = "standard input" if file == "-" else Path(file).name
    with _opened(file) as text:
        lines = read_file(text, _form(file, form), on, name)

        async def work(database: Postgres) -> Imported:
            owner = await account_id(AccountStore(database), account)
            return await SuppressionFiles(database).take(
                owner, lines, actor=actor(), source=name, progress=_Progress()
            )

        try:
            done = with_store(work)
        except BadFile as error:
            raise click.ClickException(_report(error)) from error
    click.echo(f"{done.read} entries read, {done.written} new or longer for {account}")


@click.command("export")
@click.argument("file", metavar="FILE", default="-")
@list_option(default=None)
@_format_option
@account_option
@data_option
def export_(file: str, on: SuppressionList | None, form: str | None, account: str) -> None:
    """Write the entries that count to FILE; "-" is standard output.

    Cells of a CSV file that a spreadsheet would take for a formula begin with "'"; `import` takes
    it away again.
    """
    chosen = _form(file, form)

    async def work(database: Postgres) -> int:
        owner = await account_id(AccountStore(database), account)
        return await _write(database, owner, on, out, chosen)

    with nullcontext(sys.stdout) if file == "-" else _created(file) as out:
        count = with_store(work)
    click.echo(f"{count} entries written", err=True)


async def _write(
    database: Postgres, owner: UUID, on: SuppressionList | None, out: TextIO, form: FileFormat
) -> int:
    progress, count = _Progress(), 0
    out.write(first_line(form))
    async for row in SuppressionFiles(database).give(owner, on):
        out.write(line_of(row, form))
        count += 1
        progress(count)
    return count


def _form(file: str, form: str | None) -> FileFormat:
    if form is not None:
        return FileFormat(form)
    endings = (".jsonl", ".ndjson", ".json")
    return FileFormat.JSON_LINES if file.lower().endswith(endings) else FileFormat.CSV


def _opened(file: str) -> TextIO:
    """The text of *file*; octets that are no UTF-8 are reported with their lines."""
    where = sys.stdin.fileno() if file == "-" else file
    try:
        return open(
            where, encoding="utf-8-sig", errors="surrogateescape", newline="", closefd=file != "-"
        )
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from error


def _created(file: str) -> TextIO:
    try:
        return Path(file).open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error


class _Progress:
    """Tells on standard error how far it is."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, count: int) -> None:
        if count >= self._told + _MANY:
            self._told = count
            click.echo(f"{count} entries", err=True)


def _report(error: BadFile) -> str:
    lines = [f"line {bad.line}: {bad.why}" for bad in error.bad]
    if error.count > len(lines):
        lines.append(f"and {error.count - len(lines)} more")
    told = "\n  ".join(lines)
    noun = "line is no entry" if error.count == 1 else "lines are no entries"
    return f"{error.count} {noun}, nothing was imported ({error.good} are good)\n  {told}"
