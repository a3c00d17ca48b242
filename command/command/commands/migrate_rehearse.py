"""`posthouse migrate-rehearse`."""

import mailbox
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from command.context import friendly_errors, json_option, print_json
from command.differing import Outcome, differences, outcome_of
from command.rehearsal import Letter, read_letter, rehearse_admission, rehearse_preparation
from command.rehearser import assumed_session, letter_of
from command.table import print_line
from ingest.core.refusals import Refusal
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from posthouse.mail.address import InvalidAddress
from posthouse.mail.submission import Submission
from posthouse.profiles import Profile, preset_names, resolve
from posthouse.running.identity import new_id

# Nothing of this leaves the command: names of no relay, and keys of none.
_RELAY = Relay("relay.invalid", DomainKeys("relay.invalid", None, ()), bytes(32), bytes(32))


@click.command
@click.option(
    "--from", "old", required=True, type=click.Choice(preset_names()), help="The old dialect."
)
@click.option("--to", "new", default="native", show_default=True, type=click.Choice(preset_names()))
@click.argument("mbox", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def migrate_rehearse(old: str, new: str, mbox: Path, *, as_json: bool) -> None:
    """Run the messages in MBOX through two presets, and print what differs.

    The envelope is read in each header: the sender in Return-Path, Sender or From, recipients in
    To, Cc and Bcc. The account is assumed to own the domains of its senders, and no address is on
    a list.
    """
    count = Counter[str]()
    results: list[tuple[int, list[str]]] = []
    for number, content in enumerate(_messages(mbox), start=1):
        try:
            letter = letter_of(content, None, ())
        except InvalidAddress as error:
            results.append((number, [f"not read: {error}"]))
            continue
        found = list(_differences(letter, resolve(old), resolve(new)))
        count["different" if found else "the same"] += 1
        if found:
            results.append((number, found))
    if as_json:
        print_json([{"message": number, "differences": lines} for number, lines in results])
        return
    for number, lines in results:
        print_line(f"message {number}:")
        for line in lines:
            print_line(f"    {line}")
    print_line(", ".join(f"{n} {what}" for what, n in count.items()) or "no message could be read")


def _messages(mbox: Path) -> Iterator[bytes]:
    with friendly_errors():
        box = mailbox.mbox(mbox, create=False)
        for key in box.iterkeys():
            yield box.get_bytes(key)


def _differences(letter: Letter, old: Profile, new: Profile) -> Iterator[str]:
    id_, now = new_id(), datetime.now(UTC)
    yield from differences(_outcome(letter, old, id_, now), _outcome(letter, new, id_, now))


def _outcome(letter: Letter, profile: Profile, id_: UUID, now: datetime) -> Outcome:
    facts = assumed_session(profile, letter)
    found = read_letter(letter, facts, now)
    if isinstance(found, Refusal):
        return Outcome(f"refused: {found.reply}")
    admitted = rehearse_admission(found, id_)
    if not isinstance(admitted.result, Submission):
        return outcome_of(admitted, None)
    request = read(admitted.result, profile)
    owned = {name: DomainKeys(name, name, ()) for name in request.from_domains}
    return outcome_of(admitted, rehearse_preparation(request, Facts(_RELAY, owned, {}), now))
