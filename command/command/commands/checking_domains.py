"""`posthouse domain check`."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from command.context import (
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    settings,
    with_store,
)
from command.domain_setup import relay_hosts, setup_of
from command.key_provisioning import domain_of
from command.provisioning import domain_name
from posthouse.domains.findings import Finding, FindingState
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

_WRONG, _UNKNOWN = 1, 3
_PATIENCE = 5.0  # seconds for each question
_MOST_SECONDS = 60.0  # for all that a domain leads to


@dataclass(frozen=True, slots=True)
class _Checked:
    name: str
    findings: tuple[Finding, ...]
    verified: bool  # now
    newly: bool  # by this check

    def has(self, state: FindingState) -> bool:
        return any(finding.state is state for finding in self.findings)

    @property
    def status(self) -> int:
        if self.has(FindingState.WRONG):
            return _WRONG
        return _UNKNOWN if self.has(FindingState.UNKNOWN) else 0


@click.command
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--no-verify", is_flag=True, help="Only look: no domain becomes verified.")
@json_option
@data_option
def check(names: tuple[str, ...], *, no_verify: bool, as_json: bool) -> None:
    """Look the domain NAME up as a receiver of its mail does; without NAME: every domain.

    Each record is shown as expected and as seen, with what to change. A domain whose records are
    right is verified from then on: it may send. Exit status: 0 all is right, 1 something is wrong,
    3 DNS gave no answer to some question and nothing else is wrong.
    """
    with friendly_errors():
        wanted = tuple(domain_name(name) for name in names)

    async def work(database: Postgres) -> list[_Checked]:
        accounts = AccountStore(database)
        every = dict.fromkeys(r["name"] for r in await accounts.sending_domains())
        for name in wanted:  # before one of them is verified and not shown
            await domain_of(accounts, name)
        return [await _check(database, name, verify=not no_verify) for name in wanted or every]

    checked = with_store(work)
    if as_json:
        print_json([_as_json(one) for one in checked])
    else:
        for one in checked:
            _print(one)
    sys.exit(_worst([one.status for one in checked]))


def _worst(statuses: Sequence[int]) -> int:
    return _WRONG if _WRONG in statuses else max(statuses, default=0)


async def _check(database: Postgres, name: str, *, verify: bool) -> _Checked:
    from posthouse.dns.domain_check import DomainCheck  # noqa: PLC0415 -- other commands ask nobody
    from posthouse.dns.resolver import DnsClient, UntilDeadline  # noqa: PLC0415

    accounts = AccountStore(database)
    rows = await domain_of(accounts, name)
    setup = setup_of(rows, await relay_hosts(database))
    dns = DnsClient(settings().nameservers, timeout=_PATIENCE)
    until = asyncio.get_running_loop().time() + _MOST_SECONDS
    findings = await DomainCheck(UntilDeadline(dns, until)).findings(setup)
    before = rows[0]["verified_at"] is not None
    found = _Checked(name, findings, before, newly=False)
    if before or not verify or found.status:
        return found
    owner = await accounts.account(rows[0]["account"])
    assert owner is not None
    await accounts.verify_sending_domain(owner, name, actor(), by="check")
    return _Checked(name, findings, verified=True, newly=True)


def _as_json(checked: _Checked) -> dict[str, Any]:
    return {
        "name": checked.name,
        "right": checked.status == 0,
        "verified": checked.verified,
        "findings": [asdict(finding) for finding in checked.findings],
    }


def _print(checked: _Checked) -> None:
    click.echo(checked.name)
    for one in checked.findings:
        click.echo(f"  {one.state:8}{one.purpose:12}{one.name} {one.type}")
        if one.state is FindingState.RIGHT:
            continue
        click.echo(f"          expected  {one.expected}")
        for seen in one.seen or ("nothing",):
            click.echo(f"          seen      {seen}")
        click.echo(f"          mend      {one.mend}")
    click.echo(f"  {_conclusion(checked)}\n")


def _conclusion(checked: _Checked) -> str:
    if checked.newly:
        return "All is right: it is verified now, and its accounts may send as it."
    may = "It may send." if checked.verified else "It may NOT send yet."
    return {
        0: f"All is right. {may}",
        _WRONG: f"Something is wrong. {may}",
        _UNKNOWN: f"DNS gave no answer to some questions. {may}",
    }[checked.status]
