"""`posthouse queue retry`, `hold`, `release`, `cancel` and `bounce`."""

from collections.abc import Callable, Mapping
from functools import reduce

import click

from command.commands.message_timeline import message_id
from command.context import actor, data_option, with_store
from command.provisioning import account_id
from command.table import print_line, print_table
from posthouse.answers import AnswerClass
from posthouse.mail.mail_selector import MailOperation, MailSelector
from posthouse.mail.message_query import UnusableQuery
from posthouse.mail.reply import escaped
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.waiting_mail import OperationPreview, OperationResult, WaitingMail

_DONE = {
    MailOperation.RETRY: "tried now",
    MailOperation.HOLD: "held",
    MailOperation.RELEASE: "released",
    MailOperation.CANCEL: "cancelled",
    MailOperation.BOUNCE: "bounced",
}
_why_selected = click.option("--reason", help="Held or quarantined for exactly this reason.")


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Take what chooses mail; all of it has to be true."""
    options = (
        click.argument("ids", metavar="[ID...]", nargs=-1),
        click.option("--recipient", metavar="ADDRESS"),
        click.option("--domain", metavar="NAME", help="Of the recipient."),
        click.option("--site", metavar="NAME", help="As the preview shows it."),
        click.option("--user", metavar="NAME", help="The SMTP user or API key that sent it."),
        click.option("--account", metavar="NAME"),
        click.option("--stream", metavar="NAME"),
        click.option("--tag", metavar="TAG"),
        click.option("--lane", metavar="LANE"),
        click.option("--older-than", metavar="AGE", help="Accepted longer ago: 30min, 2h, 5d."),
        click.option("--newer-than", metavar="AGE", help="Accepted since then."),
        click.option("--class", metavar="CLASS", help=f"Of the last answer: {_classes()}."),
        click.option("--state", metavar="STATES", help="As in `posthouse queue`."),
        click.option("--all", "everything", is_flag=True, help="All mail that waits."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        data_option,
    )
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


def _classes() -> str:
    return ", ".join(f'"{kind}"' if " " in kind else kind for kind in AnswerClass)


@click.command
@_choosing
@_why_selected
def retry(**chosen: object) -> None:
    """Try deferred mail now, and not at the time of its next attempt.

    Lanes and the limits of sites hold as before. What is being tried, or waits for room at its
    site, stays as it is.
    """
    _operate(MailOperation.RETRY, chosen)


@click.command
@_choosing
@click.option("--reason", "why", required=True, metavar="TEXT", help="Shown wherever the hold is.")
def hold(why: str, **chosen: object) -> None:
    """Hold mail that waits now, until you release it. Mail that comes later is not held.

    For all mail of an account: `posthouse account hold`. What is on the wire finishes, and its
    result counts; if it has to be tried again, it waits.
    """
    _operate(MailOperation.HOLD, chosen, why)


@click.command
@_choosing
@_why_selected
def release(**chosen: object) -> None:
    """Release what you hold, or what is quarantined, with as much time as when it was accepted.

    Mail of a held account stays held until `posthouse account release`.
    """
    _operate(MailOperation.RELEASE, chosen)


@click.command
@_choosing
@_why_selected
def cancel(**chosen: object) -> None:
    """Never send it; nobody hears of it.

    What a dispatcher has at this moment may arrive all the same: its history says `uncertain`.
    """
    _operate(MailOperation.CANCEL, chosen)


@click.command
@_choosing
@click.option("--reason", "why", required=True, metavar="TEXT", help="Told to the sender.")
def bounce(why: str, **chosen: object) -> None:
    """Never send it; the sender hears the reason, as of other bounces.

    What a dispatcher has at this moment may arrive all the same: its history says `uncertain`.
    """
    _operate(MailOperation.BOUNCE, chosen, why)


def _operate(operation: MailOperation, chosen: Mapping[str, object], why: str = "") -> None:
    """Show what would be changed, ask, and do it."""
    if operation in (MailOperation.HOLD, MailOperation.BOUNCE) and not why.strip():
        raise click.ClickException("--reason is empty: say in a few words why")
    selector, who = _selector(chosen), actor()

    async def look(database: Postgres) -> OperationPreview:
        await _check_account(database, selector)
        return await WaitingMail(database).preview(operation, selector)

    async def work(database: Postgres) -> OperationResult:
        await _check_account(database, selector)
        return await WaitingMail(database).run(operation, selector, who, why)

    if not chosen["yes"]:
        preview = with_store(look)
        _show(preview)
        if not preview.messages:
            return
        click.confirm(f"{operation} {preview.messages}?", abort=True)
    result = with_store(work)
    click.echo(f"{_DONE[operation]}: {result.messages}")
    if result.missed:
        raise click.ClickException(
            f"{result.missed} were being written by others all the time: try again"
        )


async def _check_account(database: Postgres, selector: MailSelector) -> None:
    """Raise NoAccount if the one that was named does not exist."""
    if selector.account is not None:
        await account_id(AccountStore(database), selector.account)


def _selector(chosen: Mapping[str, object]) -> MailSelector:
    ids = [message_id(text) for text in chosen["ids"]]  # type: ignore[attr-defined]
    words = {
        name.replace("_", "-"): value for name, value in chosen.items() if isinstance(value, str)
    }
    try:
        selector = MailSelector.of(words, ids)
    except UnusableQuery as error:
        raise click.ClickException(str(error)) from error
    if not selector.chooses and not chosen["everything"]:
        raise click.ClickException("say which mail: by ids, by options, or --all")
    return selector


def _show(preview: OperationPreview) -> None:
    rows = [
        (line.stage, line.lane.label, line.site, line.state.value, str(line.messages))
        for line in preview.lines
    ]
    columns = ("stage", "lane", "site", "state", "messages")
    print_table(columns, rows, empty="nothing that waits is chosen", numbers=1)
    for item in preview.sample:
        of = item.submission_id.hex if item.submission_id else "a message that is no longer kept"
        reason = f" ({item.reason})" if item.reason else ""
        print_line(f"such as {of} to {escaped(item.recipient or '?')}{escaped(reason)}")
    if preview.leased:
        print_line(f"of these, workers have {preview.leased} at this moment")
    if preview.others:
        print_line(f"chosen, and not changed by this: {preview.others}")
