"""Tells senders, and the bounce addresses of accounts, what was not delivered.

It follows the events of failures. Each is kept for a while, so that the failures of one submission
are told together; then a notice is accepted as a submission of ours, in the transaction that ends
what it tells. Processes take turns, and one that dies leaves nothing half done.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import structlog
from prometheus_client import Counter

from bounces.core.notice_text import digest, non_delivery
from bounces.core.telling import host_of, lane_of, why_not
from bounces.relay_identity import RelayIdentity
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.undelivered import Digest, Undelivered
from posthouse.profiles import InvalidOverride, Profile, UnknownProfile, resolve
from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.accounts import AccountStore
from posthouse.store.event_feed import AnotherIncarnation, EventCursor, EventFeed
from posthouse.store.notices import FAILURES, READER, NoticeStore, NoticeTurn
from posthouse.store.postgres import Postgres

log = structlog.get_logger()

NOTICES = Counter(
    "posthouse_notices_total",
    "Messages of ours that were accepted, by what they are",
    ["means"],
)
UNTOLD = Counter(
    "posthouse_failures_untold_total",
    "Submissions whose failures nobody is told of, by reason",
    ["reason"],
)

_LOOK_SECONDS = 1.0
_EVENTS_AT_ONCE = 1_000  # each failure may hold a reply of 64 KiB
# A cursor that only passed other events is written this often.
_KEEP_CURSOR_SECONDS = 30.0
_MOST_IN_DIGEST = 500  # failures that it lists


@dataclass(frozen=True, slots=True)
class NoticeLimits:
    """How notices are gathered, and how many one address gets."""

    gather: timedelta = timedelta(seconds=30)  # failures of one submission, from the first one
    per_hour: int = 20  # reports to one sender; the rest is a digest


class Notifier:
    """Runs in every bounces process; one at a time has the turn."""

    def __init__(
        self,
        database: Postgres,
        relay: RelayIdentity,
        *,
        announce: Callable[[Lane], None],
        limits: NoticeLimits = NoticeLimits(),
        window: timedelta = timedelta(hours=1),
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """*announce* is told, after the commit, in which lane a submission became due."""
        self._database = database.alone(connections=3)
        self._store = NoticeStore(self._database, window=window)
        self._accounts = AccountStore(self._database)
        self._feed = EventFeed(self._database, READER, kinds=FAILURES)
        self._relay = relay
        self._announce = announce
        self._limits = limits
        self._look_seconds = look_seconds
        self._stored: EventCursor | None = None
        self._position: EventCursor | None = None  # past events of other kinds
        self._kept_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell what is due until *stopping*; if the database is away, it is tried again."""
        failures = 0
        async with self._database:
            while not stopping.is_set():
                wait = self._look_seconds
                try:
                    while await self._follow() and not stopping.is_set():
                        continue
                    while await self._tell() and not stopping.is_set():
                        continue
                    failures = 0
                except (StoreUnavailable, StoreRefused) as error:
                    failures += 1
                    log.warning("not_notified", reason=str(error), failures=failures)
                    wait += wait_before_retry(failures, random.random())  # noqa: S311
                except Exception:  # a mistake of ours must not end the process
                    log.exception("not_notified")
                await wait_for_event(stopping, wait)

    async def _follow(self) -> bool:
        """Keep the failures among the next events; whether there are more."""
        async with self._store.turn() as turn:
            if turn is None:
                return False
            stored = await turn.cursor()
            after = self._position if stored == self._stored else stored
            page = await self._feed.read(after or stored, _EVENTS_AT_ONCE)
            if isinstance(page, AnotherIncarnation):
                await turn.note((), self._limits.gather, page.start)
                return True
            if due := bool(page.events) or self._cursor_is_old(stored, page.cursor):
                await turn.note(page.events, self._limits.gather, page.cursor)
        if due:
            self._kept_at = monotonic()
        self._stored, self._position = (page.cursor if due else stored), page.cursor
        return page.more

    def _cursor_is_old(self, stored: EventCursor, cursor: EventCursor) -> bool:
        return cursor != stored and monotonic() - self._kept_at >= _KEEP_CURSOR_SECONDS

    async def _tell(self) -> bool:
        """Tell what has been due longest; whether there was anything."""
        async with self._store.turn() as turn:
            if turn is None:
                return False
            told, full = await turn.undelivered(self._limits.per_hour)
            if told is not None:
                sent = await self._tell_one(turn, told, full=full)
            elif (many := await turn.digest(_MOST_IN_DIGEST)) is not None:
                sent = await self._tell_digest(turn, many)
            else:
                return False
        if sent is not None:
            self._announce(sent.lane)
        return True

    async def _tell_one(
        self, turn: NoticeTurn, told: Undelivered, *, full: bool
    ) -> Submission | None:
        try:
            profile = await self._profile(told)
        except (UnknownProfile, InvalidOverride):
            await turn.put_off(told)  # a newer program knows it
            return None
        to_us = await self._relay.takes_mail_for(host_of(told.address))
        if silence := why_not(told, profile, to_us=to_us):
            await turn.drop(told)
            UNTOLD.labels(reason=silence).inc()
            return None
        if full:
            await turn.put_into_digest(told)
            return None
        frame = await self._relay.frame(told.account_id, told.sender)
        try:
            message = non_delivery(told, frame)
        except Exception:  # a mistake of ours about one message: others go on
            log.exception("notice_failed", submission=told.submission_id.hex)
            await turn.put_off(told)
            return None
        notice = frame.submission(told.account_id, told.address, lane_of(told), message)
        await turn.tell(told, notice)
        submission = told.submission_id.hex
        _report(notice, str(told.means), len(told.failures), submission=submission)
        return notice

    async def _tell_digest(self, turn: NoticeTurn, many: Digest) -> Submission:
        frame = await self._relay.frame(many.account_id, many.address)
        notice = frame.submission(many.account_id, many.address, Lane.LOW, digest(many, frame))
        await turn.tell_digest(many, notice)
        _report(notice, "digest", many.count)
        return notice

    async def _profile(self, told: Undelivered) -> Profile:
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


def _report(notice: Submission, means: str, failures: int, **about: str) -> None:
    """Log and count *notice*, which tells that many failures."""
    NOTICES.labels(means=means).inc()
    log.info(
        EventKind.NOTIFIED.value,
        account=notice.account_id.hex,
        means=means,
        recipient=notice.recipients[0],
        failures=failures,
        notice=notice.id.hex,
        **about,
    )
