"""`posthouse credential limit` and `posthouse account limit`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from command.context import actor, data_option, json_option, print_json, with_store
from command.credential_provisioning import NoCredential
from command.provisioning import account_id
from command.table import print_table
from posthouse.mail.rate_limit import Counted, LimitAction, Period, RateCount, RateLimit
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.rate_limits import LimitOwner, RateLimitStore

_KEYS = {f"{counted}/{period}": (counted, period) for counted in Counted for period in Period}


@dataclass(frozen=True, slots=True)
class _Changes:
    limits: tuple[RateLimit, ...]
    removed: tuple[str, ...]  # of _KEYS


def _options(command: Callable[..., None]) -> Callable[..., None]:
    per = "such as 1000/hour: in each minute, hour, day or month of the clock (UTC). Repeatable."
    for option in (
        data_option,
        json_option,
        click.option(
            "--remove",
            multiple=True,
            type=click.Choice(tuple(_KEYS)),
            help="Remove it. Repeatable.",
        ),
        click.option(
            "--action",
            type=click.Choice([action.value for action in LimitAction]),
            default=LimitAction.REFUSE.value,
            show_default=True,
            help="For what is above the limits named here: refuse it until the next window; accept "
            "it, and delay it until a window has room; or hold the account, until it is released.",
        ),
        click.option("--recipients", multiple=True, metavar="N/PERIOD", help=f"At most N, {per}"),
        click.option("--messages", multiple=True, metavar="N/PERIOD", help=f"At most N, {per}"),
    ):
        command = option(command)
    return command


def _changes(
    messages: Sequence[str], recipients: Sequence[str], action: str, remove: Sequence[str]
) -> _Changes:
    try:
        limits = [
            RateLimit.parse(counted, text, LimitAction(action))
            for counted, texts in ((Counted.MESSAGES, messages), (Counted.RECIPIENTS, recipients))
            for text in texts
        ]
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return _Changes(tuple(limits), tuple(remove))


@click.command("limit")
@click.argument("username")
@_options
def credential_limit(username: str, *, as_json: bool, **given: Any) -> None:
    """Set how much USERNAME may send, and show it with what is counted.

    Its first limit counts within half a minute, a change at once. The limits of its account count
    as well.
    """

    async def owner(database: Postgres) -> LimitOwner:
        found = await RateLimitStore(database).credential(username)
        if found is None:
            raise NoCredential(f"no credential is called {username!r}")
        return found

    _carry_out(owner, _changes(**given), as_json=as_json)


@click.command("limit")
@click.argument("name")
@_options
def account_limit(name: str, *, as_json: bool, **given: Any) -> None:
    """Set how much all users of the account NAME may send together, and show it.

    Its first limit counts within half a minute, a change at once. Users of another account that
    send for this one count there.
    """

    async def owner(database: Postgres) -> LimitOwner:
        id_ = await account_id(AccountStore(database), name)
        return LimitOwner(id_, id_, name)

    _carry_out(owner, _changes(**given), as_json=as_json)


def _carry_out(
    owner_in: Callable[[Postgres], Awaitable[LimitOwner]], changes: _Changes, *, as_json: bool
) -> None:
    who = actor()

    async def work(database: Postgres) -> list[RateCount]:
        owner, store = await owner_in(database), RateLimitStore(database)
        for key in changes.removed:
            if not await store.remove(owner, *_KEYS[key], who):
                raise click.ClickException(f"{owner.name} has no limit of {key}")
        for limit in changes.limits:
            await store.set(owner, limit, who)
        return await store.of(owner)

    _show(with_store(work), as_json=as_json)


def _show(counts: Sequence[RateCount], *, as_json: bool) -> None:
    rows = [
        {
            "counted": count.limit.counted.value,
            "period": count.limit.period.value,
            "most": count.limit.most,
            "action": count.limit.action.value,
            "since": count.window.isoformat(timespec="seconds"),
            "used": count.used,
        }
        for count in counts
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("limit", "action", "window since", "used"),
        [(str(c.limit), c.limit.action, f"{c.window:%Y-%m-%d %H:%M}", str(c.used)) for c in counts],
        empty="there is no limit",
        numbers=1,
    )
