"""`posthouse account onboard`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import click

from command.account_profiles import check_own_profile
from command.context import (
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    settings,
    with_secret_key,
)
from command.credential_provisioning import (
    NewCredential,
    random_username,
    shared_username,
)
from command.domain_setup import names_of_relay
from command.provisioning import NameTaken, domain_name, random_code
from command.record_display import Shown, asked, show, shown_as_json
from command.secret_making import NewSecret, new_secret
from command.stream_names import stream_name
from posthouse.mail.address import Address
from posthouse.mail.dkim_key import Algorithm
from posthouse.mail.secret import Purpose, derive
from posthouse.profiles import Profile, resolve
from posthouse.profiles.choices import Onboarding
from posthouse.running.keys import make_keys
from posthouse.store.accounts import AccountStore
from posthouse.store.new_client import ClientDomain, NewClient, provision
from posthouse.store.postgres import Postgres

_OWN_PROFILE = "client"


@dataclass(frozen=True, slots=True)
class _WantedClient:
    """What the client says of itself, and how it is treated."""

    name: str
    sources: tuple[str, ...]
    domain: str
    bounce_address: Address
    onboarding: Onboarding
    preset: Profile
    mailings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Onboarded:
    """What the client gets."""

    server: str
    credential: NewCredential
    header: str  # that names a mailing; "": the profile has none
    codes: dict[str, str]  # of each mailing
    domain: Shown


def _sources(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    texts = [text for one in given for text in one.replace(",", " ").split()]
    try:
        return tuple(str(ip_network(text)) for text in texts)
    except ValueError as error:
        raise click.BadParameter(
            f"{error}; allowed are addresses and networks, as 192.0.2.7 or 192.0.2.0/24", ctx, param
        ) from error


@click.command
@click.argument("name")
@click.option(
    "--source",
    "sources",
    multiple=True,
    required=True,
    callback=_sources,
    metavar="ADDRESS",
    help="Address or network that the client submits from; repeatable, or with commas between.",
)
@click.option("--domain", required=True, metavar="NAME", help="The host part of its From address.")
@click.option(
    "--bounce-address",
    required=True,
    metavar="ADDRESS",
    help="Gets what is not delivered; not in the sending domain.",
)
@click.option(
    "--profile",
    "preset",
    default="episerver",
    show_default=True,
    metavar="PRESET",
    help="How its mail is treated.",
)
@click.option(
    "--onboarding",
    type=click.Choice([mode.value for mode in Onboarding]),
    help="What the domain has to show before it may send. Default: as the preset says.",
)
@click.option(
    "--mailing",
    "mailings",
    multiple=True,
    callback=lambda ctx, param, given: tuple(stream_name(ctx, param, one) for one in given),
    metavar="NAME",
    help="A mailing with a code of its own; repeatable. Default: one, called as the client.",
)
@json_option
@data_option
def onboard(
    *,
    name: str,
    sources: tuple[str, ...],
    domain: str,
    bounce_address: str,
    preset: str,
    onboarding: str | None,
    mailings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make the client NAME from nothing: account, profile, domain, user and mailings.

    Its four facts go in; server name, credentials and the header code for mailings come out, with
    what has to be in DNS. It is all made, or nothing.
    """
    with friendly_errors():
        profile = resolve(preset)
        wanted = _WantedClient(
            name,
            sources,
            domain_name(domain),
            Address.parse(bounce_address),
            _onboarding(onboarding, profile),
            profile,
            mailings,
        )
    made = with_secret_key(lambda database, key: _onboard(database, key, wanted))
    _show(wanted, made, as_json=as_json)


def _onboarding(given: str | None, profile: Profile) -> Onboarding:
    mode = Onboarding(given) if given else profile.domain.onboarding
    if mode is Onboarding.DELEGATION and not settings().zone_nameservers:
        raise click.ClickException(
            "a delegation needs POSTHOUSE_ZONE_NAMESERVERS: the names of your name servers (or say "
            "--onboarding records)"
        )
    return mode


async def _onboard(database: Postgres, key: bytes, wanted: _WantedClient) -> _Onboarded:
    await _refuse_impossible(AccountStore(database), wanted)
    looked = await asked(
        database,
        wanted.domain,
        delegated=wanted.onboarding is Onboarding.DELEGATION,
        published_spf=(),
        google_workspace=False,
        form="zone",
        as_json=False,
    )
    username, secret = random_username(), new_secret(key)
    header = wanted.preset.control.stream.name
    codes = {mailing: random_code() for mailing in wanted.mailings or (wanted.name,) if header}
    client = _client(wanted, key, username, secret, codes)
    await provision(database, client, actor())
    server = (await names_of_relay(database)).submission
    shown = await looked.of(database, wanted.name)
    credential = NewCredential(username, secret, shared_username(wanted.preset))
    return _Onboarded(server, credential, header, codes, shown)


def _client(
    wanted: _WantedClient, key: bytes, username: str, secret: NewSecret, codes: Mapping[str, str]
) -> NewClient:
    """All that is to be made; raises InvalidOverride and Contradiction."""
    return NewClient(
        name=wanted.name,
        bounce_address=wanted.bounce_address,
        domain=_domain(wanted, derive(key, Purpose.DKIM_KEYS)),
        profile=_OWN_PROFILE,
        preset=wanted.preset.name,
        preset_revision=wanted.preset.revision,
        knobs=_knobs(wanted),
        username=username,
        highest_lane=wanted.preset.priority.highest_of_user,
        secret=secret.stored,
        streams=tuple(codes.items()),
    )


async def _refuse_impossible(accounts: AccountStore, wanted: _WantedClient) -> None:
    if await accounts.account(wanted.name) is not None:
        raise NameTaken(f"there is an account called {wanted.name!r} already")
    owners = [r["account"] for r in await accounts.sending_domains() if r["name"] == wanted.domain]
    if owners:
        raise NameTaken(f"the account {owners[0]} has the domain {wanted.domain} already")
    if wanted.mailings and not wanted.preset.control.stream.name:
        raise click.ClickException(
            f"the preset {wanted.preset.name} has no header that names a mailing: leave --mailing "
            "out"
        )


def _knobs(wanted: _WantedClient) -> dict[str, Any]:
    """The knobs of the client's own profile; raises InvalidOverride and Contradiction."""
    knobs: dict[str, Any] = {"session.allowed_networks": list(wanted.sources)}
    if wanted.onboarding is not wanted.preset.domain.onboarding:
        knobs["domain.onboarding"] = wanted.onboarding.value
    check_own_profile(_OWN_PROFILE, wanted.preset.name, knobs)
    return knobs


def _domain(wanted: _WantedClient, sealing_key: bytes) -> ClientDomain:
    """A delegated domain is its own return-path host; another gets one if it has to align."""
    name = wanted.domain
    aligned = f"bounces.{name}" if wanted.preset.bounces.aligned_return_path else None
    return ClientDomain(
        name,
        make_keys(Algorithm, sealing_key, datetime.now(UTC).date()),
        wanted.onboarding,
        name if wanted.onboarding is Onboarding.DELEGATION else aligned,
    )


def _show(wanted: _WantedClient, made: _Onboarded, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "account": wanted.name,
                "server": made.server,
                **made.credential.as_json(),
                "header": made.header or None,
                "codes": made.codes,
                "domain": shown_as_json(made.domain),
            }
        )
        return
    click.echo(f"server    {made.server}\n{made.credential.lines()}")
    for mailing, code in made.codes.items():
        click.echo(f"header    {made.header}: {code}    (the mailing {mailing})")
    click.echo(f"It submits from {', '.join(wanted.sources)}.\n")
    show(made.domain)
