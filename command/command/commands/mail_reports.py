"""`posthouse report`."""

from datetime import UTC, datetime
from typing import Any

import click

from command.commands.deliverability_report import deliverability
from command.commands.message_lines import csv_option, message, messages
from command.commands.suppression_files import account_option
from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_line, print_table
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.traffic_reports import ReportTooLarge, TrafficReports
from posthouse.traffic.bill import BillLine, month_span
from posthouse.traffic.csv_text import csv_text
from posthouse.traffic.dimension import Dimension
from posthouse.traffic.measures import MEASURES
from posthouse.traffic.moments import UnreadableWord, zone_named
from posthouse.traffic.traffic_report import OTHER, TrafficReport
from posthouse.traffic.traffic_request import TrafficRequest

zone_option = click.option(
    "--zone", default="UTC", show_default=True, help="Whose days they are, as in Europe/Rome."
)


@click.group
def report() -> None:
    """What became of mail: counts by time, subject, sender, tag and more; single messages; a bill.

    Counts are some seconds behind the mail and are kept for years.
    """


report.add_command(deliverability)
report.add_command(message)
report.add_command(messages)


@report.command
@account_option
@click.option(
    "--by",
    multiple=True,
    default=("day",),
    show_default=True,
    metavar="WORD",
    help=f"A column; up to three, of which one may be a time: {', '.join(Dimension)}.",
)
@zone_option
@click.option("--since", help="A day, or a time as in 2026-11-30T09:15.  [default: 7 days]")
@click.option("--until", help="A day, which is counted too, or a time.  [default: now]")
@click.option("--tag", multiple=True, help="Only mail with this tag; any number.")
@click.option(
    "--match", help="Whether mail has to have `any` or `all` of the tags.  [default: any]"
)
@click.option("--stream", help="Only mail of this stream; '' for mail of none.")
@click.option("--subject", help="Only mail with this subject.")
@click.option("--sender", help="Only mail with this address in From.")
@click.option("--user", help="Only mail of this user.")
@click.option("--domain", help="Only mail of senders at this sending domain.")
@click.option("--provider", help="Only recipients of this provider.")
@click.option("--lane", help="Only mail of this lane.")
@csv_option
@json_option
@data_option
def traffic(account: str, *, as_csv: bool, as_json: bool, **words: Any) -> None:
    """Counts of the mail of an account.

    Accepted are messages, all else is of recipients. Deferred are attempts; hard are bounces whose
    mailbox or domain does not exist, soft all others. Opens and clicks are those of people, of
    machines, and of readers that may be either. What is not told apart, since there were too many
    subjects or tags on a day, is in rows called (other).
    """

    async def work(database: Postgres) -> TrafficReport:
        request = TrafficRequest.parse(_given(words), datetime.now(UTC))
        owner = await account_id(AccountStore(database), account)
        return await TrafficReports(database).read(owner, request)

    answer = _asked(work)
    if as_json:
        print_json(answer.as_json())
    elif as_csv:
        click.echo(answer.as_csv(), nl=False)
    else:
        _show(answer, account)


def _given(words: dict[str, Any]) -> dict[str, list[str]]:
    given = {word: [value] if isinstance(value, str) else value for word, value in words.items()}
    return {word: list(values) for word, values in given.items() if values}


def _asked(work: Any) -> Any:
    try:
        return with_store(work)
    except (UnreadableWord, ReportTooLarge) as error:
        raise click.ClickException(str(error)) from error


def _show(answer: TrafficReport, account: str) -> None:
    shown = [name for name in MEASURES if getattr(answer.total, name)]
    lines = [(tuple(map(_part, key)), counts) for key, counts in answer.rows]
    if answer.request.by and lines:
        lines.append((("total", *[""] * (len(answer.request.by) - 1)), answer.total))
    rows = [(*key, *(str(getattr(counts, name)) for name in shown)) for key, counts in lines]
    print_table(
        (*answer.request.by, *shown),
        rows,
        empty=f"nothing was counted for {account} in this time",
        numbers=len(shown),
    )
    if any(answer.unknown):
        print_line(
            f"{answer.unknown.accepted} more messages, and {answer.unknown.ended} results, are not "
            "told apart by what was asked for"
        )


def _part(value: str | None) -> str:
    return OTHER if value is None else value or "none"


@report.command
@click.option("--month", metavar="YYYY-MM", help="[default: this month]")
@zone_option
@click.option("--account", metavar="NAME", help="Only this account.")
@csv_option
@json_option
@data_option
def billing(
    *, month: str | None, zone: str, account: str | None, as_csv: bool, as_json: bool
) -> None:
    """Messages, their recipients and deliveries of a month, for each account and stream.

    Mail without a stream is in a line without a name. All mail is in it.
    """

    async def work(database: Postgres) -> tuple[str, tuple[BillLine, ...]]:
        place = zone_named(zone)
        text = month or f"{datetime.now(place):%Y-%m}"
        owner = None if account is None else await account_id(AccountStore(database), account)
        return text, await TrafficReports(database).bill(owner, *month_span(text, place))

    text, lines = _asked(work)
    if as_json:
        print_json([{"month": text, **line._asdict()} for line in lines])
    elif as_csv:
        click.echo(
            csv_text(("month", *BillLine._fields), [(text, *line) for line in lines]), nl=False
        )
    else:
        print_table(
            BillLine._fields,
            [(line.account, line.stream or "none", *map(str, line[2:])) for line in lines],
            empty=f"nothing was counted in {text}",
            numbers=3,
        )
