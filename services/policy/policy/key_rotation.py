"""Carries rotations of DKIM keys on: looks for their records, switches, removes what is retired."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic

import structlog
from prometheus_client import Counter, Gauge

from posthouse.dns.resolver import Questions
from posthouse.domains.key_text import differs
from posthouse.mail.dns_answer import LookupFailed, values_of
from posthouse.running.keys import NoFreeSelector, begin_rotation
from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.key_rotations import BY_ITSELF, DueRotation, KeyRotations

ROTATION_WAIT = Gauge(
    "posthouse_key_rotation_wait_seconds",
    "Age of the oldest rotation of DKIM keys whose records are not in DNS yet, in seconds.",
)
ROTATION_STEPS = Counter(
    "posthouse_key_rotation_steps_total", "Steps that rotations of DKIM keys took.", ["step"]
)
_LOOK_SECONDS = 60.0
_SCHEDULE_SECONDS = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RotationTimes:
    """How long each step waits."""

    again: timedelta = timedelta(minutes=10)  # from one look at a rotation to the next
    # The records are seen for so long before a key signs: secondary name servers, caches.
    settle: timedelta = timedelta(hours=1)
    # So long a key that signs no more is kept: mail is tried for five days, and verified later.
    keep: timedelta = timedelta(days=7)


class KeyRotation:
    """Runs in every policy process; each rotation is carried on by one at a time."""

    def __init__(
        self,
        rotations: KeyRotations,
        dns: Questions,
        sealing_key: bytes,
        today: Callable[[], date],
        *,
        times: RotationTimes = RotationTimes(),
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._rotations = rotations
        self._dns = dns
        self._sealing_key = sealing_key
        self._today = today
        self._times = times
        self._look_seconds = look_seconds
        self._schedule_at = monotonic()
        self._stopping = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until *stopping*; if the database is away, it is tried again."""
        self._stopping = stopping
        failures = 0
        while not stopping.is_set():
            wait = self._look_seconds
            try:
                await self.look()
                failures = 0
            except (StoreUnavailable, StoreRefused) as error:
                failures += 1
                log.warning("rotation_not_looked_at", reason=str(error), failures=failures)
                wait += wait_before_retry(failures, random.random())  # noqa: S311
            except Exception:  # a mistake of ours must not end the process
                log.exception("rotation_not_looked_at")
            await wait_for_event(stopping, wait)

    async def look(self) -> None:
        """Carry on what is due, and start what the schedules of domains say; until told to stop."""
        if monotonic() >= self._schedule_at:
            self._schedule_at = monotonic() + _SCHEDULE_SECONDS
            for domain in await self._rotations.scheduled():
                await self._start(domain)
        while not self._stopping.is_set():  # a DNS that is silent takes seconds for each key
            due = await self._rotations.claim(self._times.again)
            if due is None:
                break
            await self._carry_on(due)
        ROTATION_WAIT.set(await self._rotations.oldest_wait())

    async def _start(self, domain: str) -> None:
        try:
            keys = await begin_rotation(
                self._rotations, domain, self._sealing_key, self._today(), BY_ITSELF
            )
        except NoFreeSelector as error:
            log.warning("rotation_not_started", domain=domain, reason=str(error))
            return
        if keys:
            _report("started", domain, [key.selector for key in keys])

    async def _carry_on(self, due: DueRotation) -> None:
        if due.switched_for is not None:
            if due.switched_for >= self._times.keep and await self._rotations.finish(due.domain):
                _report("finished", due.domain)
            return
        finding = await self._finding(due)
        await self._rotations.note(due, finding)
        if finding is not None:
            log.info("rotation_waits", domain=due.domain, reason=finding)
        elif (due.seen_for or timedelta()) >= self._times.settle:
            retired = await self._rotations.switch(due)
            if retired is not None:
                _report("switched", due.domain, retired)

    async def _finding(self, due: DueRotation) -> str | None:
        """What is wrong with the records of the new keys, as receivers see them."""
        for selector, text in due.keys:
            answer = await self._dns.ask(f"{selector}._domainkey.{due.domain}", "TXT")
            if isinstance(answer, LookupFailed):
                return f"{selector}: DNS gave no answer ({answer.reason})"
            if wrong := differs(text, values_of(answer)):
                return f"{selector}: {wrong}"
        return None


def _report(step: str, domain: str, selectors: object = ()) -> None:
    ROTATION_STEPS.labels(step=step).inc()
    log.info("key_rotation", step=step, domain=domain, selectors=selectors)
