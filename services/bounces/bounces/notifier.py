"""Tells senders, and the bounce addresses of accounts, what became of mail; and of alerts.

It consumes the events of both. Each result is kept for a while, so that those of one submission
are told together; then a notice is accepted as a submission of ours, in the transaction that ends
what it tells. Processes take turns, and one that dies leaves nothing half done.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Counter

from bounces.alert_telling import AlertTelling
from bounces.core.notices.delivery_report import delivery_report
from bounces.core.notices.notice_text import digest
from bounces.core.notices.telling import host_of, lane_of, why_not
from bounces.notice_metrics import PUT_OFF, report
from bounces.relay_identity import RelayIdentity
from posthouse.mail.dsn_action import Action
from posthouse.mail.due_results import Digest, DueResults
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.profiles import InvalidOverride, Profile, UnknownProfile, resolve
from posthouse.store import StoreUnavailable
from posthouse.store.accounts import AccountStore
from posthouse.store.event_feed import EventPage
from posthouse.store.notices import READER, NoticeStore, NoticeTurn
from posthouse.store.postgres import Postgres

log = structlog.get_logger()

UNTOLD = Counter(
    "posthouse_failures_untold_total",
    "Submissions whose failures nobody is told of, by reason",
    ["reason"],
)
_MOST_IN_DIGEST = 500  # failures that it lists


@dataclass(frozen=True, slots=True)
class NoticeLimits:
    """How notices are gathered, and how many one address gets."""

    gather: timedelta = timedelta(seconds=30)  # failures of one submission, from the first one
    per_hour: int = 20  # reports to one sender; the rest is a digest
    alerts_per_hour: int = 20  # messages to an account about one kind of alerts


class Notifier:
    """A `posthouse.running.event_reader.EventConsumer` in every bounces process."""

    reader = READER

    def __init__(
        self,
        database: Postgres,
        relay: RelayIdentity,
        *,
        announce: Callable[[Lane], None],
        limits: NoticeLimits = NoticeLimits(),
        window: timedelta = timedelta(hours=1),
    ) -> None:
        """*announce* is told, after the commit, in which lane a submission became due."""
        self._store = NoticeStore(database, window=window)
        self._accounts = AccountStore(database)
        self._relay = relay
        self._announce = announce
        self._limits = limits
        self._alerts = AlertTelling(
            database, relay, announce=announce, per_hour=limits.alerts_per_hour, window=window
        )

    async def take(self, page: EventPage) -> bool:
        """Keep the results and alerts of *page*."""
        return await self._store.note(page, self._limits.gather)

    async def act(self) -> bool:
        """Tell what has been due longest, failures before alerts; whether there was anything."""
        return await self._tell_next() or await self._alerts.tell()

    async def _tell_next(self) -> bool:
        """Tell what has been due longest, failures before what was asked for; if there was any.

        What cannot be told is put off for a minute: it must not hold up others.
        """
        due: DueResults | Digest | None = None
        try:
            async with self._store.turn() as turn:
                if turn is None:
                    return False
                due, full = await turn.failures(self._limits.per_hour)
                due = due or await turn.digest(_MOST_IN_DIGEST) or await turn.report()
                if due is None:
                    return False
                sent = await self._tell(turn, due, full=full)
        except StoreUnavailable:
            raise
        except Exception:  # a mistake of ours about one message, or the store refuses it
            if due is None:
                raise
            log.exception("notice_failed", account=due.account_id.hex)
            await self._put_off(due)
            return True
        if sent is not None:
            self._announce(sent.lane)
        return True

    async def _tell(
        self, turn: NoticeTurn, due: DueResults | Digest, *, full: bool
    ) -> Submission | None:
        if isinstance(due, Digest):
            return await self._tell_digest(turn, due)
        return await self._tell_one(turn, due, full=full)

    async def _put_off(self, due: DueResults | Digest) -> None:
        means = "digest" if isinstance(due, Digest) else str(due.means)
        PUT_OFF.labels(means=means).inc()
        async with self._store.turn() as turn:
            if turn is not None:
                await turn.put_off(due)

    async def _tell_one(
        self, turn: NoticeTurn, told: DueResults, *, full: bool
    ) -> Submission | None:
        try:
            profile = await self._profile(told)
        except (UnknownProfile, InvalidOverride):
            await turn.put_off(told)  # a newer program knows it
            return None
        to_us = await self._relay.takes_mail_for(host_of(told.address))
        if silence := why_not(told, profile, to_us=to_us):
            await turn.drop(told)
            if told.action is Action.FAILED:
                UNTOLD.labels(reason=silence).inc()
            return None
        if full:
            await turn.put_into_digest(told)
            return None
        frame = await self._relay.frame(told.account_id, told.sender)
        if told.body:  # a whole message, looked through line by line: other connections go on
            message = await asyncio.to_thread(delivery_report, told, frame)
        else:
            message = delivery_report(told, frame)
        notice = frame.submission(told.account_id, told.address, lane_of(told), message)
        await turn.tell(told, notice)
        about = {"action": str(told.action), "submission": told.submission_id.hex}
        report(notice, str(told.means), results=len(told.results), **about)
        return notice

    async def _tell_digest(self, turn: NoticeTurn, many: Digest) -> Submission:
        frame = await self._relay.frame(many.account_id, many.address)
        notice = frame.submission(many.account_id, many.address, Lane.LOW, digest(many, frame))
        await turn.tell_digest(many, notice)
        report(notice, "digest", results=many.count)
        return notice

    async def _profile(self, told: DueResults) -> Profile:
        if told.credential_id is None:
            return resolve("native")
        key = (told.credential_id, told.profile, told.profile_revision)
        try:
            return resolve(told.profile, told.profile_revision)
        except UnknownProfile:
            own = (await self._accounts.profiles([key])).get(key)
            if own is None:
                raise
            return resolve(own.preset, own.preset_revision, own.knobs)
