"""`posthouse report deliverability`."""

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from command.commands.suppression_files import account_option
from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_line, print_table
from posthouse.mail.reply import escaped
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.traffic_reports import TrafficReports
from posthouse.traffic.deliverability import Deliverability, ProviderRates, RateOf, rates_of

_REASONS = 10  # shown to people


@click.command
@account_option
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True)
@click.option(
    "--past", type=click.IntRange(1, 3660), default=28, show_default=True, help="Days before that."
)
@json_option
@data_option
def deliverability(account: str, *, days: int, past: int, as_json: bool) -> None:
    """How well mail arrives at each provider, and what to fix first.

    Rates of the last days, in percent, beside those of the days before. One with "!" is worse than
    it was, and not by chance. Below: why mail was refused, the most first, each with a reply.
    """

    async def work(database: Postgres) -> Deliverability:
        owner = await account_id(AccountStore(database), account)
        reports = TrafficReports(database)
        return await reports.deliverability(owner, datetime.now(UTC), days=days, past=past)

    found = with_store(work)
    if as_json:
        print_json(found.as_json())
        return
    names = tuple(rates_of(found.providers[0].recent)) if found.providers else ()
    print_table(
        ("provider", "mail", *names),
        [(one.provider, str(one.recent.ended), *_rates(one)) for one in found.providers],
        empty=f"no mail of {account} had a result in the last {days} days",
        numbers=1 + len(names),
    )
    for place, reason in enumerate(found.reasons[:_REASONS], 1):
        print_line(
            f"{place}. {reason.answer or 'no answer'}: {reason.refused} refused"
            f" ({reason.share:.1f} %), {reason.deferred} deferred, most at {reason.provider}"
        )
        print_line(f"   {reason.advice}")
        if reason.sample is not None:
            reply = " ".join(reason.sample.reply.split()) or "nothing was said"
            print_line(f"   {reason.sample.submission_id.hex}: {escaped(reply)}")


def _rates(one: ProviderRates) -> Iterator[str]:
    recent, past = rates_of(one.recent), rates_of(one.past)
    for name, rate in recent.items():
        mark = " !" if name in one.worse else ""
        yield f"{_percent(rate)} ({_percent(past[name])}){mark}"


def _percent(rate: RateOf) -> str:
    return "-" if rate.percent is None else f"{rate.percent:.2f}"
