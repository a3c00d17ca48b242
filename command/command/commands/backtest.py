"""`posthouse backtest`."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from command.account_profiles import check_profile, knobs_in
from command.context import data_option, friendly_errors, json_option, print_json, with_secret_key
from command.differing import Outcome, differences, outcome_of
from command.provisioning import account_id
from command.rehearser import Rehearser, letter_of_past
from command.table import print_line
from ingest.core.admission import SessionFacts
from onebox.all_settings import read_settings
from posthouse.mail.submission import Submission
from posthouse.profiles import Profile, with_knobs
from posthouse.store.accounts import AccountStore, ProfileKey
from posthouse.store.past_submissions import PastSubmission, PastSubmissions
from posthouse.store.postgres import Postgres

_UNITS = {"h": "hours", "d": "days"}


@click.command
@click.option("--profile", metavar="NAME", help="Default: the one that each message had.")
@click.option(
    "--set", "knobs", multiple=True, metavar="KNOB=VALUE", help="Changed in it. Repeatable."
)
@click.option(
    "--since",
    default="yesterday",
    show_default=True,
    metavar="WHEN",
    help="A time in ISO 8601, or as 12h or 3d.",
)
@click.option("--account", metavar="NAME", help="Default: the mail of all accounts.")
@json_option
@data_option
def backtest(
    profile: str | None, knobs: tuple[str, ...], since: str, account: str | None, *, as_json: bool
) -> None:
    """Run past messages through a changed profile, and print what would come out differently.

    Both sides are decided now, with the lists, domains and keys of today. Messages whose header is
    past its retention (POSTHOUSE_BODY_RETENTION_HOURS) cannot be run, and are counted.
    """
    with friendly_errors():
        changed, settings = knobs_in(knobs), read_settings(os.environ)
    begin = _moment(since)
    count = Counter[str]()
    results: list[dict[str, Any]] = []

    async def work(database: Postgres, key: bytes) -> None:
        runs = _Runs(database, Rehearser(database, key, settings), profile, changed)
        owner = await account_id(AccountStore(database), account) if account else None
        past = PastSubmissions(database).between(begin, datetime.now(UTC), owner)
        async for one, found in runs.of(past):
            count["different" if found else "the same"] += 1
            if found:
                results.append({"message": one.id.hex, "differences": found})
        count.update(runs.left_out)

    with_secret_key(work)
    if as_json:
        print_json({"counted": count, "messages": results})
    else:
        _print(count, results)


def _print(count: Mapping[str, int], results: Sequence[Mapping[str, Any]]) -> None:
    for result in results:
        print_line(f"{result['message']}:")
        for line in result["differences"]:
            print_line(f"    {line}")
    print_line(", ".join(f"{n} {what}" for what, n in count.items()) or "no message since then")


def _moment(text: str) -> datetime:
    now = datetime.now(UTC)
    if text == "yesterday":
        return (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit and number.isdigit():
        return now - timedelta(**{unit: int(number)})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time in ISO 8601, nor as 12h or 3d", param_hint="--since"
        ) from error


class _Runs:
    """Runs each message twice: as it was, and with the profile that is asked about."""

    def __init__(
        self,
        database: Postgres,
        rehearser: Rehearser,
        profile: str | None,
        knobs: Mapping[str, object],
    ) -> None:
        self._accounts = AccountStore(database)
        self._rehearser = rehearser
        self._profile = profile
        self._knobs = knobs
        self._sessions: dict[ProfileKey, SessionFacts] = {}
        self.left_out = Counter[str]()

    async def of(
        self, past: AsyncIterator[PastSubmission]
    ) -> AsyncIterator[tuple[PastSubmission, list[str]]]:
        """Each message that can be run, with what would come out differently."""
        now = datetime.now(UTC)
        async for one in past:
            if one.header is None:
                self.left_out["without header (past its retention)"] += 1
            elif one.username is None:
                self.left_out["of users that are gone"] += 1
            else:
                before = await self._session(one)
                after = self._rehearser.under(before, await self._changed(before))
                outcomes = [await self._outcome(one, facts, now) for facts in (before, after)]
                yield one, list(differences(*outcomes))

    async def _session(self, one: PastSubmission) -> SessionFacts:
        key = (one.credential_id, one.profile, one.profile_revision)
        if key not in self._sessions:
            self._sessions[key] = await self._rehearser.session_of(one)
        return self._sessions[key]

    async def _changed(self, before: SessionFacts) -> Profile:
        base = before.profile
        if self._profile is not None:
            base = await check_profile(self._accounts, before.account_id, self._profile)
        return with_knobs(base, self._knobs)

    async def _outcome(self, one: PastSubmission, facts: SessionFacts, now: datetime) -> Outcome:
        letter = letter_of_past(one, facts.profile)
        admitted = await self._rehearser.admit(letter, facts, one.id, now)
        if not isinstance(admitted.result, Submission):
            return outcome_of(admitted, None)
        prepared = await self._rehearser.prepare(admitted.result, facts.profile, now)
        return outcome_of(admitted, prepared)
