"""`posthouse credential`."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import click

from command.account_profiles import check_bounce_address, check_profile
from command.commands.credential_changes import (
    PERMISSIONS,
    RESUBMISSION,
    SECRET_FILE,
    delete,
    disable,
    enable,
    expire,
    made_secret,
    reset,
    set_,
)
from command.commands.credential_lists import list_, show
from command.commands.limiting import credential_limit
from command.context import (
    LANE,
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    with_secret_key,
)
from command.credential_provisioning import (
    NewCredential,
    check_user_name,
    create_credential,
    shared_username,
)
from command.domain_setup import as_json as record_as_json
from command.domain_setup import print_records, relay_hosts, setup_of
from command.provisioning import domain_name, domain_rows, ensure_account, ensure_domain
from posthouse.domains.setup_records import Record, RelayHosts, records_for
from posthouse.mail.lane import Lane
from posthouse.mail.permission import Permission
from posthouse.mail.terms import Resubmission
from posthouse.store.accounts import AccountStore
from posthouse.store.credentials import CredentialTerms
from posthouse.store.postgres import Postgres


@click.group
def credential() -> None:
    """Users of an account: they log in by SMTP, or hold a key of the HTTP API."""


@dataclass(frozen=True, slots=True)
class _WantedCredential:
    account: str
    username: str | None
    lane: Lane
    highest_lane: Lane | None  # None: that of the profile
    domains: tuple[str, ...]
    profile: str
    note: str
    secret: str | None  # that its user brings along
    sealed: bool
    permissions: tuple[str, ...]
    resubmission: Resubmission


@credential.command
@click.option(
    "--account", default="default", show_default=True, metavar="NAME", help="Made if missing."
)
@click.option("--username", help="Default: a random one.")
@click.option(
    "--lane", type=LANE, default="normal", show_default=True, help="For messages without priority."
)
@click.option(
    "--highest-lane",
    type=LANE,
    help="The highest that messages may ask for. Very high stops all other mail. Default: that of "
    "the profile, mostly high.",
)
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="NAME",
    help="Sending domain of the account; made with DKIM keys if it is new. Repeatable.",
)
@click.option(
    "--profile",
    default="native",
    show_default=True,
    metavar="NAME",
    help="How mail of this user is treated: a preset, or a profile of the account.",
)
@click.option("--note", default="", help="A note for the operator.")
@SECRET_FILE
@PERMISSIONS
@click.option(
    "--sealed",
    is_flag=True,
    help="Keep the secret sealed, so that CRAM-MD5 and signatures of AWS work for this user.",
)
@RESUBMISSION
@json_option
@data_option
def create(
    *,
    highest_lane: Lane | None,
    domains: tuple[str, ...],
    permissions: tuple[str, ...],
    resubmission: str | None,
    as_json: bool,
    **others: Any,
) -> None:
    """Make a user and a secret, which is shown only now.

    Both may be brought along, so that a program changes nothing but the host name: --username and
    --secret-file.
    """
    if highest_lane is not None:
        _check_lanes(others["lane"], highest_lane)
    with friendly_errors():
        names = tuple(dict.fromkeys(domain_name(name) for name in domains))
    wanted = _WantedCredential(
        highest_lane=highest_lane,
        domains=names,
        permissions=permissions or (Permission.SMTP,),
        resubmission=Resubmission(resubmission or Resubmission.OFF),
        **others,
    )
    made = with_secret_key(lambda database, key: _create(database, key, wanted))
    _show(wanted, made, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Made:
    credential: NewCredential
    highest_lane: Lane
    relay: RelayHosts
    records: tuple[Record, ...]


def _check_lanes(default: Lane, highest: Lane) -> None:
    if default < highest:
        raise click.ClickException(
            f"the lane {default.label} is above {highest.label}, the highest it may have"
        )


async def _create(database: Postgres, key: bytes, wanted: _WantedCredential) -> _Made:
    secret = made_secret(wanted.secret, key, sealed=wanted.sealed)
    if wanted.username is not None:
        check_user_name(wanted.username)
    accounts, relay = AccountStore(database), await relay_hosts(database)
    profile = await check_profile(accounts, await accounts.account(wanted.account), wanted.profile)
    highest = wanted.highest_lane or profile.priority.highest_of_user
    _check_lanes(wanted.lane, highest)
    owner = await ensure_account(accounts, wanted.account)
    await check_bounce_address(accounts, owner, profile)
    records: list[Record] = []
    # Domains first: a refused domain must not leave a user whose secret was never shown.
    for name in wanted.domains:
        await ensure_domain(
            accounts, owner, name, key, today=datetime.now(UTC).date(), actor=actor()
        )
        records += records_for(setup_of(await domain_rows(accounts, wanted.account, name), relay))
    terms = CredentialTerms(
        *(wanted.profile, wanted.lane, highest, wanted.note, wanted.permissions),
        wanted.resubmission,
    )
    made = await create_credential(accounts, owner, secret, wanted.username, terms, actor=actor())
    user = replace(made, shared_username=shared_username(profile))
    return _Made(user, highest, relay, tuple(records))


def _show(wanted: _WantedCredential, made: _Made, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(wanted, made))
        return
    click.echo(f"account   {wanted.account}\n{made.credential.lines()}")
    if made.records:
        click.echo("\nRecords to publish:")
        print_records(made.records, made.relay)
        click.echo("; What it publishes now was not looked up: see `posthouse domain check`.")
    else:
        click.echo(f"It may send as every verified domain of {wanted.account} and its children.")


def _as_json(wanted: _WantedCredential, made: _Made) -> dict[str, object]:
    return {
        "account": wanted.account,
        **made.credential.as_json(),
        "lane": wanted.lane.label,
        "highest_lane": made.highest_lane.label,
        "profile": wanted.profile,
        "permissions": list(wanted.permissions),
        "domains": list(wanted.domains),
        "records": [record_as_json(record) for record in made.records],
    }


for _command in (
    list_,
    show,
    set_,
    reset,
    expire,
    disable,
    enable,
    delete,
    credential_limit,
):
    credential.add_command(_command)
